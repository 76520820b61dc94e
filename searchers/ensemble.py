"""Post-hoc ensemble selection (Caruana et al., ICML 2004) around any ask/tell searcher.

Not in the paper: what the same trials are worth if not only the best of them is kept. The ensembles are trials of their
own, so that all their trainings are charged.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from automl_cf.cf.ensemble import ensemble
from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.searchers._interface import AskTellSearcher, Capabilities, SearchTask, build, searchers
from automl_cf.spaces.architecture import Architecture


@dataclass(frozen=True)
class EnsembleOptions:
    """The inner `searcher` and its `options`; an ensemble of its best `size` follows its trial number `first`, twice
    that, four times that and so on."""

    searcher: str = "evolution"
    options: dict[str, Any] = field(default_factory=dict)
    size: Annotated[int, Field(ge=2)] = 8
    first: Annotated[int, Field(ge=2)] = 16


@searchers.register("ensemble")
class Ensemble(AskTellSearcher):
    """Another searcher's proposals, and from time to time an ensemble of the best that it has found.

    Raises InputError for an inner searcher that is one-shot or a baseline.
    """

    Options = EnsembleOptions
    capabilities = Capabilities(fixed_proposals=True)  # an ensemble is no point of the space

    def __init__(self, task: SearchTask, options: EnsembleOptions) -> None:
        super().__init__(task, options)
        inner = build(options.searcher, task, options.options)  # the only one to draw from the task's stream
        if not isinstance(inner, AskTellSearcher) or inner.capabilities.fixed_proposals:
            raise InputError(f"option 'searcher' is '{options.searcher}', but it must propose points of the space.")
        self.inner = inner
        self._jobs: dict[int, int] = {}  # the inner searcher's numbers of the pending proposals
        self._found: list[tuple[float, int, Architecture]] = []  # loss, number and architecture of what succeeded
        self._told, self._next, self._ended = 0, options.first, False

    def keep_no_log(self) -> None:
        super().keep_no_log()
        self.inner.keep_no_log()

    def propose(self, number: int) -> Architecture | None:
        if self._told >= self._next:
            self._next *= 2
            if len(self._found) > 1:
                return self._best()
        asked = self.inner.ask(1)
        if asked:
            self._jobs[number] = asked[0].id
            return asked[0].architecture
        if self._ended or self._jobs or len(self._found) < 2:
            return None
        self._ended = True  # of all that a finite search has proposed
        return self._best()

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        inner = self._jobs.pop(number, None)
        if inner is None:
            return
        self._told += 1
        if np.isfinite(evaluation.loss):
            self._found.append((evaluation.loss, number, architecture))
        self.inner.tell(inner, evaluation)

    def _best(self) -> Architecture:
        found = sorted(self._found, key=lambda result: result[:2])
        return ensemble([architecture for _, _, architecture in found[: self.options.size]])
