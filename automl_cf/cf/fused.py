"""The fused CPU engine: the reference engine's training and supernet on Numba kernels, for matrices on the CPU.

Same algorithm, same random streams: in float64 both engines agree to rounding. An operation without a kernel, more
than two modes, or a GPU needs `training.engine = "reference"`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from automl_cf.cf import kernels
from automl_cf.cf.elementwise import MODE_VECTORS
from automl_cf.cf.embeddings import EPSILON
from automl_cf.cf.interaction import InteractionFunction, operations_of
from automl_cf.cf.meter import Meter, NullMeter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.operations import operations
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture

Array = NDArray[Any]


class FusedTables:
    """Embeddings, predictors, Adagrad's sums and scratch memory of one model or supernet."""

    def __init__(
        self,
        names: Sequence[str],
        data: SearchData,
        training: Training,
        dim: int,
        rng: np.random.Generator,
        l2: float,
    ) -> None:
        _check(names, data)
        self.dtype: Any = np.float64 if training.precision == "float64" else np.float32
        shape, longest = data.train.shape, max(len(data.train), len(data.valid))
        counts = [data.train.counts(mode) for mode in range(2)]
        tables = [rng.normal(0.0, training.init_scale, (n, dim)).astype(self.dtype) for n in shape]
        ws = np.zeros((len(names), 2 * dim), self.dtype)
        for row, name in zip(ws, names, strict=True):
            w = rng.normal(size=operations.get(name).width(dim, 2))
            row[: len(w)] = w / np.linalg.norm(w)
        self.state = kernels.State(
            width=(0,) * dim,
            modes=tuple(self._mode(table, count, longest) for table, count in zip(tables, counts, strict=True)),
            ws=ws,
            wsums=np.zeros_like(ws),
            codes=np.array([kernels.CODES[name] for name in names]),
            step=(self.dtype(training.learning_rate), self.dtype(EPSILON)),
            penalty=kernels.PENALTY_CODES[training.penalty],
            l2=self.dtype(l2),
            error=np.empty(longest, self.dtype),
            gw=np.zeros(2 * dim, self.dtype),
        )

    def _mode(self, table: Array, counts: Array, longest: int) -> kernels.Mode:
        rows, elements = len(table), kernels.whole_lanes(table.size + table.shape[1]) + len(kernels.LANES)
        return kernels.Mode(
            table=table,
            sums=np.zeros_like(table),
            shares=(counts.sum() / np.maximum(counts, 1)).astype(self.dtype),
            cold=counts == 0,
            slots=np.full(rows, kernels.NO_SLOT),
            touched=np.empty(rows + 1, np.uint32),
            counts=np.empty(rows, self.dtype),
            places=np.empty(longest, np.uint32),
            x=np.zeros(elements, self.dtype),
            value=np.zeros(elements, self.dtype),
            slope=np.zeros(elements, self.dtype),
            grads=np.zeros(elements, self.dtype),
        )

    def part(self, ratings: RatingTensor) -> tuple[Array, Array]:
        """A part as the kernels take it: pairs of rows (n, 2) and values (n,).

        Both are views of one array, so that one access to memory fetches all of a rating.
        """
        packed = np.empty(len(ratings), [("pair", np.uint32, 2), ("y", self.dtype)])
        packed["pair"], packed["y"] = ratings.indices, ratings.values
        return packed["pair"], packed["y"]

    def transformed(self, vectors: tuple[Array, Array], activation: int) -> tuple[Array, Array]:
        """Copies of both tables, cold rows filled, after their networks."""
        first, second = (
            self._transformed(mode, vector, activation) for mode, vector in zip(self.state.modes, vectors, strict=True)
        )
        return first, second

    def _transformed(self, mode: kernels.Mode, vector: Array, activation: int) -> Array:
        kernels.fill_cold_rows(self.state.width, mode)
        table: Array = mode.table.copy()
        if len(vector) == 0:
            return table
        x, value, slope = np.zeros((3, kernels.whole_lanes(table.size)), self.dtype)
        x[: table.size] = table.ravel()
        kernels.transform(x, table.size, vector, activation, value, slope)
        return np.asarray(value[: table.size].reshape(table.shape))

    def predict(self, transformed: tuple[Array, Array], alpha: Array, pairs: Array) -> Array:
        """The scores of all ratings of a part, (n,)."""
        state = self.state
        return np.asarray(kernels.predict(state.width, transformed, state.ws, alpha, state.codes, pairs))


