"""SMAC3 (Lindauer et al.: "SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter Optimization",
JMLR 2022)."""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated, Any
from weakref import finalize

import numpy as np
from pydantic import Field

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.searchers._interface import AskTellSearcher, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.views.configspace import configuration_space, from_configuration

if TYPE_CHECKING:
    from smac.runhistory import TrialInfo


@dataclass(frozen=True)
class SmacOptions:
    """`trials`: SMAC's `n_trials`; a quarter of them at most are its initial Sobol design. The search goes on after."""

    trials: Annotated[int, Field(gt=0)] = 100


@searchers.register("smac")
class Smac(AskTellSearcher):
    """SMAC3's hyperparameter optimisation facade: a random forest, expected improvement, one in five at random.

    Of a failed evaluation SMAC is told that it crashed, with the worst loss so far (1, the RMSE of predicting the mean,
    where there is none): its model cannot take an infinite one. A finite space is exhausted some time. Needs the extra
    `smac`; raises InputError where that is not installed.
    """

    Options = SmacOptions

    def __init__(self, task: SearchTask, options: SmacOptions) -> None:
        super().__init__(task, options)
        if find_spec("smac") is None:
            raise InputError("searcher 'smac' needs the package smac: pip install 'automl-cf[smac]'.")
        from smac import HyperparameterOptimizationFacade, Scenario

        folder = mkdtemp(prefix="automl-cf-smac-")  # SMAC must have one, and writes its settings there
        finalize(self, shutil.rmtree, folder, ignore_errors=True)
        scenario = Scenario(
            configuration_space(self.space),
            output_directory=Path(folder),
            deterministic=True,
            n_trials=options.trials,
            seed=int(self.rng.integers(2**31 - 1)),
        )
        maximizer = HyperparameterOptimizationFacade.get_acquisition_maximizer(scenario)
        in_order(maximizer._local_search)
        self._smac = HyperparameterOptimizationFacade(scenario, acquisition_maximizer=maximizer, logging_level=False)
        self._trials: dict[int, TrialInfo] = {}
        self._worst: float | None = None

    def propose(self, number: int) -> Architecture | None:
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        try:
            self._trials[number] = self._smac.ask()
        except (StopIteration, ConfigurationSpaceExhaustedException):
            return None
        return from_configuration(self.space, self._trials[number].config)

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        from smac.runhistory import StatusType, TrialValue

        if np.isfinite(evaluation.loss):
            self._worst = max(evaluation.loss, evaluation.loss if self._worst is None else self._worst)
            value = TrialValue(evaluation.loss)
        else:
            value = TrialValue(1.0 if self._worst is None else self._worst, status=StatusType.CRASHED)
        self._smac.tell(self._trials.pop(number), value, save=False)


def in_order(search: Any) -> None:
    """Have SMAC's LocalSearch begin at its points in an order of their own, not in that of a set.

    SMAC 2.4 keeps them in a set of objects whose hash is that of a string, so that its proposals depend on
    PYTHONHASHSEED: another process would neither repeat a run nor resume it.
    """
    in_a_sets_order = search._get_init_points_from_previous_configs
    search._get_init_points_from_previous_configs = lambda *given: sorted(in_a_sets_order(*given), key=repr)
