"""sif-robust: Algorithm 2 with the changes that remove its bad basins, each ablated in results/dev-sif-ablation.

1. Every operation has a lane, a supernet of its own: with shared embeddings, the operation that happens to be
   trained first shapes them, and alpha then compares the others on embeddings made for that one. The lanes are
   raced: after each rung the worse half, by the supernet's validation RMSE, is dropped.
2. S moves by Adagrad steps, as T does.
3. The element-wise networks start near the identity, not at random. On MovieLens-100K, where multiply wins, this
   does not help (sif-robust without it came out as good); it starts every lane as the plain operation, which
   the fixtures with min and max are checked with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf.problem import Incumbent, Problem
from automl_cf.searchers._interface import Arrays, OneShotSearcher, SearchTask, searchers
from automl_cf.searchers.sif import Lane, SifOptions
from automl_cf.spaces.views.relaxation import relax


@dataclass(frozen=True)
class RobustOptions(SifOptions):
    """`sif`'s options with other defaults, and the race.

    `lanes` False races nothing: one supernet with all operations. `rungs`: epochs at which the worse half of
    the lanes is dropped.
    """

    optimizer: Literal["sgd", "adagrad"] = "adagrad"
    initial: Literal["random", "near-identity"] = "near-identity"
    lanes: bool = True
    rungs: tuple[int, ...] = (4, 8, 16)


@searchers.register("sif-robust")
class SifRobust(OneShotSearcher):
    """One lane per operation (per k of them), successively halved."""

    Options = RobustOptions

    def __init__(self, task: SearchTask, options: RobustOptions) -> None:
        super().__init__(task, options)
        self.relaxation = relax(task.space)

    def start(self, problem: Problem) -> None:
        operations, k = self.relaxation.operations, self.relaxation.k
        groups = list(combinations(operations, k)) if self.options.lanes else [operations]
        seeds = self.seed.spawn(len(groups))
        self.lanes = [
            Lane(problem, replace(self.relaxation, operations=group), self.options, seed, "valid")
            for group, seed in zip(groups, seeds, strict=True)
        ]
        self.alive = list(range(len(groups)))
        self.losses = [float("inf")] * len(groups)

    def step(self) -> Incumbent | None:
        behind = min(self.alive, key=lambda i: self.lanes[i].epochs)
        if self.lanes[behind].epochs >= self.options.epochs:
            return None
        result = self.lanes[behind].epoch()
        self.losses[behind] = float("inf") if result.rmse is None else result.rmse
        epochs = {self.lanes[i].epochs for i in self.alive}
        if len(epochs) == 1 and epochs <= set(self.options.rungs):
            ranked = sorted(self.alive, key=lambda i: self.losses[i])
            self.alive = sorted(ranked[: -(-len(ranked) // 2)])
        return self.lanes[min(self.alive, key=lambda i: self.losses[i])].incumbent()

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        states = [lane.state_dict() for lane in self.lanes]
        arrays = {f"lane{i}_{key}": value for i, (a, _) in enumerate(states) for key, value in a.items()}
        arrays["losses"] = np.array(self.losses)  # no JSON value: they may be infinite
        return arrays, {"lanes": [v for _, v in states], "alive": self.alive}

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], values: Mapping[str, Any]) -> None:
        for i, lane in enumerate(self.lanes):
            prefix = f"lane{i}_"
            own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            lane.load_state_dict(own, values["lanes"][i])
        self.alive = list(values["alive"])
        self.losses = arrays["losses"].tolist()
