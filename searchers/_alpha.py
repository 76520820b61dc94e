"""Shared by the searchers that move a continuous alpha by gradients (nasp, darts, snas): lanes other than SIF's."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from automl_cf.cf.elementwise import project_to_ball
from automl_cf.cf.problem import Incumbent, Problem
from automl_cf.cf.supernet import ArchitectureGradients, Rows, Supernet, Vector
from automl_cf.searchers.sif import Lane


def softmax(logits: Vector) -> Vector:
    """Positive weights that sum to 1."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def by_logits(weights: Vector, gradient: Vector) -> Vector:
    """The gradient by the logits, given softmax's `weights` and the gradient by them."""
    return weights * (gradient - weights @ gradient)


def on_pytorch(problem: Problem) -> Problem:
    """The same problem, on the same meter, whose supernets differentiate twice: on the reference engine."""
    training = problem.task.training.model_copy(update={"engine": "reference"})
    return Problem(replace(problem.task, training=training), problem.meter)


class GradientLane(Lane, ABC):
    """A supernet with its S, as SIF's lane is; a subclass says how a pair of batches moves both."""

    @abstractmethod
    def batch(self, valid_rows: Rows, train_rows: Rows) -> None:
        """Move S and T once."""

    def epoch(self) -> Incumbent:
        """One pass over the training part."""
        for valid_rows, train_rows in self.net.epoch():
            self.problem.meter.check()
            self.batch(valid_rows, train_rows)
        self.epochs += 1
        return self.incumbent()

    def unrolled(self, alpha: Vector, valid_rows: Rows, train_rows: Rows) -> ArchitectureGradients:
        """Gradients by alpha and the vectors through one training step; for a problem `on_pytorch`."""
        assert isinstance(self.net, Supernet)
        return self.net.unrolled_gradients(alpha, self.vectors, valid_rows, train_rows)

    @contextmanager
    def stepped(self, alpha: Vector, train_rows: Rows) -> Iterator[None]:
        """A context in which the supernet is one training step ahead."""
        state = self.net.state_dict()
        self.net.train_batch(alpha, self.vectors, train_rows)
        yield
        self.net.load_state_dict(*state)


class MixtureLane(GradientLane):
    """A lane in which all operations speak, weighted by a softmax: alpha holds its logits."""

    def selected(self) -> Vector:
        """The k operations of largest alpha, each with weight 1, as in the architecture."""
        chosen = np.zeros_like(self.alpha)
        chosen[np.argsort(-self.alpha, kind="stable")[: self.relaxation.k]] = 1.0
        return chosen

    def move(self, by_alpha: Vector, by_vector: Mapping[str, Vector]) -> None:
        """A gradient step of alpha and of the vectors, which are projected onto their balls."""
        self.alpha = self.moves["alpha"](self.alpha, by_alpha)
        for name, gradient in by_vector.items():
            self.vectors[name] = project_to_ball(self.moves[name](self.vectors[name], gradient), self.bounds[name])

    def _random_alpha(self) -> Vector:
        return self.rng.normal(0.0, 1e-3, len(self.relaxation.operations))
