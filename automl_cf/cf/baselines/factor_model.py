"""What biased MF, SVD++ and their outside counterparts come to: biases and factors."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf.ratings import RatingTensor

Array = NDArray[Any]


class FactorModel:
    """mu + b_u + b_i + u . v for matrices: `biases` (rows,) and `factors` (rows, dim) are one per mode, float64."""

    def __init__(self, mean: float, biases: Sequence[Array], factors: Sequence[Array]) -> None:
        self.mean = mean
        self.biases = list(biases)
        self.factors = list(factors)

    @classmethod
    def of(cls, mean: float, biases: Sequence[Array], factors: Sequence[Array], train: RatingTensor) -> Self:
        """A model of copies, where rows without a rating in `train` have the mean of the others."""
        cold = [train.counts(mode) == 0 for mode in range(2)]
        filled = [[_filled(table, rows) for table, rows in zip(all_, cold, strict=True)] for all_ in (biases, factors)]
        return cls(mean, *filled)

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        users, items = indices.T
        (b, c), (p, q) = self.biases, self.factors
        return np.asarray(self.mean + b[users] + c[items] + np.einsum("nf,nf->n", p[users], q[items]))

    def parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        biases = {f"bias{mode}": bias for mode, bias in enumerate(self.biases)}
        return biases | {f"factors{mode}": table for mode, table in enumerate(self.factors)}, {"mean": self.mean}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], values: Mapping[str, Any]) -> Self:
        """The inverse of `parts`."""
        biases, factors = ([np.array(arrays[f"{name}{mode}"]) for mode in range(2)] for name in ("bias", "factors"))
        return cls(float(values["mean"]), biases, factors)


def _filled(table: Array, cold: NDArray[np.bool_]) -> NDArray[np.float64]:
    filled = table.astype(np.float64)
    if cold.any():
        filled[cold] = filled[~cold].mean(axis=0)
    return filled
