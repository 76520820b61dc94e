"""sif-ensemble: an ensemble of what several searches by sif-robust find, instead of the best of them.

Not in the paper: there its searches, which differ in their random streams, come to different functions of much the same
validation error, and a mean of several models errs less than each. Every search is charged, and so is the training of
all members (`automl_cf.cf.ensemble`), whose weights validation chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from automl_cf.cf.ensemble import ensemble
from automl_cf.cf.problem import Incumbent, Problem
from automl_cf.searchers._interface import Arrays, Capabilities, OneShotSearcher, searchers
from automl_cf.searchers.sif_robust import RobustOptions, SifRobust
from automl_cf.spaces.architecture import Architecture


@dataclass(frozen=True)
class SifEnsembleOptions(RobustOptions):
    """`sif-robust`'s options; the search ends with the `size`-th of its searches."""

    size: Annotated[int, Field(ge=2)] = 8


@searchers.register("sif-ensemble")
class SifEnsemble(OneShotSearcher):
    """One search by sif-robust after the other; the incumbent are all that have ended, together."""

    Options = SifEnsembleOptions
    # An ensemble is no point of the space.
    capabilities = Capabilities(one_shot=True, relaxable_space_only=True, fixed_proposals=True)

    last: Incumbent | None  # of the search that goes on

    def start(self, problem: Problem) -> None:
        self.problem = problem
        self.found: list[Architecture] = []
        self._begin()

    def step(self) -> Incumbent | None:
        if len(self.found) == self.options.size:
            return None
        result = self.inner.step()
        if result is not None:
            self.last = result
            return self._incumbent()
        assert self.last is not None
        self.found.append(self.last.architecture)
        last = self._incumbent()
        if len(self.found) < self.options.size:
            self._begin()
        return last

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        arrays, values = self.inner.state_dict()
        last = None if self.last is None else {"architecture": self.last.architecture.to_json(), "rmse": self.last.rmse}
        return arrays, {"inner": values, "found": [a.to_json() for a in self.found], "last": last}

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], values: Mapping[str, Any]) -> None:
        self.found = [Architecture.from_json(found) for found in values["found"]]
        if len(self.found) < self.options.size:
            self._begin()
        self.inner.load_state_dict(arrays, values["inner"])
        last = values["last"]
        self.last = None if last is None else Incumbent(Architecture.from_json(last["architecture"]), last["rmse"])

    def _begin(self) -> None:
        """Begin the search after those that have ended, with a stream of its own."""
        number, seed = len(self.found), self.task.seed
        own = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number))
        self.inner = SifRobust(replace(self.task, seed=own), self.options)
        self.inner.start(self.problem)
        self.last = None

    def _incumbent(self) -> Incumbent:
        """What has been found; the supernet's estimate is of a single function only."""
        if not self.found:
            assert self.last is not None
            return self.last
        if len(self.found) == 1:
            return Incumbent(self.found[0], None)
        return Incumbent(ensemble(self.found), None)
