"""Biased matrix factorisation, mu + b_u + b_i + p_u . q_i, by per-rating SGD (Koren et al. 2009)."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf.baselines import sgd
from automl_cf.cf.baselines.factor_model import FactorModel
from automl_cf.cf.baselines.settings import check_order, positive
from automl_cf.cf.meter import Meter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.spaces.architecture import Architecture

LEARNING_RATE = 0.01
# Of per-rating SGD, so not comparable with the common objective's l2. 0.02 is scikit-surprise's default.
SGD_L2_GRID = (0.005, 0.02, 0.05, 0.1, 0.15, 0.2)

Array = NDArray[Any]


def train_biased_mf(
    architecture: Architecture,
    data: SearchData,
    training: Training,
    *,
    dim: int,
    l2: float,
    rng: np.random.Generator,
    meter: Meter,
    device: str = "cpu",
    epochs: int | None = None,
) -> Fit:
    """Train until validation stops improving, on the CPU whatever the device; the best state is kept.

    Biases start at 0, factors normal with the training's `init_scale`; each epoch goes over the ratings in a new
    order. The architecture's `learning_rate` is SGD's. Raises InputError for data that are no matrix.
    """
    check_order(architecture, data.train.order, 2)
    dtype = dtype_of(training)
    with meter.timed("setup"):
        _warm_up(dtype)
    with meter.timed("train"):
        pairs, values, mean = columns(data, dtype)
        rate, penalty = dtype(positive(architecture, "learning_rate", LEARNING_RATE)), dtype(l2)
        biases = zeros(data, dtype)
        factors = normal(data, dim, training, rng)

    def train_epoch() -> None:
        sgd.biased_mf_epoch(shuffled(len(values), rng), pairs, values, dtype(mean), biases, factors, rate, penalty)
        meter.visit(len(values))

    def validate() -> tuple[float, Callable[[], Model]]:
        model = FactorModel.of(mean, biases, factors, data.train)
        return rmse(model.predict(data.valid.indices), data.valid.values), lambda: model

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)


def dtype_of(training: Training) -> Any:
    """The NumPy type of the study's precision."""
    return np.float64 if training.precision == "float64" else np.float32


def columns(data: SearchData, dtype: Any) -> tuple[Array, Array, float]:
    """The training part as the kernels take it, and its mean: 0 but for rounding, where data are standardised."""
    values = data.train.values.astype(dtype)
    return data.train.indices.astype(np.uint32), values, float(values.mean(dtype=np.float64))


def zeros(data: SearchData, dtype: Any) -> tuple[Array, Array]:
    """Biases to begin with."""
    users, items = data.train.shape
    return np.zeros(users, dtype), np.zeros(items, dtype)


def normal(data: SearchData, dim: int, training: Training, rng: np.random.Generator) -> tuple[Array, Array]:
    """Factors to begin with."""
    users, items = (rng.normal(0.0, training.init_scale, (n, dim)).astype(dtype_of(training)) for n in data.train.shape)
    return users, items


@cache
def _warm_up(dtype: Any) -> None:
    """Compile, or load from Numba's cache, so that it is not booked as training."""
    one, pair = np.ones(1, dtype), np.ones((1, 1), dtype)
    where = np.zeros((1, 2), np.uint32)
    sgd.biased_mf_epoch(np.zeros(1, np.uint32), where, one, dtype(0), (one, one), (pair, pair), dtype(0), dtype(0))
