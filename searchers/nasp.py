"""NASP, one-shot search of the operation alone by proximal iterations (paper, section 2.2.2, Algorithm 1).

Yao, Xu, Tu and Zhu: "Efficient Neural Architecture Search via Proximal Iterations", AAAI 2020. The element-wise
functions are identities, so that an architecture is k operations and nothing else. What Algorithm 2 (`sif`) drops of
Algorithm 1 is step 4's look ahead: alpha's gradient is not taken at T as it stands but at T one training step
further, which stands for the T that training would lead to.

Algorithm 1 reads thus here. The step ahead is the one that training takes, by Adagrad at the study's learning rate,
and on the training batch that step 6 then uses; it is undone. Step 4 differentiates the validation loss by the
discrete alpha in its second argument, with the stepped T held fixed; `order` 2 differentiates the step, too, which
the printed formula may also mean. Step 4 is printed without a step size, that is with 1.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from automl_cf.cf.problem import Problem
from automl_cf.cf.supernet import Rows, Vector
from automl_cf.searchers._alpha import GradientLane, on_pytorch
from automl_cf.searchers._interface import Capabilities, searchers
from automl_cf.searchers.sif import LaneSearcher, SifOptions, prox_c2
from automl_cf.spaces.views.relaxation import Relaxation


@dataclass(frozen=True)
class NaspOptions:
    """Epochs, and how alpha moves: see `sif`; `order`: see above.

    Order 2 runs on PyTorch, whatever the study's engine.
    """

    epochs: Annotated[int, Field(gt=0)] = 40
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    optimizer: Literal["sgd", "adagrad"] = "sgd"
    order: Literal[1, 2] = 1


class NaspLane(GradientLane):
    """The loop of Algorithm 1."""

    def __init__(
        self, problem: Problem, relaxation: Relaxation, options: NaspOptions, seed: np.random.SeedSequence
    ) -> None:
        moves = SifOptions(options.epochs, options.step, options.optimizer)
        identities = replace(relaxation, vectors=())
        super().__init__(on_pytorch(problem) if options.order == 2 else problem, identities, moves, seed, "valid")
        self.order = options.order

    def batch(self, valid_rows: Rows, train_rows: Rows) -> None:
        discrete = self.selected()  # step 3
        gradient = self._gradient(discrete, valid_rows, train_rows)
        self.alpha = prox_c2(self.moves["alpha"](self.alpha, gradient))  # step 4
        if not self.alpha.any():  # nothing selected: no operation would ever be trained again
            self.alpha = self._random_alpha()
        self.net.train_batch(self.selected(), self.vectors, train_rows)  # steps 5 and 6

    def _gradient(self, discrete: Vector, valid_rows: Rows, train_rows: Rows) -> Vector:
        if self.order == 2:
            return self.unrolled(discrete, valid_rows, train_rows).alpha
        with self.stepped(discrete, train_rows):
            return self.net.architecture_gradients(discrete, self.vectors, "valid", valid_rows).alpha


@searchers.register("nasp")
class Nasp(LaneSearcher):
    """Algorithm 1: operations only, alpha moved by proximal steps at weights one training step ahead."""

    Options = NaspOptions
    capabilities = Capabilities(one_shot=True, relaxable_space_only=True, fixed_proposals=True)

    def start(self, problem: Problem) -> None:
        self.lane = NaspLane(problem, self.relaxation, self.options, self.seed)
