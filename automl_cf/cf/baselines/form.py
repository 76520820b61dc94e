"""A human-designed model as a formula, and its training under the common objective.

The objective is that of `Training`: a batch's mean squared error + penalty of the rows, by Adagrad, the predictor w
projected onto the unit ball. Weights of inner layers are trained with them, without a penalty, as in equation (5).
Always on PyTorch, on any device.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_cf.cf.embeddings import (
    Adagrad,
    ColdRows,
    DeviceRatings,
    Penalty,
    dtype_of,
    initial_predictor,
    initial_tables,
    project_predictor,
    shuffled_batches,
)
from automl_cf.cf.meter import Meter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best

PREDICTOR = "w"  # the name of the weights that are projected
_NUMBERS_AT_ONCE = 1 << 24  # in what a formula keeps for a chunk of ratings, to bound memory

Weights = Mapping[str, Tensor]
Score = Callable[[Sequence[Tensor], Weights], Tensor]


@dataclass(frozen=True)
class Form:
    """A model: the score of ratings from one row per mode and common weights.

    Every row of every mode has `width` numbers, the first `linear` of which start at 0, the others as embeddings do.
    `weights` are shapes by name; that called `w` is the predictor: it starts as a random direction, and its norm is at
    most 1. Of the others, vectors start at 0 (biases), and arrays at random (layers, see `initial_weights`).
    `score(rows, weights)` takes one tensor (n, width) per mode and returns (n,); for a rating it keeps about
    `numbers` numbers in memory. `source` are JSON values by which it can be made again.
    """

    width: int
    score: Score
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    linear: int = 0
    numbers: int = 64
    source: Mapping[str, Any] = field(default_factory=dict)


def initial_weights(form: Form, training: Training, rng: np.random.Generator, device: str) -> dict[str, Tensor]:
    """The predictor as for any other model; layers uniform with variance 2 / (inputs + outputs) (Glorot, Bengio 2010).

    A layer's shape is (outputs, inputs, *kernel).
    """
    weights = {}
    for name, shape in form.weights.items():
        if name == PREDICTOR:
            weights[name] = initial_predictor(math.prod(shape), training, rng, device).view(shape)
            continue
        drawn = np.zeros(shape)
        if len(shape) > 1:
            bound = math.sqrt(6.0 / (sum(shape[:2]) * math.prod(shape[2:])))
            drawn = rng.uniform(-bound, bound, shape)
        weights[name] = torch.tensor(drawn, dtype=dtype_of(training), device=device)
    return weights


class FormModel:
    """A trained form: its tables (cold rows filled) and weights."""

    def __init__(self, form: Form, tables: Sequence[Tensor], weights: Weights) -> None:
        self.form = form
        self.tables = list(tables)
        self.weights = dict(weights)

    @torch.no_grad()
    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        device = self.tables[0].device
        chunks = np.array_split(indices, max(1, -(-len(indices) * self.form.numbers // _NUMBERS_AT_ONCE)))
        parts = [np.empty(0)]
        for chunk in chunks:
            rows = _gathered(self.tables, [torch.tensor(column, device=device) for column in chunk.T])
            parts.append(self.form.score(rows, self.weights).cpu().numpy().astype(np.float64))
        return np.concatenate(parts)

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        tables = {f"table{mode}": table.cpu().numpy() for mode, table in enumerate(self.tables)}
        return tables | {name: weight.cpu().numpy() for name, weight in self.weights.items()}, dict(self.form.source)

    @classmethod
    def restore(cls, form: Form, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `parts`, on the CPU."""
        tables = [torch.tensor(arrays[f"table{mode}"]) for mode in range(len(arrays) - len(form.weights))]
        return cls(form, tables, {name: torch.tensor(arrays[name]) for name in form.weights})


def train_form(
    form: Form,
    data: SearchData,
    training: Training,
    *,
    l2: float,
    rng: np.random.Generator,
    meter: Meter,
    device: str = "cpu",
    epochs: int | None = None,
) -> Fit:
    """Train until validation stops improving; the best state is kept.

    `epochs` overrides the training's `max_epochs`. A non-finite RMSE ends it with status `diverged`. Raises
    `BudgetExhausted` through `meter.check()`.
    """
    dtype = dtype_of(training)
    with meter.timed("train"):
        train = DeviceRatings.of(data.train, device, dtype)
        tables = initial_tables(data.train.shape, form.width, training, rng, device)
        for table in tables:
            table[:, : form.linear] = 0
        weights = initial_weights(form, training, rng, device)
        parameters = [*tables, *weights.values()]
        for parameter in parameters:
            parameter.requires_grad_()
        optimizer = Adagrad(parameters, training.learning_rate)
        penalty = Penalty(train, data.train.shape, training.penalty)
        cold = ColdRows(data.train, device)

    def train_epoch() -> None:
        for numbers in shuffled_batches(len(train), training.batch_size, rng, device):
            batch = train.take(numbers)
            loss = (form.score(_gathered(tables, batch.indices), weights) - batch.values).square().mean()
            if l2 > 0:
                loss = loss + penalty(tables, batch, l2)
            optimizer.step(torch.autograd.grad(loss, parameters))
            if PREDICTOR in weights:
                project_predictor(weights[PREDICTOR])
        meter.visit(len(train))

    @torch.no_grad()
    def validate() -> tuple[float, Callable[[], Model]]:
        now = FormModel(form, cold.filled(tables), weights)
        error = rmse(now.predict(data.valid.indices), data.valid.values)

        def freeze() -> Model:
            kept = {name: weight.detach().clone() for name, weight in weights.items()}
            return FormModel(form, [table.detach().clone() for table in now.tables], kept)

        return error, freeze

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)


def _gathered(tables: Sequence[Tensor], indices: Sequence[Tensor]) -> list[Tensor]:
    return [table.index_select(0, index) for table, index in zip(tables, indices, strict=True)]
