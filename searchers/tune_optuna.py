"""Ray Tune's OptunaSearch: Optuna's TPE as users of Tune meet it."""

from typing import Any

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._optuna import without_information
from automl_cf.searchers._tune import METRIC, TuneSearcher


@searchers.register("tune-optuna")
class TuneOptuna(TuneSearcher):
    """`ray.tune.search.optuna.OptunaSearch` with its own sampler, in ask/tell form."""

    def algorithm(self, space: dict[str, Any], seed: int) -> Any:
        from ray.tune.search.optuna import OptunaSearch

        with without_information():
            return OptunaSearch(OptunaSearch.convert_search_space(space), metric=METRIC, mode="min", seed=seed)
