"""SVD++ (Koren 2008): biased matrix factorisation where a user is also what he or she has rated, however.

N(u), the implicit feedback, are the items of the user's training ratings: which items are rated in the validation or
test part is nothing that a model may know.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from automl_cf.cf.baselines import sgd
from automl_cf.cf.baselines.biased_mf import LEARNING_RATE, Array, columns, dtype_of, normal, zeros
from automl_cf.cf.baselines.factor_model import FactorModel
from automl_cf.cf.baselines.settings import check_order, positive
from automl_cf.cf.meter import Meter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.spaces.architecture import Architecture


def train_svdpp(
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
    """As `train_biased_mf`, with the items' implicit factors. An epoch costs a pass over N(u) for every rating."""
    check_order(architecture, data.train.order, 2)
    dtype = dtype_of(training)
    with meter.timed("setup"):
        _warm_up(dtype)
    with meter.timed("train"):
        pairs, values, mean = columns(data, dtype)
        rate, penalty = dtype(positive(architecture, "learning_rate", LEARNING_RATE)), dtype(l2)
        biases = zeros(data, dtype)
        factors = normal(data, dim, training, rng)
        implicit = rng.normal(0.0, training.init_scale, factors[1].shape).astype(dtype)
        rated, starts = rated_items(data.train)

    def train_epoch() -> None:
        order = shuffled(len(values), rng)
        sgd.svdpp_epoch(order, pairs, values, dtype(mean), biases, factors, implicit, rated, starts, rate, penalty)
        meter.visit(len(values))

    def validate() -> tuple[float, Callable[[], Model]]:
        users = factors[0] + implicit_part(implicit, rated, starts)
        model = FactorModel.of(mean, biases, (users, factors[1]), data.train)
        return rmse(model.predict(data.valid.indices), data.valid.values), lambda: model

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)


def rated_items(train: RatingTensor) -> tuple[Array, Array]:
    """The rated items by user, (n,), and where each user's begin in it, (users + 1,)."""
    users, items = train.indices.T
    starts = np.concatenate([[0], np.cumsum(train.counts(0))])
    return items[np.argsort(users, kind="stable")].astype(np.uint32), starts.astype(np.uint32)


def implicit_part(implicit: Array, rated: Array, starts: Array) -> Array:
    """|N(u)|^-1/2 sum over N(u) of y_j for every user, (users, dim); 0 for whom N(u) is empty."""
    sizes = np.asarray(starts[1:], np.int64) - starts[:-1]
    sums = np.zeros((len(sizes), implicit.shape[1]), implicit.dtype)
    np.add.at(sums, np.repeat(np.arange(len(sizes)), sizes), implicit[rated])
    return np.asarray(sums / np.sqrt(np.maximum(sizes, 1)).astype(implicit.dtype)[:, None])


@cache
def _warm_up(dtype: Any) -> None:
    """Compile, or load from Numba's cache, so that it is not booked as training."""
    one, pair = np.ones(1, dtype), np.ones((1, 1), dtype)
    where, first = np.zeros((1, 2), np.uint32), np.zeros(1, np.uint32)
    two = np.array([0, 1], np.uint32)
    zero = dtype(0)
    sgd.svdpp_epoch(first, where, one, zero, (one, one), (pair, pair), pair, first, two, zero, zero)
