"""Search algorithms of Ray Tune as searchers: what Tune would ask and tell them, a study asks and tells."""

from abc import abstractmethod
from typing import Any

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers._interface import AskTellSearcher, SearchTask
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.views.tune import from_tune, tune_space

METRIC = "rmse"


class TuneSearcher(AskTellSearcher):
    """Drives a `ray.tune.search.Searcher` without Tune; no cluster is started."""

    def __init__(self, task: SearchTask, options: Any) -> None:
        super().__init__(task, options)
        self._search = self.algorithm(tune_space(self.space), int(self.rng.integers(2**31 - 1)))

    @abstractmethod
    def algorithm(self, space: dict[str, Any], seed: int) -> Any:
        """The search algorithm, minimising METRIC over a Tune search space."""

    def propose(self, number: int) -> Architecture:
        return from_tune(self.space, self._search.suggest(str(number)))

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        if evaluation.rmse is None:
            self._search.on_trial_complete(str(number), error=True)
        else:
            self._search.on_trial_complete(str(number), {METRIC: evaluation.rmse})
