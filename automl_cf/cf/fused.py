"""The fused CPU engine: the reference engine's training and supernet on Numba kernels, on the CPU.

Same algorithm, same random streams: in float64 both engines agree to rounding. It has all the operations of
operations.py and their compositions, but no concat or outer of more than two terms. These, an operation of one's own or
a GPU need `training.engine = "reference"` or `"batched"`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from automl_cf.cf import kernels
from automl_cf.cf.compositions import formula_of
from automl_cf.cf.elementwise import MODE_VECTORS
from automl_cf.cf.embeddings import EPSILON
from automl_cf.cf.interaction import InteractionFunction, operations_of
from automl_cf.cf.meter import Meter, NullMeter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.operations import operations
from automl_cf.cf.predictor import LINEAR
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.formula import CONCAT, Formula, Term

Array = NDArray[Any]
Arrays = tuple[Array, ...]  # one per mode

_WIDER = (CONCAT, "outer")  # operations whose result is longer than an embedding

_packed: "WeakKeyDictionary[RatingTensor, dict[Any, tuple[Array, Array]]]" = WeakKeyDictionary()
"""Parts as the kernels take them: several supernets on the same ratings share one copy."""


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
        steps = program(names, data.train.order)
        self.dtype: Any = np.float64 if training.precision == "float64" else np.float32
        shape, order = data.train.shape, data.train.order
        counts = [data.train.counts(mode) for mode in range(order)]
        tables = [rng.normal(0.0, training.init_scale, (n, dim)).astype(self.dtype) for n in shape]
        firsts = np.cumsum([0, *(_slots(n, dim) for n in shape)])
        widths = [operations.get(name).width(dim, order) for name in names]
        ws = np.zeros((len(names), max(2 * dim, *widths)), self.dtype)
        for row, width in zip(ws, widths, strict=True):
            w = rng.normal(size=width)
            row[:width] = w / np.linalg.norm(w)
        self.state = kernels.State(
            width=(0,) * dim,
            modes=tuple(map(self._mode, tables, counts, firsts.tolist())),
            ws=ws,
            wsums=np.zeros_like(ws),
            steps=steps,
            step=(self.dtype(training.learning_rate), self.dtype(EPSILON)),
            penalty=kernels.PENALTY_CODES[training.penalty],
            l2=self.dtype(l2),
            value=np.empty(0, self.dtype),
            grads=np.empty(0, self.dtype),
            places=np.empty((2 * order - 2, 0), np.uint32),
            error=np.empty(0, self.dtype),
            gw=np.zeros(ws.shape[1], self.dtype),
        )

    def for_batches_of(self, size: int) -> kernels.State:
        """The state, with scratch memory for batches of up to `size` ratings."""
        state = self.state
        if len(state.error) < size:
            order, dim, last = len(state.modes), len(state.width), state.modes[-1]
            first = last.first + _slots(len(last.table), dim)  # of the results of steps
            results = np.arange(first, first + (order - 2) * size, dtype=np.uint32)
            elements = (first + len(results)) * dim
            value, grads = np.zeros(elements, self.dtype), np.zeros(elements, self.dtype)
            self.state = state._replace(
                modes=tuple(
                    mode._replace(value=value[mode.first * dim :], grads=grads[mode.first * dim :])
                    for mode in state.modes
                ),
                value=value,
                grads=grads,
                places=np.concatenate([np.empty((order, size), np.uint32), results.reshape(order - 2, size)]),
                error=np.empty(size, self.dtype),
            )
        return self.state

    def _mode(self, table: Array, counts: Array, first: int) -> kernels.Mode:
        rows, dim = table.shape
        elements = _slots(rows, dim) * dim
        return kernels.Mode(
            table=table,
            sums=np.zeros_like(table),
            shares=(counts.sum() / np.maximum(counts, 1)).astype(self.dtype),
            cold=counts == 0,
            slots=np.full(rows, kernels.NO_SLOT),
            touched=np.empty(rows + 1, np.uint32),
            counts=np.empty(rows, self.dtype),
            x=np.zeros(elements, self.dtype),
            value=np.empty(0, self.dtype),
            slope=np.zeros(elements, self.dtype),
            grads=np.empty(0, self.dtype),
            first=first,
        )

    def part(self, ratings: RatingTensor) -> tuple[Array, Array]:
        """A part as the kernels take it: rows of each mode (n, order) and values (n,).

        Both are views of one array, so that one access to memory fetches all of a rating.
        """
        kept = _packed.setdefault(ratings, {})
        if self.dtype not in kept:
            packed = np.empty(len(ratings), [("rows", np.uint32, ratings.order), ("y", self.dtype)])
            packed["rows"], packed["y"] = ratings.indices, ratings.values
            kept[self.dtype] = packed["rows"], packed["y"]
        return kept[self.dtype]

    def transformed(self, vectors: Arrays, activation: int) -> Arrays:
        """Copies of the modes' tables, cold rows filled, after their networks."""
        both = zip(self.state.modes, vectors, strict=True)
        return tuple(self._transformed(mode, vector, activation) for mode, vector in both)

    def _transformed(self, mode: kernels.Mode, vector: Array, activation: int) -> Array:
        kernels.fill_cold_rows(self.state.width, mode)
        table: Array = mode.table.copy()
        if len(vector) == 0:
            return table
        x, value, slope = np.zeros((3, kernels.whole_lanes(table.size)), self.dtype)
        x[: table.size] = table.ravel()
        kernels.transform(x, table.size, vector, activation, value, slope)
        return np.asarray(value[: table.size].reshape(table.shape))

    def predict(self, transformed: Arrays, alpha: Array, indices: Array) -> Array:
        """The scores of all ratings of a part, (n,)."""
        return _predict(transformed, self.state.ws, alpha, self.state.steps, indices)


