"""Bayesian optimisation by hyperopt's tree-structured Parzen estimator (paper, section 4.3 and A.5)."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers._interface import AskTellSearcher, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.views.hyperopt import from_hyperopt, hyperopt_space


@dataclass(frozen=True)
class BayesOptions:
    """`startup`: random proposals before the estimator speaks; hyperopt's default is 20."""

    startup: Annotated[int, Field(ge=0)] = 20


@searchers.register("bayes")
class Bayes(AskTellSearcher):
    """hyperopt's TPE in ask/tell form: the same proposals as `fmin` with the same random generator."""

    Options = BayesOptions

    def __init__(self, task: SearchTask, options: BayesOptions) -> None:
        super().__init__(task, options)
        from hyperopt import Trials
        from hyperopt.base import Domain

        self._domain = Domain(None, hyperopt_space(task.space), pass_expr_memo_ctrl=False)
        self._trials = Trials()

    def propose(self, number: int) -> Architecture:
        from hyperopt import tpe
        from hyperopt.base import spec_from_misc

        ids = self._trials.new_trial_ids(1)
        documents = tpe.suggest(ids, self._domain, self._trials, self._next_seed(), n_startup_jobs=self.options.startup)
        self._trials.insert_trial_docs(documents)
        self._trials.refresh()
        return from_hyperopt(self.space, spec_from_misc(documents[0]["misc"]))

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK

        document = self._trials._dynamic_trials[number]
        ok = evaluation.rmse is not None
        document["result"] = {"status": STATUS_OK, "loss": evaluation.rmse} if ok else {"status": STATUS_FAIL}
        document["state"] = JOB_STATE_DONE
        self._trials.refresh()

    def _next_seed(self) -> int:
        return int(self.rng.integers(2**31 - 1))
