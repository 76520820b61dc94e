"""The supernet of one-shot searchers: shared embeddings, one predictor per operation (paper, section 3.3).

It holds T = {U, V, {w_m}} and computes gradients; S = {alpha, p, q} and the rule that updates it are the
searcher's. Everything of S goes in and comes out as small numpy arrays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_cf.cf.elementwise import MODE_VECTORS
from automl_cf.cf.embeddings import (
    Adagrad,
    ColdRows,
    DeviceRatings,
    Penalty,
    dtype_of,
    initial_predictor,
    initial_tables,
    project_predictor,
)
from automl_cf.cf.interaction import InteractionFunction
from automl_cf.cf.meter import Meter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.operations import operations
from automl_cf.cf.shuffle import shuffled
from automl_cf.errors import InputError
from automl_cf.spaces.views.relaxation import Relaxation

Part = Literal["train", "valid"]
Vector = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]  # row numbers of a part


@dataclass(frozen=True)
class ArchitectureGradients:
    """Gradients of a batch's mean squared error: by alpha (one per operation), and by each network."""

    alpha: Vector
    vectors: dict[str, Vector]


def paired_batches(train: int, valid: int, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of batches (validation rows, training rows): one pass over each part, in as many steps.

    `train` and `valid` are the parts' sizes; a `batch_size` of 0 is the full batch. A validation part with
    fewer ratings than there are steps is gone through again and again.
    """
    size = batch_size or train
    steps = -(-train // size)
    valid_batches = np.array_split(shuffled(valid, rng), min(steps, valid))
    train_order = shuffled(train, rng)
    train_batches = (train_order[start : start + size] for start in range(0, train, size))
    yield from zip(cycle(valid_batches), train_batches, strict=False)


def check_networks(relaxation: Relaxation, order: int) -> None:
    """Raise InputError for a relaxation with vectors that are no mode's network."""
    for vector, _, _ in relaxation.vectors:
        if vector not in MODE_VECTORS[:order]:
            raise InputError(
                f"space '{relaxation.space.name}' has the vector '{vector}', but the networks of "
                f"{order} modes are {', '.join(MODE_VECTORS[:order])}."
            )


class Supernet:
    """All operations of a relaxation over shared embeddings.

    `alpha` (one weight per operation, mostly zeros) says which operations speak, h = sum_m alpha_m w_m . O_m
    (equation 8); `vectors` maps the networks' names (p, q, ...) to their weights. Raises InputError for a
    relaxation with vectors that are no mode's network.
    """

    def __init__(self, relaxation: Relaxation, task: TrainingTask, meter: Meter, seed: np.random.SeedSequence) -> None:
        self.relaxation = relaxation
        self.meter = meter
        self.training = task.training
        self._device = task.device
        self._dtype = dtype_of(task.training)
        self._rng = np.random.default_rng(seed)
        data, order = task.data, task.data.train.order
        check_networks(relaxation, order)
        self._parts: dict[Part, DeviceRatings] = {
            "train": DeviceRatings.of(data.train, task.device, self._dtype),
            "valid": DeviceRatings.of(data.valid, task.device, self._dtype),
        }
        self.tables = initial_tables(data.train.shape, task.dim, task.training, self._rng, task.device)
        self.predictors = {
            name: initial_predictor(operations.get(name).width(task.dim, order), task.training, self._rng, task.device)
            for name in relaxation.operations
        }
        self._optimizer = Adagrad([*self.tables, *self.predictors.values()], task.training.learning_rate)
        self._penalty = Penalty(self._parts["train"], data.train.shape, task.training.penalty)
        self._cold = ColdRows(data.train, task.device)

    def epoch(self) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of batches (validation rows, training rows), see `paired_batches`."""
        train, valid = len(self._parts["train"]), len(self._parts["valid"])
        return paired_batches(train, valid, self.training.batch_size, self._rng)

    def architecture_gradients(
        self, alpha: Vector, vectors: Mapping[str, Vector], part: Part, rows: Rows
    ) -> ArchitectureGradients:
        """Gradients on one batch at the discrete `alpha`; for alpha's, every operation is evaluated."""
        with self.meter.timed("train"):
            batch = self._batch(part, rows)
            networks = {name: self._tensor(v).requires_grad_() for name, v in vectors.items()}
            function = self._function(networks, self.relaxation.operations)
            transformed = function.transformed(self._cold.filled(self.tables))
            picked = [t.index_select(0, i) for t, i in zip(transformed, batch.indices, strict=True)]
            selected, scores = [], []
            for weight, name in zip(alpha.tolist(), self.relaxation.operations, strict=True):
                speaks = weight != 0
                with torch.set_grad_enabled(speaks):
                    score = operations.get(name).combine(picked) @ self.predictors[name]
                scores.append(score.detach())
                if speaks:
                    selected.append(weight * score)
            residual = torch.stack(selected).sum(0) - batch.values
            loss = residual.square().mean()
            by_network = torch.autograd.grad(loss, list(networks.values())) if networks else ()
            by_alpha = torch.stack(scores) @ residual.detach() * (2.0 / len(batch))
            self.meter.visit(len(batch) * len(scores))
            return ArchitectureGradients(
                _numpy(by_alpha), {name: _numpy(g) for name, g in zip(networks, by_network, strict=True)}
            )

    def train_batch(self, alpha: Vector, vectors: Mapping[str, Vector], rows: Rows) -> None:
        """One Adagrad step of the embeddings and the selected predictors on F_alpha, at the search l2."""
        with self.meter.timed("train"):
            batch = self._batch("train", rows)
            spoken = self._spoken(alpha)
            parameters = [*self.tables, *(self.predictors[name] for name in spoken)]
            for parameter in parameters:
                parameter.requires_grad_()
            prediction = self._predict(spoken, vectors, self.tables, batch)
            loss = (prediction - batch.values).square().mean()
            if self.training.search_l2 > 0:
                loss = loss + self._penalty(self.tables, batch, self.training.search_l2)
            gradients = torch.autograd.grad(loss, parameters)
            for parameter in parameters:
                parameter.requires_grad_(False)
            by_predictor = dict(zip(spoken, gradients[len(self.tables) :], strict=True))
            self._optimizer.step(
                [*gradients[: len(self.tables)], *(by_predictor.get(name) for name in self.predictors)]
            )
            for name in spoken:
                project_predictor(self.predictors[name])
            self.meter.visit(len(batch) * len(spoken))

    def rmse(self, alpha: Vector, vectors: Mapping[str, Vector], part: Part = "valid") -> float:
        """The supernet's own RMSE at `alpha`; in-sample for whatever was fitted on that part."""
        with self.meter.timed("validate"), torch.no_grad():
            ratings = self._parts[part]
            tables = self._cold.filled(self.tables)
            prediction = self._predict(self._spoken(alpha), vectors, tables, ratings)
            return (prediction - ratings.values).double().square().mean().sqrt().item()

    def state_dict(self) -> tuple[dict[str, NDArray[np.floating]], dict[str, Any]]:
        """Arrays of T and of Adagrad, and the random generator's state (JSON)."""
        parameters = enumerate(self._optimizer.parameters)
        arrays: dict[str, NDArray[np.floating]] = {f"parameter{i}": _numpy(p) for i, p in parameters}
        arrays |= {f"adagrad{i}": _numpy(s) for i, s in enumerate(self._optimizer.sums)}
        return arrays, dict(self._rng.bit_generator.state)

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], rng_state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, exact."""
        for i, parameter in enumerate(self._optimizer.parameters):
            parameter.copy_(self._tensor(arrays[f"parameter{i}"]))
            self._optimizer.sums[i].copy_(self._tensor(arrays[f"adagrad{i}"]))
        self._rng.bit_generator.state = rng_state

    def _batch(self, part: Part, rows: Rows) -> DeviceRatings:
        return self._parts[part].take(torch.tensor(rows, dtype=torch.int64, device=self._device))

    def _spoken(self, alpha: Vector) -> dict[str, float]:
        """The operations that speak, with their weights."""
        weights = zip(self.relaxation.operations, alpha.tolist(), strict=True)
        return {name: weight for name, weight in weights if weight != 0}

    def _predict(
        self,
        spoken: Mapping[str, float],
        vectors: Mapping[str, Vector],
        tables: Sequence[Tensor],
        batch: DeviceRatings,
    ) -> Tensor:
        function = self._function({name: self._tensor(v) for name, v in vectors.items()}, tuple(spoken))
        weighted = {name: weight * self.predictors[name] for name, weight in spoken.items()}
        return function.predict(function.transformed(tables), weighted, batch.indices)

    def _function(self, networks: Mapping[str, Tensor], names: tuple[str, ...]) -> InteractionFunction:
        vectors = tuple(networks.get(name) for name in MODE_VECTORS[: len(self.tables)])
        activation = str(self.relaxation.space.constants.get("activation", "sigmoid"))
        return InteractionFunction(names, vectors, activation)

    def _tensor(self, values: NDArray[np.floating]) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=self._dtype, device=self._device)


def _numpy(tensor: Tensor) -> Vector:
    return tensor.detach().cpu().double().numpy().copy()
