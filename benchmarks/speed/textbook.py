"""The yardstick: interaction functions trained the way the field writes it, in eager PyTorch.

Written anew in the style of public implementations. Each batch gathers its ratings' embeddings (`nn.Embedding`) and
puts every element of them through the element-wise network (Linear, sigmoid, Linear); gradients and Adagrad's steps
are dense; the penalty is on the norms of the gathered embeddings; batches come from a DataLoader or are slices of
shuffled tensors. Learning rate, initial values and the rule that ends a training are the study's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from automl_cf.cf.meter import Meter
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training, train_until_best
from automl_cf.spaces.architecture import Architecture

Batches = Iterable[Sequence[Tensor]]  # of users, items, values; gone through once an epoch
Feed = Callable[[RatingTensor, int], Batches]

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiply": lambda u, v: u * v,
    "plus": lambda u, v: u + v,
    "min": torch.min,
    "max": torch.max,
    "concat": lambda u, v: torch.cat([u, v], dim=1),
}


class ElementWise(nn.Module):
    """g(x) of every element: one input, hidden sigmoid units, one output."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(1, units), nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape as x."""
        hidden = torch.sigmoid(self.inner(x.reshape(-1, 1)))
        result: Tensor = self.outer(hidden).reshape(x.shape)
        return result

    def vector(self) -> NDArray[np.float64]:
        """The weights in the form of an architecture's p or q."""
        parts = (self.inner.weight, self.inner.bias, self.outer.weight, self.outer.bias)
        return torch.cat([part.detach().reshape(-1) for part in parts]).double().numpy()

    @torch.no_grad()
    def set(self, vector: Sequence[float]) -> "ElementWise":
        """Take the weights of an architecture's p or q."""
        w, b, a = torch.tensor(vector[:-1]).reshape(3, -1)
        self.inner.weight.copy_(w.unsqueeze(1))
        self.inner.bias.copy_(b)
        self.outer.weight.copy_(a.unsqueeze(0))
        self.outer.bias.fill_(vector[-1])
        return self


class Textbook(nn.Module):
    """Embeddings, element-wise networks, and one linear predictor for each operation.

    All operations are evaluated in each forward pass, and `weights` says how much each counts.
    """

    def __init__(
        self, shape: Sequence[int], dim: int, operations: Sequence[str], networks: Sequence[nn.Module], scale: float
    ) -> None:
        super().__init__()
        self.users, self.items = (nn.Embedding(rows, dim) for rows in shape)
        self.p, self.q = networks
        self.operations = list(operations)
        widths = [2 * dim if name == "concat" else dim for name in operations]
        self.predictors = nn.ModuleList(nn.Linear(width, 1, bias=False) for width in widths)
        for embedding in (self.users, self.items):
            nn.init.normal_(embedding.weight, std=scale)
        with torch.no_grad():
            for w in self.predictors.parameters():
                nn.init.normal_(w)
                w.div_(w.norm())

    def forward(self, users: Tensor, items: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions (n,), and the penalty: the sum of the gathered embeddings' norms."""
        u, v = self.users(users), self.items(items)
        left, right = self.p(u), self.q(v)
        prediction = torch.zeros(len(users))
        for weight, name, predictor in zip(weights, self.operations, self.predictors, strict=True):
            prediction = prediction + weight * predictor(OPERATIONS[name](left, right)).squeeze(1)
        return prediction, u.norm() + v.norm()

    def trained(self) -> list[nn.Parameter]:
        """What is trained on the training part: embeddings and predictors."""
        return [*self.users.parameters(), *self.items.parameters(), *self.predictors.parameters()]

    @torch.no_grad()
    def project(self) -> None:
        """Scale predictors down to norm 1."""
        for w in self.predictors.parameters():
            w.div_(w.norm().clamp(min=1))


def loaded(ratings: RatingTensor, batch: int) -> Batches:
    """Batches from a DataLoader, as in most code that is published."""
    return DataLoader(TensorDataset(*columns(ratings)), batch_size=batch, shuffle=True)


class Sliced:
    """Batches that are slices of tensors shuffled once an epoch: what the careful write."""

    def __init__(self, ratings: RatingTensor, batch: int) -> None:
        self.columns = columns(ratings)
        self.batch = batch

    def __iter__(self) -> Iterator[Sequence[Tensor]]:
        order = torch.randperm(len(self.columns[0]))
        yield from zip(*(torch.split(column[order], self.batch) for column in self.columns), strict=True)


FEEDS: dict[str, Feed] = {"textbook, DataLoader": loaded, "textbook, slices": Sliced}


def columns(ratings: RatingTensor) -> list[Tensor]:
    """Users, items, values."""
    return [*torch.tensor(ratings.indices).T.contiguous(), torch.tensor(ratings.values)]


def train_batch(
    model: Textbook, optimizer: torch.optim.Optimizer, batch: Sequence[Tensor], weights: Tensor, l2: float
) -> None:
    """One step on a batch's mean squared error and penalty."""
    users, items, values = batch
    prediction, penalty = model(users, items, weights)
    loss = (prediction - values).square().mean() + l2 * penalty
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.project()


class _Trained:
    """A frozen state of a model."""

    def __init__(self, model: Textbook, state: dict[str, Tensor]) -> None:
        self.model = model
        self.state = state

    @torch.no_grad()
    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        self.model.load_state_dict(self.state)
        users, items = torch.tensor(indices).T.contiguous()
        prediction: Tensor = self.model(users, items, torch.ones(1))[0]
        return prediction.double().numpy()


def model_of(architecture: Architecture, shape: Sequence[int], dim: int, scale: float) -> Textbook:
    """A fresh model of one interaction function; its networks stay as they are."""
    networks = [
        ElementWise((len(vector) - 1) // 3).set(vector).requires_grad_(False) if vector else nn.Identity()  # type: ignore[arg-type]
        for vector in (architecture.get("p"), architecture.get("q"))
    ]
    return Textbook(shape, dim, [str(architecture["operation"])], networks, scale)


def train_textbook(
    architecture: Architecture,
    data: SearchData,
    training: Training,
    *,
    dim: int,
    l2: float,
    seed: int,
    feed: Feed,
    meter: Meter,
    epochs: int | None = None,
) -> Fit:
    """Train until validation stops improving, by the rule of every engine."""
    torch.manual_seed(seed)
    model = model_of(architecture, data.train.shape, dim, training.init_scale)
    optimizer = torch.optim.Adagrad(model.trained(), lr=training.learning_rate)
    batches = feed(data.train, training.batch_size)
    users, items, values = columns(data.valid)
    weights = torch.ones(1)

    def train_epoch() -> None:
        for batch in batches:
            train_batch(model, optimizer, batch, weights, l2)

    @torch.no_grad()
    def validate() -> tuple[float, Callable[[], Model]]:
        error = (model(users, items, weights)[0] - values).square().mean().sqrt().item()
        return error, lambda: _Trained(model, {name: value.clone() for name, value in model.state_dict().items()})

    return train_until_best(training, epochs, l2, meter, train_epoch, validate)
