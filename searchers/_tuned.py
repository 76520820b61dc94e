"""The common part of the baselines that are one human-designed model: a grid of learning rates and l2 for it."""

from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, ClassVar

from pydantic import Field

from automl_cf.cf.models import models
from automl_cf.searchers._interface import AskTellSearcher, Capabilities
from automl_cf.spaces.architecture import Architecture

Rates = Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], Field(min_length=1)]
Penalty = Annotated[float, Field(ge=0, allow_inf_nan=False)]

MATRIX = Capabilities(fixed_proposals=True, orders=frozenset({2}))
TENSOR = Capabilities(fixed_proposals=True, orders=frozenset({3}))
BOTH = Capabilities(fixed_proposals=True)


@dataclass(frozen=True)
class TunedOptions:
    """What is tried: each of `l2_grid` (the study's, or the model's own, unless given) with each learning rate."""

    learning_rates: Rates = (0.2, 0.05)
    l2_grid: Annotated[tuple[Penalty, ...], Field(min_length=1)] | None = None


@dataclass(frozen=True)
class SgdOptions(TunedOptions):
    """The same with learning rates for per-rating SGD."""

    learning_rates: Rates = (0.01, 0.005, 0.02)


class TunedModel(AskTellSearcher):
    """Proposes one model with each setting, the largest l2 first; validation chooses.

    `model` is its family's name, and `settings` lists what else an architecture says beside learning rate and l2: one
    mapping for each setting of that.
    """

    Options = TunedOptions
    capabilities = BOTH
    model: ClassVar[str]

    def settings(self) -> list[dict[str, Any]]:
        return [{}]

    def propose(self, number: int) -> Architecture | None:
        l2_grid = self.options.l2_grid
        if l2_grid is None:
            l2_grid = models.get(self.model).l2_grid or self.task.l2_grid
        grid = list(product(sorted(set(l2_grid), reverse=True), self.options.learning_rates, self.settings()))
        if number >= len(grid):
            return None
        l2, rate, more = grid[number]
        return Architecture({"model": self.model, "learning_rate": rate, "l2": l2, **more})
