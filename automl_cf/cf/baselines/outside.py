"""Outside libraries as models of a study: scikit-surprise's SVD and SVD++, and the Bayesian FM of myFM.

They come with the extra `baselines` and are imported when one is trained. What they fit is read out of them, so that
rows without a training rating are treated as in every other model.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from types import ModuleType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from automl_cf.cf.baselines.biased_mf import LEARNING_RATE
from automl_cf.cf.baselines.factor_model import FactorModel
from automl_cf.cf.baselines.settings import check_order, positive, whole
from automl_cf.cf.baselines.svdpp import implicit_part, rated_items
from automl_cf.cf.bias import one_hot
from automl_cf.cf.meter import Meter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Status, Training
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture

SURPRISE_EPOCHS = 20  # its default
MYFM_ITERATIONS = 200
_LIBRARIES = {"surprise": "scikit-surprise", "myfm": "myfm"}


def require(module: str, what: str) -> None:
    """Raise InputError, naming the extra, if the library that `what` needs is not installed."""
    if find_spec(module) is None:
        raise InputError(f"{what} needs the package {_LIBRARIES[module]}: pip install 'automl-cf[baselines]'.")


def train_surprise(
    name: str,
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
    """The algorithm `name` of scikit-surprise, in float64 on the CPU and always in the same order.

    That is "SVD", which is biased MF by SGD, or "SVDpp". It knows no validation: it goes over the ratings as often as
    the architecture's `epochs` say (a lower fidelity, the parameter `epochs`, shortens that). Raises InputError where
    it is not installed, and for data that are no matrix.
    """
    require("surprise", f"model '{architecture['model']}'")
    check_order(architecture, data.train.order, 2)
    count = min(whole(architecture, "epochs", SURPRISE_EPOCHS), epochs or np.iinfo(np.int64).max)
    rate = positive(architecture, "learning_rate", LEARNING_RATE)
    with meter.timed("setup"):
        import surprise
    with meter.timed("train"):
        trainset = _trainset(surprise, data.train)
        algorithm = getattr(surprise, name)(
            n_factors=dim,
            n_epochs=count,
            lr_all=rate,
            reg_all=l2,
            init_std_dev=training.init_scale,
            random_state=int(rng.integers(2**31 - 1)),
        )
        algorithm.fit(trainset)
        meter.visit(count * len(data.train))
    return _validated(data, l2, count, meter, lambda: _surprise_model(algorithm, trainset, data.train))


def _trainset(surprise: Any, train: RatingTensor) -> Any:
    users, items = train.indices.T
    frame = pd.DataFrame({"user": users, "item": items, "rating": train.values.astype(np.float64)})
    bound = float(np.abs(train.values).max())  # the scale serves for clipping only, which we do without
    return surprise.Dataset.load_from_df(frame, surprise.Reader(rating_scale=(-bound, bound))).build_full_trainset()


def _surprise_model(algorithm: Any, trainset: Any, train: RatingTensor) -> FactorModel:
    """Its biases and factors in our numbering of the rows: it numbers them as they come."""
    inner = [
        np.array([trainset.to_raw_uid(i) for i in range(trainset.n_users)], np.int64),
        np.array([trainset.to_raw_iid(i) for i in range(trainset.n_items)], np.int64),
    ]

    def ours(table: Any, mode: int) -> NDArray[np.float64]:
        placed = np.zeros((train.shape[mode], *np.shape(table)[1:]))
        placed[inner[mode]] = table
        return placed

    users = ours(algorithm.pu, 0)
    if hasattr(algorithm, "yj"):
        users += implicit_part(ours(algorithm.yj, 1), *rated_items(train))
    biases = (ours(algorithm.bu, 0), ours(algorithm.bi, 1))
    return FactorModel.of(float(trainset.global_mean), biases, (users, ours(algorithm.qi, 1)), train)


def train_myfm(
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
    """The Bayesian FM by Gibbs sampling, for any number of modes: the mean of its samples' predictions.

    It draws its own penalties from hyperpriors, one per mode, so `l2` and the learning rate mean nothing to it. The
    architecture's `iterations` are its passes, `kept` how many of the last samples it predicts with (half of them).
    `epochs` (a lower fidelity) limits the passes. Raises InputError where it is not installed.
    """
    require("myfm", f"model '{architecture['model']}'")
    train = data.train
    count = min(whole(architecture, "iterations", MYFM_ITERATIONS), epochs or np.iinfo(np.int64).max)
    kept = min(whole(architecture, "kept", max(1, count // 2)), count)
    with meter.timed("setup"):
        myfm = _myfm()
        regressor = myfm.MyFMGibbsRegressor(rank=dim, random_seed=int(rng.integers(2**31 - 1)))

    def after_a_pass(*_: Any) -> tuple[bool, None]:
        meter.visit(len(train))
        meter.check()
        return False, None

    with meter.timed("train"), redirect_stderr(StringIO()):  # it draws a progress bar, whoever asks
        regressor.fit(
            csr_matrix(one_hot(train)),  # it takes no sparse arrays
            train.values.astype(np.float64),
            n_iter=count,
            n_kept_samples=kept,
            group_shapes=[int(n) for n in train.shape],
            callback=after_a_pass,
        )
    samples = regressor.predictor_.samples
    return _validated(data, l2, count, meter, lambda: SampledFm.of(samples, train))


def _myfm() -> Any:
    """Import myFM. Version 0.4 imports two names, of which it makes no use, from what setuptools no longer has."""
    missing = "pkg_resources"
    stand_in: Any = ModuleType(missing)
    stand_in.get_distribution = stand_in.DistributionNotFound = None
    lacks_it = missing not in sys.modules and find_spec(missing) is None
    if lacks_it:
        sys.modules[missing] = stand_in
    try:
        return import_module("myfm")
    finally:
        if lacks_it:
            del sys.modules[missing]


class SampledFm:
    """Factorisation machines whose predictions are averaged.

    `w0` is (samples,); `tables` (samples, rows of all modes, 1 + dim) biases and factors; `shape` the modes' rows.
    """

    def __init__(self, w0: NDArray[np.float64], tables: NDArray[np.float64], shape: Sequence[int]) -> None:
        self.w0 = w0
        self.tables = tables
        self.shape = tuple(shape)

    @classmethod
    def of(cls, samples: Sequence[Any], train: RatingTensor) -> Self:
        """From myFM's samples; in each, rows without a rating in `train` have the mean of the mode's others."""
        tables = np.stack([np.column_stack([sample.w, sample.V]) for sample in samples])
        starts = np.cumsum([0, *train.shape])
        for mode in range(train.order):
            part, cold = tables[:, starts[mode] : starts[mode + 1]], train.counts(mode) == 0
            if cold.any():
                part[:, cold] = part[:, ~cold].mean(axis=1, keepdims=True)
        return cls(np.array([sample.w0 for sample in samples], np.float64), tables, train.shape)

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        places = indices + np.cumsum([0, *self.shape[:-1]])
        total = np.zeros(len(indices))
        for w0, table in zip(self.w0, self.tables, strict=True):
            both, squares = np.zeros((len(indices), table.shape[1])), np.zeros(len(indices))
            for column in places.T:
                rows = table[column]
                both += rows
                squares += np.einsum("nf,nf->n", rows[:, 1:], rows[:, 1:])
            total += w0 + both[:, 0] + 0.5 * (np.einsum("nf,nf->n", both[:, 1:], both[:, 1:]) - squares)
        return total / len(self.w0)

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {"w0": self.w0, "tables": self.tables}, {"shape": list(self.shape)}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Self:
        """The inverse of `parts`."""
        return cls(np.array(arrays["w0"]), np.array(arrays["tables"]), values["shape"])


def _validated(data: SearchData, l2: float, passes: int, meter: Meter, model_of: Callable[[], Model]) -> Fit:
    """The fit of a library that trains in one go."""
    with meter.timed("validate"):
        model = model_of()
        error = rmse(model.predict(data.valid.indices), data.valid.values)
    meter.check()
    status: Status = "ok" if np.isfinite(error) else "diverged"
    found = model if status == "ok" else None
    return Fit(status, error if found else float("nan"), l2, passes, passes if found else 0, (error,), found)
