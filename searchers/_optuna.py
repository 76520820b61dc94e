"""Optuna's samplers as searchers: a study of Optuna's is asked and told."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers._interface import AskTellSearcher, SearchTask
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.views.optuna import suggest

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class StartupOptions:
    """`startup`: random proposals before the model speaks; 10 is Optuna's default."""

    startup: Annotated[int, Field(ge=0)] = 10


class OptunaSearcher(AskTellSearcher):
    """The proposals of a plain Optuna study with this sampler, whose objective is the validation RMSE.

    The sampler's seed is the first integer below 2^31 - 1 that `rng` draws. A trial asks only for parameters that exist
    (Optuna's define-by-run), and an evaluation that failed is told as such, from which no sampler learns.
    """

    def __init__(self, task: SearchTask, options: Any) -> None:
        super().__init__(task, options)
        from optuna import create_study

        with without_information():
            self._study = create_study(sampler=self.sampler(int(self.rng.integers(2**31 - 1))))
        self._trials: dict[int, Trial] = {}

    @abstractmethod
    def sampler(self, seed: int) -> "BaseSampler":
        """A fresh sampler."""

    def propose(self, number: int) -> Architecture:
        self._trials[number] = self._study.ask()
        return suggest(self.space, self._trials[number])

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        from optuna.trial import TrialState

        trial = self._trials.pop(number)
        if np.isfinite(evaluation.loss):
            self._study.tell(trial, evaluation.loss)
        else:
            self._study.tell(trial, state=TrialState.FAIL)


@contextmanager
def without_information() -> Iterator[None]:
    """Keep Optuna, meanwhile, from logging what is no warning: that a study was created."""
    from optuna import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(max(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