class FusedModel:
    """A trained interaction function: transformed tables and predictors."""

    def __init__(self, names: Sequence[str], tables: Arrays, ws: Array, steps: Array) -> None:
        self.names = list(names)
        self.tables = tables
        self.ws = ws
        self.steps = steps

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        ones = np.ones(len(self.ws), self.ws.dtype)
        return np.asarray(_predict(self.tables, self.ws, ones, self.steps, indices.astype(np.uint32)), np.float64)

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """As `InteractionModel` has them: what is stored does not depend on the engine."""
        order, dim = len(self.tables), self.tables[0].shape[1]
        predictors = {
            f"predictor.{name}": w[: operations.get(name).width(dim, order)]
            for name, w in zip(self.names, self.ws, strict=True)
        }
        tables = {f"table{mode}": table for mode, table in enumerate(self.tables)}
        return tables | predictors, {"operations": self.names}


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
    order = data.train.order
    function = InteractionFunction.of(architecture, order, torch.float64, "cpu")  # refuses what makes no sense
    if function.predictor is not LINEAR:
        raise InputError(f"training.engine is 'fused', which has no kernel for predictor '{function.predictor.name}'.")
    with meter.timed("train"):
        model = FusedTables(names, data, training, dim, rng, l2)
        indices, y = model.part(data.train)
        valid_indices, valid_y = model.part(data.valid)
        vectors = vectors_of(architecture, order, model.dtype)
        batch = training.batch_size or len(y)
        state = model.for_batches_of(min(batch, len(y)))
        activation = kernels.ACTIVATION_CODES[str(architecture.get("activation", "sigmoid"))]
        alpha = np.ones(len(names), model.dtype)

    def train_epoch() -> None:
        kernels.train_epoch(state, shuffled(len(y), rng), batch, indices, y, alpha, vectors, activation)
        meter.visit(len(y) * len(names))

    def validate() -> tuple[float, Callable[[], Model]]:
        transformed = model.transformed(vectors, activation)
        error = rmse(model.predict(transformed, alpha, valid_indices), valid_y)
        return error, lambda: FusedModel(names, transformed, state.ws.copy(), state.steps)

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)


