"""Gen-approx: search the weights of a general perceptron, instead of operations (paper, 3.2, 4.5.1, A.1 and A.5).

The perceptron (automl_cf/cf/approximator.py) is the interaction function. Its weights are fitted on the validation
part by gradient descent, embeddings and w on the training part: for each pair of batches, one step of the weights and
one of the embeddings and w. The weights' hypergradient (Bengio 2000) is that of the validation loss after the next
training step, through that step.

The paper trains the embeddings to the end for every single step of the weights, and finds that very slow. Ours takes
one training step for the whole training, as DARTS does, which is kinder to it: an epoch costs about as much as one
of `darts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from automl_cf.cf.approximator import ApproximatorTables, approximator, initial_weights
from automl_cf.cf.problem import Incumbent, Problem
from automl_cf.cf.supernet import Rows, Vector, paired_batches
from automl_cf.searchers._interface import Arrays, Capabilities, OneShotSearcher, searchers
from automl_cf.searchers.sif import ArchitectureStep


@dataclass(frozen=True)
class GenApproxOptions:
    """`epochs` and the weights' `step` and `optimizer` (the paper's is plain gradient descent), as in `sif`.

    `order` 2 takes the hypergradient through a training step; 1 leaves the step out.
    """

    epochs: Annotated[int, Field(gt=0)] = 40
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    optimizer: Literal["sgd", "adagrad"] = "sgd"
    order: Literal[1, 2] = 2


@searchers.register("gen-approx")
class GenApprox(OneShotSearcher):
    """The paper's Gen-approx: a general MLP on [u; v], its weights searched by hypergradients on validation."""

    Options = GenApproxOptions
    capabilities = Capabilities(one_shot=True, fixed_proposals=True)

    def start(self, problem: Problem) -> None:
        task = problem.task
        (seed,) = self.seed.spawn(1)
        rng = np.random.default_rng(seed)
        l2 = task.training.search_l2
        self.problem = problem
        self.net = ApproximatorTables(task.data, task.training, dim=task.dim, l2=l2, rng=rng, device=task.device)
        self.weights = initial_weights(task.dim, task.data.train.order, self.rng)
        self.move = ArchitectureStep(self.options.step, self.options.optimizer, len(self.weights))
        self.epochs = 0

    def step(self) -> Incumbent | None:
        if self.epochs == self.options.epochs:
            return None
        data, meter = self.problem.task.data, self.problem.meter
        batch_size = self.problem.task.training.batch_size
        for valid_rows, train_rows in paired_batches(len(data.train), len(data.valid), batch_size, self.rng):
            meter.check()
            with meter.timed("train"):
                self.weights = self.move(self.weights, self._gradient(valid_rows, train_rows))
                self.net.train_batch(self.weights, train_rows)
                meter.visit(len(train_rows))
        self.epochs += 1
        with meter.timed("validate"):
            rmse = self.net.rmse(self.weights)
        return Incumbent(approximator(self.weights), rmse if np.isfinite(rmse) else None)

    def _gradient(self, valid_rows: Rows, train_rows: Rows) -> Vector:
        if self.options.order == 1:
            self.problem.meter.visit(len(valid_rows))
            return self.net.gradient(self.weights, valid_rows)
        self.problem.meter.visit(len(valid_rows) + 2 * len(train_rows))  # the step, and differentiating it
        return self.net.unrolled_gradient(self.weights, valid_rows, train_rows)

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        arrays = self.net.state_dict() | {"weights": self.weights, "total": self.move.total}
        return arrays, {"rng": self.rng.bit_generator.state, "epochs": self.epochs}

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], values: Mapping[str, Any]) -> None:
        self.net.load_state_dict(arrays)
        self.weights = np.array(arrays["weights"])
        self.move.total = np.array(arrays["total"])
        self.rng.bit_generator.state = values["rng"]
        self.epochs = int(values["epochs"])
