"""Gen-approx: a general multi-layer perceptron as the interaction function (paper, sections 3.2, 4.5.1 and A.1).

f(u, v) = W2 sigmoid(W1 [u; v] + b1) + b2, with twice as many hidden units as inputs and as many outputs as an
embedding has, then the linear predictor w. The perceptron's weights are the architecture; embeddings and w are
trained. More modes are concatenated likewise.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_cf.cf.embeddings import DeviceRatings, shuffled_batches
from automl_cf.cf.meter import Meter
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.cf.unrolled import Predict, TorchTables, to_numpy
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture

MODEL = "approximator"
_CHUNK = 1 << 18  # ratings scored at once, to bound memory: each has 5 x order x dim numbers

Weights = NDArray[np.float64]
Shapes = Sequence[tuple[int, ...]]
Rows = NDArray[np.integer[Any]] | Tensor


def weight_shapes(dim: int, order: int = 2) -> tuple[tuple[int, ...], ...]:
    """The shapes of W1, b1, W2, b2: the perceptron's weights are these, one after the other, in one vector."""
    inputs = order * dim
    return (2 * inputs, inputs), (2 * inputs,), (dim, 2 * inputs), (dim,)


def initial_weights(dim: int, order: int, rng: np.random.Generator) -> Weights:
    """Weights of such shapes, drawn by `glorot`."""
    return glorot(weight_shapes(dim, order), rng)


def glorot(shapes: Shapes, rng: np.random.Generator) -> Weights:
    """Matrices uniform with variance 2 / (inputs + outputs), biases 0 (Glorot and Bengio 2010), in one vector."""
    parts = [
        rng.uniform(-1.0, 1.0, shape).ravel() * np.sqrt(6.0 / sum(shape)) if len(shape) == 2 else np.zeros(shape)
        for shape in shapes
    ]
    return np.concatenate([np.empty(0), *parts])


def unpacked(weights: Tensor, shapes: Shapes) -> list[Tensor]:
    """Views of a vector's parts, one after the other, in these shapes."""
    parts = torch.split(weights, [int(np.prod(shape)) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def concatenated(tables: Sequence[Tensor], batch: DeviceRatings) -> Tensor:
    """[u; v] of every rating, (n, order x dim)."""
    rows = [table.index_select(0, index) for table, index in zip(tables, batch.indices, strict=True)]
    return torch.cat(rows, dim=1)


def approximator(weights: Weights) -> Architecture:
    """The architecture with these weights."""
    return Architecture({"model": MODEL, "weights": weights})


def weights_of(architecture: Architecture, dim: int, order: int) -> Weights:
    """Read an architecture's weights; raises InputError if they are not as many numbers as `dim` takes."""
    values = architecture.get("weights")
    expected = sum(int(np.prod(shape)) for shape in weight_shapes(dim, order))
    if not isinstance(values, tuple) or len(values) != expected or not all(isinstance(v, int | float) for v in values):
        given = f"{len(values)} values" if isinstance(values, tuple) else repr(values)
        raise InputError(
            f"an architecture with model '{MODEL}' must have 'weights', a list of {expected} numbers for {order} modes "
            f"of dimension {dim}, but has {given}."
        )
    return np.array(values, dtype=np.float64)


class ApproximatorTables(TorchTables):
    """Embeddings and w under a perceptron whose weights, a vector, come with every call.

    `l2` is the penalty's; `rng` draws the initial values as for any other model.
    """

    def __init__(
        self, data: SearchData, training: Training, *, dim: int, l2: float, rng: np.random.Generator, device: str
    ) -> None:
        super().__init__({MODEL: dim}, data, training, dim=dim, l2=l2, rng=rng, device=device)

    def train_batch(self, weights: Weights, rows: Rows) -> None:
        """One Adagrad step of the embeddings and w on a training batch."""
        self._descend(_scores(self._tensor(weights)), (MODEL,), self._batch("train", rows))

    def gradient(self, weights: Weights, valid_rows: Rows) -> Weights:
        """The gradient of a validation batch's mean squared error by the weights, as T stands."""
        batch, leaf = self._batch("valid", valid_rows), self._tensor(weights).requires_grad_()
        prediction = _scores(leaf)(self._cold.filled(self.tables), self.predictors, batch)
        return to_numpy(torch.autograd.grad((prediction - batch.values).square().mean(), leaf)[0])

    def unrolled_gradient(self, weights: Weights, valid_rows: Rows, train_rows: Rows) -> Weights:
        """The same after one step on a training batch, and through that step; T stays."""
        train, valid, leaf = self._batch("train", train_rows), self._batch("valid", valid_rows), self._tensor(weights)
        return to_numpy(self._unrolled([leaf.requires_grad_()], _scores(leaf), train, valid)[0])

    def rmse(self, weights: Weights) -> float:
        """The validation RMSE."""
        return self._rmse(in_chunks(_scores(self._tensor(weights))), "valid")

    def state_dict(self) -> dict[str, NDArray[np.floating]]:
        """Arrays of T and of Adagrad."""
        return self._arrays()

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]]) -> None:
        """The inverse of `state_dict`, exact."""
        self._load_arrays(arrays)

    def frozen(self, weights: Weights) -> "ApproximatorModel":
        """A copy of the model as it stands, for predicting."""
        return ApproximatorModel(self._tensor(weights), self._cold.filled(self.tables), self.predictors)