@cache
def warm_up(dim: int, precision: Literal["float32", "float64"], order: int = 2) -> None:
    """Compile (or load from Numba's cache) every kernel for a dimension, so that no search is charged for it."""
    training = Training(precision=precision, max_epochs=1)
    cells = np.argwhere(np.ones((2,) * order))
    part = RatingTensor(cells, cells.sum(1).astype(np.float32), (2,) * order)
    data = SearchData(part, part, 0.0, 1.0, "")
    architecture = Architecture({"operation": "plus"} | dict.fromkeys(MODE_VECTORS[:order], (1.0, 0.0, 1.0, 0.0)))
    rng, meter = np.random.default_rng(0), NullMeter()
    fit = train_fused(architecture, data, training, dim=dim, l2=0.1, rng=rng, meter=meter)
    assert fit.model is not None
    fit.model.predict(part.indices)  # of whole arrays, where training has views
    model = FusedTables(("plus",), data, training, dim, np.random.default_rng(0), 0.1)
    (indices, y), rows, ones = model.part(part), np.arange(len(cells), dtype=np.uint32), np.ones(1, model.dtype)
    vectors = vectors_of(architecture, order, model.dtype)
    batch = (model.for_batches_of(len(rows)), rows, indices, y, ones, vectors, 0)
    kernels.train_batch(*batch)
    kernels.architecture_gradients(*batch, np.zeros((order, 4)))


def vectors_of(networks: Mapping[str, Any], order: int, dtype: type) -> Arrays:
    """The modes' networks, by their names in an architecture; an empty vector is the identity."""
    return tuple(np.array(networks.get(name, ()), dtype) for name in MODE_VECTORS[:order])


def program(names: Sequence[str], order: int) -> Array:
    """Operations as the kernels take them, (operations, order - 1, 3).

    Raises InputError for an unknown operation, one of another number of modes, and one that there is no kernel for.
    """
    return np.array([_steps(name, order) for name in names], np.int64)


def has_kernel(formula: Formula) -> bool:
    """Whether there is a kernel for the outermost operation: a step has two operands, and only the last is wider."""
    return formula.operation in kernels.CODES and (formula.operation not in _WIDER or len(formula.parts) == 2)


def _steps(name: str, order: int) -> list[tuple[int, int, int]]:
    operations.get(name)  # an unknown one is refused as such
    steps: list[tuple[int, int, int]] = []

    def operand(term: Term) -> int:
        """Where to find the term, after the steps that make it, two operands each."""
        if isinstance(term, int):
            return term - 1
        if not has_kernel(term):
            of = f" of {order} modes" if term.operation in kernels.CODES else ""
            raise InputError(
                f"training.engine is 'fused', which has no kernel for operation '{term.operation}'{of}; it needs "
                'engine = "reference" or "batched".'
            )
        first, *others = (operand(part) for part in term.parts)
        for other in others:
            steps.append((kernels.CODES[term.operation], first, other))
            first = order + len(steps) - 1
        return first

    operand(formula_of(name, order))
    return steps


def _slots(rows: int, dim: int) -> int:
    """How many slots a mode has: one per row, and room for whole LANES after them."""
    return rows + -(-2 * len(kernels.LANES) // dim)


def _predict(tables: Arrays, ws: Array, alpha: Array, steps: Array, indices: Array) -> Array:
    dim = tables[0].shape[1]
    results = np.empty(((len(tables) - 2) * kernels.BLOCK, dim), ws.dtype)
    rows = np.concatenate([*tables, results]).ravel()
    firsts = np.cumsum([0, *map(len, tables)])
    return np.asarray(kernels.predict((0,) * dim, rows, firsts, ws, alpha, steps, indices))
