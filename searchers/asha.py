"""Asynchronous successive halving (Li et al.: "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020),
around any ask/tell searcher, with epochs as the resource."""

from collections.abc import Iterator

import numpy as np

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers._halving import Halving, HalvingOptions, rank
from automl_cf.searchers._interface import Proposal, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture


@searchers.register("asha")
class Asha(Halving):
    """Asynchronous successive halving of another searcher's proposals: the best 1/eta of a rung by now go on.

    It is Algorithm 2 with s = 0 and waits for no rung to be complete. Since anything may still be promoted later, the
    inner searcher is told of each architecture's evaluation on the lowest rung, the one that all have in common. What
    failed is not promoted.
    """

    def __init__(self, task: SearchTask, options: HalvingOptions) -> None:
        super().__init__(task, options)
        self._losses: list[dict[int, float]] = [{} for _ in self.rungs]  # by the inner searcher's numbers
        self._promoted: list[set[int]] = [set() for _ in self.rungs]
        self._members: dict[int, Proposal] = {}
        self._jobs: dict[int, tuple[int, int]] = {}

    def propose(self, number: int) -> Proposal | None:
        rung, member = next(self._promotable(), (0, None))
        if member is None:
            asked = self.inner.ask(1)
            if not asked:
                return None
            member = asked[0].id
            self._members[member] = asked[0]
        else:
            self._promoted[rung - 1].add(member)
        self._jobs[number] = rung, member
        return Proposal(number, self._members[member].architecture, self.rungs[rung])

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        rung, member = self._jobs.pop(number)
        self._losses[rung][member] = rank(evaluation)
        if rung == 0:
            self.inner.tell(member, evaluation)

    def _promotable(self) -> Iterator[tuple[int, int]]:
        """Rungs to go to, highest first, and who may."""
        for rung in reversed(range(len(self.rungs) - 1)):
            losses = self._losses[rung]
            best = sorted(losses, key=losses.__getitem__)[: len(losses) // self.options.eta]
            for member in best:
                if member not in self._promoted[rung] and np.isfinite(losses[member]):
                    yield rung + 1, member
