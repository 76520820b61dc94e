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
from automl_cf.cf.embeddings import DeviceRatings
from automl_cf.cf.interaction import InteractionFunction
from automl_cf.cf.meter import Meter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.operations import operations
from automl_cf.cf.predictor import predictor_of
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.unrolled import Predict, TorchTables, to_numpy
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


class Supernet(TorchTables):
    """All operations of a relaxation over shared embeddings.

    `alpha` (one weight per operation, mostly zeros) says which operations speak, h = sum_m alpha_m w_m . O_m
    (equation 8), or the predictor of the space's constants in the place of w_m; `vectors` maps the networks' names
    (p, q, ...) to their weights. Raises InputError for a relaxation with vectors that are no mode's network.
    """

    def __init__(self, relaxation: Relaxation, task: TrainingTask, meter: Meter, seed: np.random.SeedSequence) -> None:
        self.relaxation = relaxation
        self.meter = meter
        self._rng = np.random.default_rng(seed)
        order = task.data.train.order
        check_networks(relaxation, order)
        super().__init__(
            {name: operations.get(name).width(task.dim, order) for name in relaxation.operations},
            task.data,
            task.training,
            dim=task.dim,
            l2=task.training.search_l2,
            rng=self._rng,
            device=task.device,
            predictor=predictor_of(relaxation.space.constants),
        )

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
            networks = {name: v.requires_grad_() for name, v in self._tensors(vectors).items()}
            function = self._function(networks, self.relaxation.operations)
            transformed = function.transformed(self._cold.filled(self.tables))
            picked = [t.index_select(0, i) for t, i in zip(transformed, batch.indices, strict=True)]
            selected, scores = [], []
            for weight, name in zip(alpha.tolist(), self.relaxation.operations, strict=True):
                speaks = weight != 0
                with torch.set_grad_enabled(speaks):
                    score = self.predictor.score(operations.get(name).combine(picked), self.predictors[name])
                scores.append(score.detach())
                if speaks:
                    selected.append(weight * score)
            residual = torch.stack(selected).sum(0) - batch.values
            loss = residual.square().mean()
            by_network = torch.autograd.grad(loss, list(networks.values())) if networks else ()
            by_alpha = torch.stack(scores) @ residual.detach() * (2.0 / len(batch))
            self.meter.visit(len(batch) * len(scores))
            return _gradients(by_alpha, dict(zip(networks, by_network, strict=True)))

    def unrolled_gradients(
        self, alpha: Vector, vectors: Mapping[str, Vector], valid_rows: Rows, train_rows: Rows
    ) -> ArchitectureGradients:
        """Gradients on a validation batch after one step on a training batch, through that step; T stays.

        Every operation is evaluated, whatever its weight. Differentiating the step is another pass over the
        training batch.
        """
        with self.meter.timed("train"):
            train, valid = self._batch("train", train_rows), self._batch("valid", valid_rows)
            weights = self._tensor(alpha).requires_grad_()
            networks = {name: v.requires_grad_() for name, v in self._tensors(vectors).items()}
            spoken = dict(zip(self.relaxation.operations, weights, strict=True))
            outer = [weights, *networks.values()]
            by_alpha, *by_network = self._unrolled(outer, self._predict(spoken, networks), train, valid)
            self.meter.visit((len(valid) + 2 * len(train)) * len(alpha))
            return _gradients(by_alpha, dict(zip(networks, by_network, strict=True)))

    def train_batch(self, alpha: Vector, vectors: Mapping[str, Vector], rows: Rows) -> None:
        """One Adagrad step of the embeddings and the selected predictors on F_alpha, at the search l2."""
        with self.meter.timed("train"):
            spoken = self._spoken(alpha)
            self._descend(self._predict(spoken, self._tensors(vectors)), spoken, self._batch("train", rows))
            self.meter.visit(len(rows) * len(spoken))

    def rmse(self, alpha: Vector, vectors: Mapping[str, Vector], part: Part = "valid") -> float:
        """The supernet's own RMSE at `alpha`; in-sample for whatever was fitted on that part."""
        with self.meter.timed("validate"):
            return self._rmse(self._predict(self._spoken(alpha), self._tensors(vectors)), part)

    def state_dict(self) -> tuple[dict[str, NDArray[np.floating]], dict[str, Any]]:
        """Arrays of T and of Adagrad, and the random generator's state (JSON)."""
        return self._arrays(), dict(self._rng.bit_generator.state)

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], rng_state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, exact."""
        self._load_arrays(arrays)
        self._rng.bit_generator.state = rng_state

    def _spoken(self, alpha: Vector) -> dict[str, float]:
        """The operations that speak, with their weights."""
        weights = zip(self.relaxation.operations, alpha.tolist(), strict=True)
        return {name: weight for name, weight in weights if weight != 0}

    def _predict(self, spoken: Mapping[str, float] | Mapping[str, Tensor], networks: Mapping[str, Tensor]) -> Predict:
        """h of equation (8), as a function of T."""
        function = self._function(networks, tuple(spoken))

        def predict(tables: Sequence[Tensor], predictors: Mapping[str, Tensor], batch: DeviceRatings) -> Tensor:
            weighted = {name: self.predictor.scaled(predictors[name], weight) for name, weight in spoken.items()}
            return function.predict(function.transformed(tables), weighted, batch.indices)

        return predict

    def _function(self, networks: Mapping[str, Tensor], names: tuple[str, ...]) -> InteractionFunction:
        vectors = tuple(networks.get(name) for name in MODE_VECTORS[: len(self.tables)])
        activation = str(self.relaxation.space.constants.get("activation", "sigmoid"))
        return InteractionFunction(names, vectors, activation, self.predictor)

    def _tensors(self, vectors: Mapping[str, Vector]) -> dict[str, Tensor]:
        return {name: self._tensor(v) for name, v in vectors.items()}


def _gradients(by_alpha: Tensor, by_network: Mapping[str, Tensor]) -> ArchitectureGradients:
    return ArchitectureGradients(to_numpy(by_alpha), {name: to_numpy(g) for name, g in by_network.items()})
