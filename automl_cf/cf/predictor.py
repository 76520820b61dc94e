"""Predictors: how an operation's result becomes a score (paper, equation 5; section 4.5.4 and Table 7).

A predictor is a flat vector of weights per operation, and what one does with it. `linear` is w of equation (5). `mlp`
is the paper's "standard three-layer MLP with 10 hidden units", a . relu(W x + b) + c: the paper names no activation;
ours is the usual one.

Equation (5) keeps ||w|| at most 1, because what would grow there need not grow in the embeddings, which alone are
penalised (Proposition 3.1). A hidden unit is such a w, and so is the output layer: each row of W, and a, has norm at
most 1 by projection. The biases are free. Every linear predictor of norm at most 1 is an MLP predictor, since
x = relu(x) - relu(-x), so this is no tighter a bound.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from automl_cf.cf.embeddings import dtype_of, initial_predictor
from automl_cf.cf.training import Training
from automl_cf.errors import InputError, suggest

HIDDEN = 10  # units of the MLP predictor (section 4.5.4)


class Predictor(ABC):
    """What one does with a predictor's weights; it has none itself. All but `initial` and `scaled` take stacks, too."""

    name: str
    hidden = 0  # numbers that it computes on the way to a rating's score

    @abstractmethod
    def size(self, width: int) -> int:
        """How many weights there are for an operation that gives `width` numbers."""

    @abstractmethod
    def initial(self, width: int, training: Training, rng: np.random.Generator, device: str) -> Tensor:
        """Weights to begin with, (size,), drawn on the CPU."""

    @abstractmethod
    def score(self, combined: Tensor, weights: Tensor) -> Tensor:
        """The scores (n,) of an operation's results, (n, width); with a first dimension C of stacks: (C, n)."""

    @abstractmethod
    def scaled(self, weights: Tensor, factor: float | Tensor) -> Tensor:
        """The weights whose scores are `factor` times these weights' ones: how alpha weighs an operation."""

    @abstractmethod
    def projected(self, weights: Tensor) -> Tensor:
        """The nearest weights with norms of at most 1, (..., size)."""

    def project(self, weights: Tensor) -> None:
        """The same in place."""
        with torch.no_grad():
            weights.copy_(self.projected(weights))


class LinearPredictor(Predictor):
    """w . x with ||w|| at most 1, which starts as a random direction. Zeros that pad w stay and change nothing."""

    name = "linear"

    def size(self, width: int) -> int:
        return width

    def initial(self, width: int, training: Training, rng: np.random.Generator, device: str) -> Tensor:
        return initial_predictor(width, training, rng, device)

    def score(self, combined: Tensor, weights: Tensor) -> Tensor:
        return combined @ weights if weights.ndim == 1 else torch.bmm(combined, weights.unsqueeze(2)).squeeze(2)

    def scaled(self, weights: Tensor, factor: float | Tensor) -> Tensor:
        return factor * weights

    def projected(self, weights: Tensor) -> Tensor:
        return _in_unit_ball(weights)


class MlpPredictor(Predictor):
    """a . relu(W x + b) + c, weights [W by rows, b, a, c]; W and a start as Glorot and Bengio (2010) have it."""

    name = "mlp"
    hidden = HIDDEN

    def size(self, width: int) -> int:
        return HIDDEN * (width + 2) + 1

    def initial(self, width: int, training: Training, rng: np.random.Generator, device: str) -> Tensor:
        """Uniform with variance 2 / (inputs + outputs), and projected; the biases 0."""
        first = rng.uniform(-1.0, 1.0, HIDDEN * width) * np.sqrt(6.0 / (width + HIDDEN))
        second = rng.uniform(-1.0, 1.0, HIDDEN) * np.sqrt(6.0 / (HIDDEN + 1))
        weights = np.concatenate([first, np.zeros(HIDDEN), second, np.zeros(1)])
        return self.projected(torch.tensor(weights, dtype=dtype_of(training))).to(device)

    def score(self, combined: Tensor, weights: Tensor) -> Tensor:
        matrix, b, a, c = _layers(weights)
        hidden = torch.relu(torch.matmul(combined, matrix.mT) + b.unsqueeze(-2))
        return torch.matmul(hidden, a.unsqueeze(-1)).squeeze(-1) + c

    def scaled(self, weights: Tensor, factor: float | Tensor) -> Tensor:
        inner = len(weights) - HIDDEN - 1  # the output layer is last
        return torch.cat([weights[:inner], factor * weights[inner:]])

    def projected(self, weights: Tensor) -> Tensor:
        matrix, b, a, c = _layers(weights)
        return torch.cat([_in_unit_ball(matrix).flatten(-2), b, _in_unit_ball(a), c], dim=-1)


LINEAR: Final = LinearPredictor()
MLP: Final = MlpPredictor()
PREDICTORS: Mapping[str, Predictor] = {predictor.name: predictor for predictor in (LINEAR, MLP)}


def predictor_of(values: Mapping[str, Any]) -> Predictor:
    """What the `predictor` of an architecture, of a space's constants or of a stored model names; none is linear.

    Raises InputError for a name that there is not.
    """
    name = str(values.get("predictor", LINEAR.name))
    if name not in PREDICTORS:
        raise InputError(
            f"predictor is '{name}', but must be one of {', '.join(PREDICTORS)}.{suggest(name, PREDICTORS)}"
        )
    return PREDICTORS[name]


def _layers(weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W (..., HIDDEN, width), b (..., HIDDEN), a (..., HIDDEN) and c (..., 1) of weights (..., size), as views."""
    inner = weights.shape[-1] - 2 * HIDDEN - 1
    matrix, b, a, c = torch.split(weights, [inner, HIDDEN, HIDDEN, 1], dim=-1)
    return matrix.view(*weights.shape[:-1], HIDDEN, inner // HIDDEN), b, a, c


def _in_unit_ball(vectors: Tensor) -> Tensor:
    """The nearest vectors, along the last dimension, with norm at most 1."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    projected: Tensor = vectors * (1.0 / norms.clamp(min=1.0))
    return projected