class PerceptronModel(ABC):
    """A trained model: copies of its perceptron's weights, its tables (cold rows filled) and its w by name."""

    def __init__(self, weights: Tensor, tables: Sequence[Tensor], predictors: Mapping[str, Tensor]) -> None:
        self.weights = weights.detach().clone()
        self.tables = [table.detach().clone() for table in tables]
        self.predictors = {name: w.detach().clone() for name, w in predictors.items()}

    @abstractmethod
    def scores(self) -> Predict:
        """The perceptron with these weights, as a function of tables and w."""

    @torch.no_grad()
    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Standardised predictions, (n,)."""
        device = self.weights.device
        columns = tuple(torch.tensor(column, device=device) for column in indices.T)
        unknown = torch.empty(len(indices), device=device)
        return to_numpy(in_chunks(self.scores())(self.tables, self.predictors, DeviceRatings(columns, unknown)))

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        (w,) = self.predictors.values()
        tables = {f"table{mode}": table.cpu().numpy() for mode, table in enumerate(self.tables)}
        return tables | {"weights": self.weights.cpu().numpy(), "predictor": w.cpu().numpy()}, {}


class ApproximatorModel(PerceptronModel):
    """A trained model under an architecture's weights."""

    def scores(self) -> Predict:
        return _scores(self.weights)

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Self:
        """The inverse of `parts`, on the CPU."""
        weights, tables, w = stored_tensors(arrays)
        return cls(weights, tables, {MODEL: w})


def stored_tensors(arrays: Mapping[str, NDArray[Any]]) -> tuple[Tensor, list[Tensor], Tensor]:
    """The weights, the tables and w of a PerceptronModel's parts, on the CPU."""
    tables = [torch.tensor(arrays[f"table{mode}"]) for mode in range(len(arrays) - 2)]
    return torch.tensor(arrays["weights"]), tables, torch.tensor(arrays["predictor"])


def train_approximator(
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
    """Train embeddings and w under an architecture's fixed weights until validation stops improving.

    By the same protocol as `train_interaction`, always on PyTorch. Raises InputError as `weights_of` does.
    """
    with meter.timed("train"):
        weights = weights_of(architecture, dim, data.train.order)
        net = ApproximatorTables(data, training, dim=dim, l2=l2, rng=rng, device=device)

    def train_epoch() -> None:
        for rows in shuffled_batches(len(data.train), training.batch_size, rng, device):
            net.train_batch(weights, rows)
        meter.visit(len(data.train))

    def validate() -> tuple[float, Callable[[], Model]]:
        return net.rmse(weights), lambda: net.frozen(weights)

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)


def _scores(weights: Tensor) -> Predict:
    """w . f(u, v) of every rating, as a function of T."""

    def predict(tables: Sequence[Tensor], predictors: Mapping[str, Tensor], batch: DeviceRatings) -> Tensor:
        w1, b1, w2, b2 = unpacked(weights, weight_shapes(tables[0].shape[1], len(tables)))
        hidden = torch.sigmoid(concatenated(tables, batch) @ w1.T + b1)
        return (hidden @ w2.T + b2) @ predictors[MODEL]

    return predict


def in_chunks(predict: Predict) -> Predict:
    """The same, for any number of ratings in bounded memory."""

    def chunked(tables: Sequence[Tensor], predictors: Mapping[str, Tensor], batch: DeviceRatings) -> Tensor:
        numbers = torch.arange(len(batch), device=batch.values.device)
        return torch.cat([predict(tables, predictors, batch.take(rows)) for rows in torch.split(numbers, _CHUNK)])

    return chunked
