"""DARTS (Liu, Simonyan and Yang: "DARTS: Differentiable Architecture Search", ICLR 2019), for equation (8).

Every operation speaks, weighted by the softmax of alpha. For each pair of batches alpha and the element-wise
networks take a gradient step on the validation batch, then T takes one on the training batch. Of first order, the
gradient is taken at T as it stands; of second order it is that of the validation loss after the next training step,
through that step (DARTS, equation 6). Where DARTS approximates the product with the second derivative by finite
differences, we differentiate twice, exactly; and the step is the one that training takes, Adagrad's, as DARTS' own
program unrolls its optimizer with the momentum. In the end, and for the incumbent, the k operations of largest alpha
are selected.

The networks' vectors move like alpha, from the same gradient, and are projected onto their balls, as in Algorithm 2.
DARTS uses Adam with a step size of 3e-4 for tens of thousands of steps; our searches have about a thousand, so that
alpha moves by Adagrad, as T does, with `sif`'s step size.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from automl_cf.cf.problem import Problem
from automl_cf.cf.supernet import Rows
from automl_cf.searchers._alpha import MixtureLane, by_logits, on_pytorch, softmax
from automl_cf.searchers._interface import searchers
from automl_cf.searchers.sif import LaneSearcher, SifOptions
from automl_cf.spaces.views.relaxation import Relaxation


@dataclass(frozen=True)
class DartsOptions:
    """`order` of the gradient, 1 or 2; the others are `sif`'s.

    Order 2 runs on PyTorch, whatever the study's engine: the fused one has no second derivatives. It is not the
    default since a study's searchers are compared on one engine.
    """

    epochs: Annotated[int, Field(gt=0)] = 40
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    optimizer: Literal["sgd", "adagrad"] = "adagrad"
    initial: Literal["random", "near-identity"] = "random"
    order: Literal[1, 2] = 1


class DartsLane(MixtureLane):
    """The loop of DARTS' Algorithm 1."""

    def __init__(
        self, problem: Problem, relaxation: Relaxation, options: DartsOptions, seed: np.random.SeedSequence
    ) -> None:
        moves = SifOptions(options.epochs, options.step, options.optimizer, options.initial)
        super().__init__(on_pytorch(problem) if options.order == 2 else problem, relaxation, moves, seed, "valid")
        self.order = options.order

    def batch(self, valid_rows: Rows, train_rows: Rows) -> None:
        weights = softmax(self.alpha)
        if self.order == 2:
            gradients = self.unrolled(weights, valid_rows, train_rows)
        else:
            gradients = self.net.architecture_gradients(weights, self.vectors, "valid", valid_rows)
        self.move(by_logits(weights, gradients.alpha), gradients.vectors)
        self.net.train_batch(softmax(self.alpha), self.vectors, train_rows)


@searchers.register("darts")
class Darts(LaneSearcher):
    """DARTS: a softmax mixture of all operations, moved by gradients of first or second order."""

    Options = DartsOptions

    def start(self, problem: Problem) -> None:
        self.lane = DartsLane(problem, self.relaxation, self.options, self.seed)
