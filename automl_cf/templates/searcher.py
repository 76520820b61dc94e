"""my-thing: changes a few coordinates of the best architecture so far."""

from dataclasses import dataclass

import numpy as np

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers import AskTellSearcher, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture


@dataclass(frozen=True)
class MyThingOptions:
    """What a study may set; each has a default."""

    change: float = 0.2  # the share of coordinates that are drawn anew


@searchers.register("my-thing")
class MyThing(AskTellSearcher):
    """Draws a few coordinates of the best point so far anew, and keeps the others."""

    Options = MyThingOptions

    def __init__(self, task: SearchTask, options: MyThingOptions) -> None:
        super().__init__(task, options)  # sets self.space, self.options, and self.rng: draw from nothing else
        self.best, self.best_loss = self.rng.random(self.space.dimension), np.inf
        self.points: dict[int, np.ndarray] = {}  # of the proposals that await their results

    def propose(self, number: int) -> Architecture:  # change me; None instead ends the search
        drawn = self.rng.random(self.space.dimension)  # a point of the unit cube, which `decode` maps onto the space
        changed = self.rng.random(self.space.dimension) < self.options.change
        self.points[number] = np.where(changed, drawn, self.best)
        return self.space.decode(self.points[number])

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:  # and me
        point = self.points.pop(number)
        if evaluation.loss < self.best_loss:  # the validation RMSE; infinite for what failed
            self.best, self.best_loss = point, evaluation.loss
