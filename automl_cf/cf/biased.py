"""Bias terms: mu + b_u + b_i + f(u, v), an interaction function fitted to what the bias model leaves.

The bias model is the exact one (`bias.py`), solved before and for itself, with the l2 of its own grid that validation
chooses: on every engine, and for supernets, the only difference is in the ratings that they are trained on. An
architecture asks for it by `bias`, which is True, or the bias model's l2 where that has been chosen before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf.bias import BIAS_L2_GRID, BiasModel, train_bias
from automl_cf.cf.meter import Meter, NullMeter
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Storable, Training
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture, Value

BIAS_KEY = "bias"
_PREFIX = "rowbias"


class BiasedModel:
    """A bias model and what was fitted to the rest; `l2` is the bias model's."""

    def __init__(self, bias: BiasModel, inner: Model, l2: float) -> None:
        self.bias = bias
        self.inner = inner
        self.l2 = l2

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        return self.bias.predict(indices) + self.inner.predict(indices)

    def settled(self, architecture: Architecture) -> Architecture:
        """The architecture with the bias model's l2 in it."""
        return Architecture({**architecture, BIAS_KEY: self.l2})

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        if not isinstance(self.inner, Storable):
            raise InputError(f"a {type(self.inner).__name__} with bias terms cannot be stored.")
        arrays, values = self.inner.parts()
        biases = {f"{_PREFIX}{mode}": bias for mode, bias in enumerate(self.bias.biases)}
        return arrays | biases, {**values, BIAS_KEY: {"l2": self.l2, "mean": self.bias.mean}}


def split_parts(
    arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]
) -> tuple[dict[str, NDArray[Any]], tuple[BiasModel, float] | None]:
    """The arrays of the inner model, and the bias model with its l2 if there is one among these parts."""
    inner = {name: array for name, array in arrays.items() if not name.startswith(_PREFIX)}
    if BIAS_KEY not in values:
        return inner, None
    biases = {f"bias{mode}": arrays[f"{_PREFIX}{mode}"] for mode in range(len(arrays) - len(inner))}
    own = values[BIAS_KEY]
    return inner, (BiasModel.restore(biases, {"mean": own["mean"]}), float(own["l2"]))


@dataclass(frozen=True)
class Rest:
    """What a bias model leaves: `data`, still in units of the training part's standard deviation."""

    data: SearchData
    bias: BiasModel
    l2: float

    def whole(self, fit: Fit) -> Fit:
        """The fit of an inner model to the rest, as one to the ratings; the errors are the same."""
        return fit if fit.model is None else replace(fit, model=BiasedModel(self.bias, fit.model, self.l2))


_rests: "WeakKeyDictionary[RatingTensor, dict[float | None, Rest]]" = WeakKeyDictionary()
"""By training part and l2: the architectures of a cell have the bias model in common."""


def rest_of(data: SearchData, training: Training, bias: Value, meter: Meter) -> Rest:
    """What the bias model leaves of `data`; `bias` is an architecture's.

    It is solved once for each data and l2, and its seconds are training seconds of whoever comes first. Visits count
    what is trained on the rest. Raises InputError for a `bias` that is neither True nor a number of at least 0.
    """
    given = None if bias is True else bias
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float) or given < 0):
        raise InputError(f"an architecture's bias is {bias!r}, but it must be true, or the l2 of the bias model.")
    known = _rests.setdefault(data.train, {})
    if given not in known:
        with meter.timed("train"):
            grid = BIAS_L2_GRID if given is None else (float(given),)
            fits = [train_bias(data, training, l2=l2, meter=NullMeter()) for l2 in grid]
            best = min(fits, key=lambda fit: fit.rmse)
            assert isinstance(best.model, BiasModel)
            train, valid = (_without(part, best.model) for part in (data.train, data.valid))
            known[given] = Rest(SearchData(train, valid, data.mean, data.std, data.hash), best.model, best.l2)
    return known[given]


def _without(part: RatingTensor, bias: BiasModel) -> RatingTensor:
    values = part.values - bias.predict(part.indices)
    return RatingTensor(part.indices, values.astype(np.float32), part.shape, part.labels)
