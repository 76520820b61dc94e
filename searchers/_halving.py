"""What successive halving, Hyperband and ASHA share: an inner searcher proposes, they say for how many epochs to train.

The best are trained again for eta times as many epochs, up to the study's `max_epochs`. Each training starts from
scratch, since a study keeps no state of a training to resume; its epochs are paid in full. A budget of trials counts
each of them as one, however short: budgets of visits or seconds compare these searchers fairly.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.searchers._interface import AskTellSearcher, Proposal, SearchTask, build
from automl_cf.spaces.architecture import Architecture


@dataclass(frozen=True)
class HalvingOptions:
    """The inner `searcher` and its `options`; `eta` and `min_epochs`, the least resource r of the papers."""

    searcher: str = "random"
    options: dict[str, Any] = field(default_factory=dict)
    eta: Annotated[int, Field(ge=2)] = 3
    min_epochs: Annotated[int, Field(ge=1)] = 1


class Halving(AskTellSearcher):
    """An inner searcher, and the epochs of each `rung`, lowest first.

    Raises InputError for an inner searcher that is one-shot, a baseline, cannot have several proposals pending or
    halves itself; and for `min_epochs` above the study's `max_epochs`.
    """

    Options = HalvingOptions

    def __init__(self, task: SearchTask, options: HalvingOptions) -> None:
        super().__init__(task, options)
        inner = build(options.searcher, task, options.options)  # the only one to draw from the task's stream
        able = inner.capabilities.parallel and not inner.capabilities.fixed_proposals
        if not isinstance(inner, AskTellSearcher) or isinstance(inner, Halving) or not able:
            raise InputError(
                f"option 'searcher' is '{options.searcher}', but it must propose points of the space, several of them "
                "pending, and leave the epochs open."
            )
        if options.min_epochs > task.max_epochs:
            raise InputError(
                f"option 'min_epochs' is {options.min_epochs}, but the study trains for {task.max_epochs} epochs."
            )
        self.inner = inner
        self.space = inner.space
        self.rungs = rung_epochs(task.max_epochs, options.min_epochs, options.eta)

    def keep_no_log(self) -> None:
        super().keep_no_log()
        self.inner.keep_no_log()


def rung_epochs(max_epochs: int, min_epochs: int, eta: int) -> list[int]:
    """Return `max_epochs` / eta^k, rounded, for all k that leave `min_epochs` or more, in rising order."""
    rungs = 0
    while min_epochs * eta ** (rungs + 1) <= max_epochs:
        rungs += 1
    return [round(max_epochs / eta**k) for k in range(rungs, -1, -1)]


def rank(evaluation: Evaluation) -> float:
    """The loss to sort by: infinite for every evaluation that came to no number."""
    return evaluation.loss if np.isfinite(evaluation.loss) else float("inf")


class Bracket:
    """One run of successive halving over `epochs`, a rung each, starting with `size` proposals of `inner`.

    When all of a rung are evaluated, the best 1/eta of them go on to the next; what failed never does. `inner` is told
    of each once: of those that stay behind, when that is decided, and of the others after the last rung.
    """

    def __init__(self, inner: AskTellSearcher, size: int, epochs: list[int], eta: int) -> None:
        self.inner, self.size, self.epochs, self.eta = inner, size, epochs, eta
        self.rung = 0
        self.members: list[Proposal] = []  # of this rung, which waits for `size` results
        self.started = 0
        self.results: dict[int, Evaluation] = {}
        self.done = False

    def next(self) -> Proposal | None:
        """The next member to train for `epochs[rung]`, or None as long as results are awaited, and when done."""
        if self.rung == 0 and self.started == len(self.members) < self.size:
            asked = self.inner.ask(1)
            self.members += asked
            if not asked:  # there are no more: the bracket is smaller
                self.size = len(self.members)
                self._advance()
        if self.started == len(self.members):
            return None
        self.started += 1
        return self.members[self.started - 1]

    def record(self, member: Proposal, evaluation: Evaluation) -> None:
        """Take a member's evaluation on this rung."""
        self.results[member.id] = evaluation
        self._advance()

    def _advance(self) -> None:
        if len(self.results) < self.size:
            return
        ranked = sorted(self.members, key=lambda member: rank(self.results[member.id]))
        sound = [member for member in ranked if np.isfinite(rank(self.results[member.id]))]
        last = self.rung == len(self.epochs) - 1
        promoted = [] if last else sound[: max(1, self.size // self.eta)]
        for member in self.members:
            if member not in promoted:
                self.inner.tell(member.id, self.results[member.id])
        self.members, self.size, self.started, self.results = promoted, len(promoted), 0, {}
        self.rung += 1
        self.done = not promoted


class BracketSearcher(Halving):
    """Brackets one after another without end; while the open ones await results, another one begins.

    So several workers are kept busy. With one proposal pending at a time, a bracket follows the other.
    """

    def __init__(self, task: SearchTask, options: HalvingOptions) -> None:
        super().__init__(task, options)
        self._planned = self.halvings()
        self._open: list[Bracket] = []
        self._jobs: dict[int, tuple[Bracket, Proposal]] = {}

    @abstractmethod
    def halvings(self) -> Iterator[int]:
        """How often each bracket halves: s of the papers, from 0 to one less than the number of rungs."""

    def propose(self, number: int) -> Proposal | None:
        for bracket in self._open:
            if member := bracket.next():
                return self._train(number, bracket, member)
        bracket = self._new_bracket()
        member = bracket.next()
        if member is None:
            return None
        self._open.append(bracket)
        return self._train(number, bracket, member)

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        bracket, member = self._jobs.pop(number)
        bracket.record(member, evaluation)
        self._open = [bracket for bracket in self._open if not bracket.done]

    def _train(self, number: int, bracket: Bracket, member: Proposal) -> Proposal:
        self._jobs[number] = bracket, member
        return replace(member, epochs=bracket.epochs[bracket.rung])

    def _new_bracket(self) -> Bracket:
        s, eta = next(self._planned), self.options.eta
        size = -(-len(self.rungs) * eta**s // (s + 1))  # Li et al. 2018, Algorithm 1: ceil of B/R eta^s / (s + 1)
        return Bracket(self.inner, size, self.rungs[-(s + 1) :], eta)
