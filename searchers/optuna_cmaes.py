"""Optuna's CMA-ES (Hansen: "The CMA Evolution Strategy: A Tutorial", 2016)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._optuna import OptunaSearcher

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class CmaesOptions:
    """`startup` and `population` as in Optuna: None is 4 + floor(3 ln d) for d continuous coordinates."""

    startup: Annotated[int, Field(ge=0)] = 1
    population: Annotated[int, Field(gt=1)] | None = None


@searchers.register("optuna-cmaes")
class OptunaCmaes(OptunaSearcher):
    """Optuna's `CmaEsSampler`: CMA-ES, which adapts continuous coordinates only.

    Choices, and what does not exist in every architecture, it draws uniformly each time, as Optuna does: CMA-ES sees
    their effect as noise, and on a space of nothing but choices this is random search.
    """

    Options = CmaesOptions

    def sampler(self, seed: int) -> "BaseSampler":
        from optuna.samplers import CmaEsSampler

        return CmaEsSampler(
            seed=seed,
            n_startup_trials=self.options.startup,
            popsize=self.options.population,
            warn_independent_sampling=False,
        )
