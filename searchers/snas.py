"""SNAS (Xie, Zheng, Liu and Lin: "SNAS: Stochastic Neural Architecture Search", ICLR 2019), for equation (8).

alpha holds the logits of a distribution over the operations. Each pair of batches draws its own mixture from the
concrete distribution, softmax((alpha + Gumbel noise) / temperature), and the loss's gradient goes through it to alpha
(reparametrisation). As the temperature decays, geometrically and epoch by epoch, the mixtures turn into single
operations, drawn with the probabilities softmax(alpha). In the end, and for the incumbent, the k most probable
operations are selected.

The networks' vectors move like alpha and are projected onto their balls, as in Algorithm 2. SNAS fits S on the
training part, together with T; here S is fitted on the validation part, as in equation (9), unless `part` says
otherwise. Its term for the operations' costs is left out: ours cost about the same. Its Adam is replaced by Adagrad,
see `darts`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from automl_cf.cf.problem import Problem
from automl_cf.cf.supernet import Part, Rows
from automl_cf.searchers._alpha import MixtureLane, by_logits, softmax
from automl_cf.searchers._interface import searchers
from automl_cf.searchers.sif import LaneSearcher, SifOptions
from automl_cf.spaces.views.relaxation import Relaxation


@dataclass(frozen=True)
class SnasOptions:
    """`temperature` of the first epoch and `final_temperature` of the last (the authors' 1 and 0.03); `part` to fit
    S on; the others are `sif`'s.
    """

    epochs: Annotated[int, Field(gt=0)] = 40
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    optimizer: Literal["sgd", "adagrad"] = "adagrad"
    initial: Literal["random", "near-identity"] = "random"
    part: Part = "valid"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    final_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.03


class SnasLane(MixtureLane):
    """The loop of SNAS."""

    def __init__(
        self, problem: Problem, relaxation: Relaxation, options: SnasOptions, seed: np.random.SeedSequence
    ) -> None:
        moves = SifOptions(options.epochs, options.step, options.optimizer, options.initial)
        super().__init__(problem, relaxation, moves, seed, options.part)
        self.temperatures = np.geomspace(options.temperature, options.final_temperature, options.epochs)

    def batch(self, valid_rows: Rows, train_rows: Rows) -> None:
        temperature = self.temperatures[self.epochs]
        weights = softmax((self.alpha + self.rng.gumbel(size=len(self.alpha))) / temperature)
        rows = valid_rows if self.part == "valid" else train_rows
        gradients = self.net.architecture_gradients(weights, self.vectors, self.part, rows)
        self.move(by_logits(weights, gradients.alpha) / temperature, gradients.vectors)
        self.net.train_batch(weights, self.vectors, train_rows)


@searchers.register("snas")
class Snas(LaneSearcher):
    """SNAS: mixtures drawn from a Gumbel-softmax distribution that is learned, ever closer to single operations."""

    Options = SnasOptions

    def start(self, problem: Problem) -> None:
        self.lane = SnasLane(problem, self.relaxation, self.options, self.seed)
