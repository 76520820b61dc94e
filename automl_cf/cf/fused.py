"""The fused CPU engine: the reference engine's training and supernet on Numba kernels, for matrices on the CPU.

Same algorithm, same random streams: in float64 both engines agree to rounding. An operation without a kernel, more
than two modes, or a GPU needs `training.engine = "reference"`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from automl_cf.cf import kernels
from automl_cf.cf.elementwise import MODE_VECTORS
from automl_cf.cf.embeddings import EPSILON
from automl_cf.cf.interaction import InteractionFunction, operations_of
from automl_cf.cf.meter import Meter, NullMeter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.operations import operations
from automl_cf.cf.ratings import RatingTensor
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
        dtype = np.float64 if training.precision == "float64" else np.float32
        shape, longest = data.train.shape, max(len(data.train), len(data.valid))
        counts = [data.train.counts(mode) for mode in range(2)]
        tables = tuple(rng.normal(0.0, training.init_scale, (n, dim)).astype(dtype) for n in shape)
        ws = np.zeros((len(names), 2 * dim), dtype)
        for row, name in zip(ws, names, strict=True):
            w = rng.normal(size=operations.get(name).width(dim, 2))
            row[: len(w)] = w / np.linalg.norm(w)
        self.dtype = dtype
        self.cold = tuple(count == 0 for count in counts)
        self.state = kernels.State(
            width=(0,) * dim,
            tables=tables,
            sums=tuple(np.zeros_like(table) for table in tables),
            ws=ws,
            wsums=np.zeros_like(ws),
            codes=np.array([kernels.CODES[name] for name in names]),
            step=(dtype(training.learning_rate), dtype(EPSILON)),
            penalty=kernels.PENALTY_CODES[training.penalty],
            shares=tuple((len(data.train) / np.maximum(count, 1)).astype(dtype) for count in counts),
            l2=dtype(l2),
            transformed=tuple(np.empty_like(table) for table in tables),
            slopes=tuple(np.empty_like(table) for table in tables),
            grads=tuple(np.empty_like(table) for table in tables),
            counts=tuple(np.zeros(n, dtype) for n in shape),
            touched=tuple(np.empty(n, np.uint32) for n in shape),
            error=np.empty(longest, dtype),
            upstream=np.empty(longest, dtype),
            gw=np.zeros(2 * dim, dtype),
            flat=np.empty((5, max(shape) * dim)),
        )

    def part(self, ratings: RatingTensor) -> tuple[tuple[Array, Array], Array]:
        """A part as the kernels take it: index vectors of both modes, and the values."""
        columns = np.ascontiguousarray(ratings.indices.T.astype(np.uint32))
        return (columns[0], columns[1]), ratings.values.astype(self.dtype)

    def filled(self) -> tuple[Array, Array]:
        """Both tables, the cold rows standing in with the mean of the warm ones."""
        first, second = (
            np.where(cold[:, None], table[~cold].mean(0), table) if cold.any() else table
            for table, cold in zip(self.state.tables, self.cold, strict=True)
        )
        return first, second

    def transformed(self, vectors: tuple[Array, Array], activation: int) -> tuple[Array, Array]:
        """Both tables, cold rows filled, after their networks."""
        out = []
        for filled, vector in zip(self.filled(), vectors, strict=True):
            result, slope = np.empty_like(filled), np.empty_like(filled)
            rows = np.arange(len(filled), dtype=np.uint32)
            kernels.transform(rows, filled, vector, activation, result, slope, self.state.flat)
            out.append(result)
        return out[0], out[1]

    def predict(self, transformed: tuple[Array, Array], alpha: Array, index: tuple[Array, Array]) -> Array:
        """The scores of all ratings of a part, (n,)."""
        state = self.state
        return np.asarray(_predict(state.width, transformed, state.ws, alpha, state.codes, index))


class FusedModel:
    """A trained interaction function: transformed tables and predictors."""

    def __init__(self, tables: tuple[Array, Array], ws: Array, codes: Array) -> None:
        self.tables = tables
        self.ws = ws
        self.codes = codes

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        columns = np.ascontiguousarray(indices.T.astype(np.uint32))
        ones = np.ones(len(self.codes), self.ws.dtype)
        width = (0,) * self.tables[0].shape[1]
        return np.asarray(_predict(width, self.tables, self.ws, ones, self.codes, (columns[0], columns[1])), np.float64)


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
        index, y = model.part(data.train)
        valid_index, valid_y = model.part(data.valid)
        vectors = _vectors(architecture, model.dtype)
        activation = kernels.ACTIVATION_CODES[str(architecture.get("activation", "sigmoid"))]
        alpha = np.ones(len(names), model.dtype)

    def train_epoch() -> None:
        order = rng.permutation(len(y)).astype(np.uint32)
        kernels.train_epoch(model.state, order, training.batch_size or len(y), index, y, alpha, vectors, activation)
        meter.visit(len(y) * len(names))

    def validate() -> tuple[float, Callable[[], Model]]:
        transformed = model.transformed(vectors, activation)
        error = rmse(model.predict(transformed, alpha, valid_index), valid_y)
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
    (index, y), rows, ones = model.part(part), np.arange(4, dtype=np.uint32), np.ones(1, model.dtype)
    vectors = _vectors(architecture, model.dtype)
    kernels.train_batch(model.state, rows, index, y, ones, vectors, 0)
    kernels.architecture_gradients(model.state, model.filled(), rows, index, y, ones, vectors, 0)


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


@njit(cache=True, nogil=True)
def _predict(width: Any, tables: Any, ws: Any, alpha: Any, codes: Any, index: Any) -> Any:
    out = np.zeros(len(index[0]), ws.dtype)
    rows = np.arange(len(index[0])).astype(np.uint32)
    for m in range(len(codes)):
        if alpha[m] != 0:
            kernels.add_scores(width, codes[m], ws[m], alpha[m], tables[0], tables[1], rows, index[0], index[1], out)
    return out