class FusedModel:
    """A trained interaction function: transformed tables and predictors."""

    def __init__(self, tables: tuple[Array, Array], ws: Array, codes: Array) -> None:
        self.tables = tables
        self.ws = ws
        self.codes = codes

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        pairs = indices.astype(np.uint32)
        ones = np.ones(len(self.codes), self.ws.dtype)
        width = (0,) * self.tables[0].shape[1]
        return np.asarray(kernels.predict(width, self.tables, self.ws, ones, self.codes, pairs), np.float64)


def train_fused(
    architecture: Architecture,
    data: SearchData,
    training: Training,
    *,
    dim: int,
    l2: float,
    rng: np.random.Generator,
    meter: Meter,
    epochs: int | None = None,
) -> Fit:
    """What `train_interaction` does, on the fused engine. Raises InputError for what it has no kernel for."""
    names = operations_of(architecture)
    InteractionFunction.of(architecture, 2, torch.float64, "cpu")  # refuses what makes no sense
    with meter.timed("train"):
        model = FusedTables(names, data, training, dim, rng, l2)
        pairs, y = model.part(data.train)
        valid_pairs, valid_y = model.part(data.valid)
        vectors = _vectors(architecture, model.dtype)
        activation = kernels.ACTIVATION_CODES[str(architecture.get("activation", "sigmoid"))]
        alpha = np.ones(len(names), model.dtype)

    def train_epoch() -> None:
        order = shuffled(len(y), rng)
        kernels.train_epoch(model.state, order, training.batch_size or len(y), pairs, y, alpha, vectors, activation)
        meter.visit(len(y) * len(names))

    def validate() -> tuple[float, Callable[[], Model]]:
        transformed = model.transformed(vectors, activation)
        error = rmse(model.predict(transformed, alpha, valid_pairs), valid_y)
        return error, lambda: FusedModel(transformed, model.state.ws.copy(), model.state.codes)

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)


@cache
def warm_up(dim: int, precision: Literal["float32", "float64"]) -> None:
    """Compile (or load from Numba's cache) every kernel for a dimension, so that no search is charged for it."""
    training = Training(precision=precision, max_epochs=1)
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    part = RatingTensor(cells, np.array([0.0, 1.0, 1.0, 0.0], np.float32), (2, 2))
    data = SearchData(part, part, 0.0, 1.0, "")
    architecture = Architecture({"operation": "plus", "p": [1.0, 0.0, 1.0, 0.0], "q": [1.0, 0.0, 1.0, 0.0]})
    train_fused(architecture, data, training, dim=dim, l2=0.1, rng=np.random.default_rng(0), meter=NullMeter())
    model = FusedTables(("plus",), data, training, dim, np.random.default_rng(0), 0.1)
    (pairs, y), rows, ones = model.part(part), np.arange(4, dtype=np.uint32), np.ones(1, model.dtype)
    vectors = _vectors(architecture, model.dtype)
    kernels.train_batch(model.state, rows, pairs, y, ones, vectors, 0)
    kernels.architecture_gradients(model.state, rows, pairs, y, ones, vectors, 0)


def _vectors(architecture: Mapping[str, Any], dtype: type) -> tuple[Array, Array]:
    """Both modes' networks; an empty vector is the identity."""
    first: Array = np.array(architecture.get(MODE_VECTORS[0], ()), dtype)
    second: Array = np.array(architecture.get(MODE_VECTORS[1], ()), dtype)
    return first, second


def _check(names: Sequence[str], data: SearchData) -> None:
    for name in names:
        operations.get(name)  # an unknown one is refused as such
    missing = [name for name in names if name not in kernels.CODES]
    if missing or data.train.order != 2:
        what = f"operation '{missing[0]}'" if missing else f"{data.train.order} modes"
        raise InputError(f"training.engine 'fused' has no kernel for {what}; use engine = \"reference\".")
