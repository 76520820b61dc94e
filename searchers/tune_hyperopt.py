"""Ray Tune's HyperOptSearch: the same TPE as `bayes`, as users of Tune meet it."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tune import METRIC, TuneSearcher


@dataclass(frozen=True)
class TuneHyperoptOptions:
    """`n_initial_points` random proposals come first; `gamma` is the share of trials that count as good."""

    n_initial_points: Annotated[int, Field(ge=1)] = 20
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.25


@searchers.register("tune-hyperopt")
class TuneHyperopt(TuneSearcher):
    """`ray.tune.search.hyperopt.HyperOptSearch` in ask/tell form."""

    Options = TuneHyperoptOptions

    def algorithm(self, space: dict[str, Any], seed: int) -> Any:
        from ray.tune.search.hyperopt import HyperOptSearch

        return HyperOptSearch(
            HyperOptSearch.convert_search_space(space),
            metric=METRIC,
            mode="min",
            random_state_seed=seed,
            n_initial_points=self.options.n_initial_points,
            gamma=self.options.gamma,
        )
