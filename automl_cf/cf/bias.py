"""The bias model mu + b_row + b_column (+ ...): no interaction at all, and the bar for every claim."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg

from automl_cf.cf.meter import Meter
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Status, Training

# Wider than the paper's grid, whose largest value is below this model's best: the bar must not hang low.
BIAS_L2_GRID = (1e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3)
_TOLERANCE = 1e-6


class BiasModel:
    """A trained bias model; cold rows have the mean of the warm rows' biases."""

    def __init__(self, mean: float, biases: list[NDArray[np.float64]]) -> None:
        self.mean = mean
        self.biases = biases

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        prediction = np.full(len(indices), self.mean)
        for mode, bias in enumerate(self.biases):
            prediction += bias[indices[:, mode]]
        return prediction

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {f"bias{mode}": bias for mode, bias in enumerate(self.biases)}, {"mean": self.mean}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Self:
        """The inverse of `parts`."""
        return cls(float(values["mean"]), [np.array(arrays[f"bias{mode}"]) for mode in range(len(arrays))])


def train_bias(data: SearchData, training: Training, *, l2: float, meter: Meter) -> Fit:
    """Solve min mean squared error + l2/2 * (sum of all squared biases) by conjugate gradients.

    A ridge regression, so its optimum is exact and needs no learning rate, epochs or seed; each pass of the
    solver over the ratings counts as one epoch. `mu` is the training mean, which is 0 in standardised units.
    """
    train = data.train
    with meter.timed("train"):
        design = one_hot(train)
        n = len(train)
        passes = 0

        def normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
            nonlocal passes
            passes += 1
            return np.asarray(design.T @ (design @ x)) * (2.0 / n) + l2 * x

        size = design.shape[1]
        diagonal = np.concatenate([train.counts(mode) for mode in range(train.order)]) * (2.0 / n) + l2
        values = train.values.astype(np.float64)
        solution, _ = cg(
            LinearOperator((size, size), matvec=normal, dtype=np.float64),
            design.T @ values * (2.0 / n),
            rtol=_TOLERANCE,
            M=LinearOperator((size, size), matvec=lambda x: x / np.maximum(diagonal, 1e-12), dtype=np.float64),
        )
        meter.visit(passes * n)
    biases = np.split(solution, np.cumsum(train.shape)[:-1])
    for mode, bias in enumerate(biases):
        cold = train.counts(mode) == 0
        bias[cold] = bias[~cold].mean()
    model = BiasModel(0.0, biases)
    with meter.timed("validate"):
        error = model.predict(data.valid.indices) - data.valid.values
        rmse = float(np.sqrt(np.mean(error**2)))
    meter.check()
    status: Status = "ok" if np.isfinite(rmse) else "diverged"
    return Fit(status, rmse, l2, passes, passes, (rmse,), model)


def one_hot(ratings: RatingTensor) -> csr_array:
    """One row per rating with a one in the column of each of its modes' rows."""
    offsets = np.concatenate([[0], np.cumsum(ratings.shape)[:-1]])
    columns = (ratings.indices + offsets).ravel()
    pointer = np.arange(0, len(columns) + 1, ratings.order)
    shape = (len(ratings), int(sum(ratings.shape)))
    return csr_array((np.ones(len(columns)), columns, pointer), shape=shape)
