"""The reference engine: trains one interaction function, eagerly in PyTorch (paper, equation 5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_cf.cf.elementwise import ACTIVATIONS, MODE_VECTORS, apply_network
from automl_cf.cf.embeddings import (
    Adagrad,
    ColdRows,
    DeviceRatings,
    Penalty,
    dtype_of,
    initial_tables,
    shuffled_batches,
)
from automl_cf.cf.meter import Meter
from automl_cf.cf.operations import operations
from automl_cf.cf.predictor import LINEAR, Predictor, predictor_of
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.errors import InputError, suggest
from automl_cf.spaces.architecture import Architecture

_PREDICT_CHUNK = 1 << 20  # ratings scored at once, to bound memory


def operations_of(architecture: Architecture) -> tuple[str, ...]:
    """The selected operation, or the k selected ones."""
    selected = architecture.get("operations", architecture.get("operation"))
    return tuple(map(str, selected)) if isinstance(selected, tuple) else (str(selected),)


@dataclass(frozen=True)
class InteractionFunction:
    """f of equation (7), with its predictors' sum: a pure function of tables and predictors.

    Raises InputError for an activation that there is not and for vectors that are no network.
    """

    names: tuple[str, ...]
    vectors: tuple[Tensor | None, ...]  # one element-wise network per mode; None is the identity
    activation: str
    predictor: Predictor = LINEAR

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise InputError(
                f"activation is '{self.activation}', but must be one of {', '.join(ACTIVATIONS)}."
                f"{suggest(self.activation, ACTIVATIONS)}"
            )
        for name, vector in zip(MODE_VECTORS, self.vectors, strict=False):
            if vector is not None and (vector.ndim != 1 or len(vector) < 4 or len(vector) % 3 != 1):
                raise InputError(
                    f"network {name} has shape {tuple(vector.shape)}, but must have 3 numbers per unit and 1."
                )

    @classmethod
    def of(cls, architecture: Architecture, order: int, dtype: torch.dtype, device: str) -> Self:
        """Read an architecture. Raises InputError for a predictor that there is not, and as above."""
        vectors = tuple(
            torch.tensor(architecture[name], dtype=dtype, device=device) if name in architecture else None
            for name in MODE_VECTORS[:order]
        )
        activation = str(architecture.get("activation", "sigmoid"))
        return cls(operations_of(architecture), vectors, activation, predictor_of(architecture))

    def transformed(self, tables: Sequence[Tensor]) -> list[Tensor]:
        """The tables after their element-wise networks: n + m rows, never one per rating."""
        return [
            table if vector is None else apply_network(table, vector, self.activation)
            for table, vector in zip(tables, self.vectors, strict=True)
        ]

    def predict(
        self, transformed: Sequence[Tensor], predictors: Mapping[str, Tensor], indices: Sequence[Tensor]
    ) -> Tensor:
        """Sum over the operations of their predictors' scores of O(rows), w . O(rows) if linear, (n,)."""
        rows = [table.index_select(0, index) for table, index in zip(transformed, indices, strict=True)]
        scores = [self.predictor.score(operations.get(name).combine(rows), predictors[name]) for name in self.names]
        return scores[0] if len(scores) == 1 else torch.stack(scores).sum(0)


class InteractionModel:
    """A trained interaction function: its transformed tables (cold rows filled) and predictors."""

    def __init__(
        self, function: InteractionFunction, transformed: Sequence[Tensor], predictors: Mapping[str, Tensor]
    ) -> None:
        self.function = function
        self.transformed = list(transformed)
        self.predictors = dict(predictors)

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        device = self.transformed[0].device
        parts = [np.empty(0)]
        for chunk in np.array_split(indices, max(1, -(-len(indices) // _PREDICT_CHUNK))):
            columns = [torch.tensor(column, device=device) for column in chunk.T]
            scores = self.function.predict(self.transformed, self.predictors, columns)
            parts.append(scores.cpu().numpy().astype(np.float64))
        return np.concatenate(parts)

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        tables = {f"table{mode}": table.cpu().numpy() for mode, table in enumerate(self.transformed)}
        predictors = {f"predictor.{name}": w.cpu().numpy() for name, w in self.predictors.items()}
        predictor = {} if self.function.predictor is LINEAR else {"predictor": self.function.predictor.name}
        return tables | predictors, {"operations": list(self.function.names), **predictor}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Self:
        """The inverse of `parts`, on the CPU. The networks are in the tables already."""
        names = tuple(map(str, values["operations"]))
        tables = [torch.tensor(arrays[f"table{mode}"]) for mode in range(len(arrays) - len(names))]
        predictors = {name: torch.tensor(arrays[f"predictor.{name}"]) for name in names}
        identities: tuple[Tensor | None, ...] = (None,) * len(tables)
        return cls(InteractionFunction(names, identities, "sigmoid", predictor_of(values)), tables, predictors)


def train_interaction(
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
    """Train `architecture` until validation stops improving; the best state is kept.

    `epochs` overrides the training's `max_epochs` (a lower fidelity). A non-finite loss or prediction ends it
    with status `diverged`. Raises `BudgetExhausted` through `meter.check()`.
    """
    dtype = dtype_of(training)
    with meter.timed("train"):
        function = InteractionFunction.of(architecture, data.train.order, dtype, device)
        train = DeviceRatings.of(data.train, device, dtype)
        valid = DeviceRatings.of(data.valid, device, dtype)
        tables = initial_tables(data.train.shape, dim, training, rng, device)
        predictors = {
            name: function.predictor.initial(operations.get(name).width(dim, data.train.order), training, rng, device)
            for name in function.names
        }
        parameters = [*tables, *predictors.values()]
        for parameter in parameters:
            parameter.requires_grad_()
        optimizer = Adagrad(parameters, training.learning_rate)
        penalty = Penalty(train, data.train.shape, training.penalty)
        cold = ColdRows(data.train, device)

    def train_epoch() -> None:
        for rows in shuffled_batches(len(train), training.batch_size, rng, device):
            batch = train.take(rows)
            prediction = function.predict(function.transformed(tables), predictors, batch.indices)
            loss = (prediction - batch.values).square().mean()
            if l2 > 0:
                loss = loss + penalty(tables, batch, l2)
            optimizer.step(torch.autograd.grad(loss, parameters))
            for weights in predictors.values():
                function.predictor.project(weights)
        meter.visit(len(train) * len(function.names))

    @torch.no_grad()
    def validate() -> tuple[float, Callable[[], Model]]:
        transformed = function.transformed(cold.filled(tables))
        prediction = function.predict(transformed, predictors, valid.indices)
        rmse = (prediction - valid.values).double().square().mean().sqrt().item()

        def freeze() -> Model:
            kept = [table.detach().clone() for table in transformed]
            weights = {name: w.detach().clone() for name, w in predictors.items()}
            return InteractionModel(function, kept, weights)

        return rmse, freeze

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)
