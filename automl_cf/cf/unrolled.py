"""Tables and predictors on PyTorch: a training step of theirs (equation 5), and gradients through that step.

What is best on the validation part depends on S directly and through T, which is trained given S. One step stands
for that training: T'(S) = T after one step on a training batch, and the *second-order* gradient is that of the
validation loss at (T'(S), S) (Liu et al. 2019, DARTS, equation 6). It is computed exactly, by differentiating twice,
for the step that training takes: Adagrad's, and the projection.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_cf.cf.embeddings import (
    EPSILON,
    Adagrad,
    ColdRows,
    DeviceRatings,
    Penalty,
    dtype_of,
    initial_tables,
)
from automl_cf.cf.predictor import LINEAR, Predictor
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Training

# The predictions (n,) for n ratings, from the tables and the predictors.
Predict = Callable[[Sequence[Tensor], Mapping[str, Tensor], DeviceRatings], Tensor]


class TorchTables:
    """One embedding table per mode and predictors by name, with what trains them: T, for any S.

    `widths` say how many numbers each predictor takes; `rng` draws the initial values, and is not kept; `l2` is the
    penalty's.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        data: SearchData,
        training: Training,
        *,
        dim: int,
        l2: float,
        rng: np.random.Generator,
        device: str,
        predictor: Predictor = LINEAR,
    ) -> None:
        self.training = training
        self.predictor = predictor
        self._l2 = l2
        self._device = device
        self._dtype = dtype_of(training)
        self._parts = {
            name: DeviceRatings.of(part, device, self._dtype)
            for name, part in (("train", data.train), ("valid", data.valid))
        }
        self.tables = initial_tables(data.train.shape, dim, training, rng, device)
        self.predictors = {name: predictor.initial(n, training, rng, device) for name, n in widths.items()}
        self._optimizer = Adagrad([*self.tables, *self.predictors.values()], training.learning_rate)
        self._penalty = Penalty(self._parts["train"], data.train.shape, training.penalty)
        self._cold = ColdRows(data.train, device)

    def _descend(self, predict: Predict, names: Collection[str], batch: DeviceRatings) -> None:
        """One Adagrad step of the tables and of the named predictors on a training batch."""
        parameters = [*self.tables, *(self.predictors[name] for name in names)]
        for parameter in parameters:
            parameter.requires_grad_()
        gradients = torch.autograd.grad(self._objective(predict, self.tables, self.predictors, batch), parameters)
        for parameter in parameters:
            parameter.requires_grad_(False)
        tables = len(self.tables)
        by_predictor = dict(zip(names, gradients[tables:], strict=True))
        self._optimizer.step([*gradients[:tables], *(by_predictor.get(name) for name in self.predictors)])
        for name in names:
            self.predictor.project(self.predictors[name])

    def _unrolled(
        self, outer: Sequence[Tensor], predict: Predict, train: DeviceRatings, valid: DeviceRatings
    ) -> list[Tensor]:
        """Gradients of the validation batch's mean squared error after one step on the training batch.

        They are by `outer`, leaves that `predict` depends on: directly, and through the step. T stays as it is.
        """
        count = len(self.tables)
        inner = [parameter.detach().requires_grad_() for parameter in self._optimizer.parameters]
        objective = self._objective(predict, inner[:count], self._named(inner[count:]), train)
        gradients = torch.autograd.grad(objective, inner, create_graph=True)
        steps = [
            _adagrad_step(parameter.detach(), gradient.detach(), total, self._optimizer.learning_rate)
            for parameter, gradient, total in zip(inner, gradients, self._optimizer.sums, strict=True)
        ]
        stepped = [parameter.requires_grad_() for parameter, _ in steps]
        projected = [self.predictor.projected(weights) for weights in stepped[count:]]
        tables = self._cold.filled(stepped[:count])
        loss = (predict(tables, self._named(projected), valid) - valid.values).square().mean()
        found = torch.autograd.grad(loss, [*outer, *stepped])
        direct, by_step = found[: len(outer)], found[len(outer) :]
        by_gradient = [slope * by for (_, slope), by in zip(steps, by_step, strict=True)]
        through = torch.autograd.grad(gradients, outer, by_gradient)
        return [one + other for one, other in zip(direct, through, strict=True)]

    def _objective(
        self, predict: Predict, tables: Sequence[Tensor], predictors: Mapping[str, Tensor], batch: DeviceRatings
    ) -> Tensor:
        """The mean squared error of a training batch, with the penalty."""
        loss = (predict(tables, predictors, batch) - batch.values).square().mean()
        return loss + self._penalty(tables, batch, self._l2) if self._l2 > 0 else loss

    @torch.no_grad()
    def _rmse(self, predict: Predict, part: str) -> float:
        ratings = self._parts[part]
        prediction = predict(self._cold.filled(self.tables), self.predictors, ratings)
        return (prediction - ratings.values).double().square().mean().sqrt().item()

    def _arrays(self) -> dict[str, NDArray[np.floating]]:
        """Copies of T and of Adagrad's sums."""
        parameters = enumerate(self._optimizer.parameters)
        arrays: dict[str, NDArray[np.floating]] = {f"parameter{i}": to_numpy(p) for i, p in parameters}
        return arrays | {f"adagrad{i}": to_numpy(s) for i, s in enumerate(self._optimizer.sums)}

    def _load_arrays(self, arrays: Mapping[str, NDArray[np.floating]]) -> None:
        """The inverse of `_arrays`, exact."""
        for i, parameter in enumerate(self._optimizer.parameters):
            parameter.copy_(self._tensor(arrays[f"parameter{i}"]))
            self._optimizer.sums[i].copy_(self._tensor(arrays[f"adagrad{i}"]))

    def _batch(self, part: str, rows: "NDArray[np.integer[Any]] | Tensor") -> DeviceRatings:
        return self._parts[part].take(torch.as_tensor(rows, dtype=torch.int64, device=self._device))

    def _named(self, predictors: Sequence[Tensor]) -> dict[str, Tensor]:
        return dict(zip(self.predictors, predictors, strict=True))

    def _tensor(self, values: NDArray[np.floating]) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=self._dtype, device=self._device)


def to_numpy(tensor: Tensor) -> NDArray[np.float64]:
    """A copy in double precision, whatever the device and the type."""
    return tensor.detach().cpu().double().numpy().copy()


def _adagrad_step(parameter: Tensor, gradient: Tensor, total: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Where Adagrad's step leads, and its derivative by the gradient, elementwise.

    With s the sum of squares so far and r = sqrt(s + g^2), the step is x - rate g / (r + eps) and its derivative
    -rate (s / r + eps) / (r + eps)^2. Where r is 0 the gradient is identically 0, as for rows that the batch does
    not touch, so the derivative does not matter; it is set to 0.
    """
    root = (total + gradient * gradient).sqrt()
    slope = -rate * (total / root + EPSILON) / (root + EPSILON).square()
    return parameter - rate * gradient / (root + EPSILON), torch.where(root > 0, slope, 0.0)
