"""The ledger accounts for every second of a cell, by kind, and for its visits; it also guards the budget."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from automl_cf.cf.meter import BudgetExhausted
from automl_cf.events import CLOCK_KINDS, SEARCH_KINDS
from automl_cf.suite.study import Budget


class Ledger:
    """Books seconds by kind. Kinds nest: time inside an inner kind is not the outer one's.

    `synchronize` is called before a kind ends, so that a GPU's pending work is booked where it was caused.
    """

    def __init__(self, budget: Budget, synchronize: Callable[[], None] = lambda: None) -> None:
        self.budget = budget
        self.visits = 0
        self._synchronize = synchronize
        self._booked = dict.fromkeys(CLOCK_KINDS, 0.0)
        self._open: list[str] = []
        self._since = time.perf_counter()

    def restore(self, clock: Mapping[str, float], visits: int) -> None:
        """Continue from an earlier attempt's accounts."""
        self._booked.update(clock)
        self.visits = visits

    def visit(self, count: int) -> None:
        """Count visits."""
        self.visits += count

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Book the block's seconds as `kind`."""
        self._turn()
        self._open.append(kind)
        try:
            yield
        finally:
            self._synchronize()
            self._turn()
            self._open.pop()

    def book(self, kind: str, seconds: float) -> None:
        """Book seconds measured elsewhere."""
        self._booked[kind] += seconds

    def clock(self) -> dict[str, float]:
        """Seconds by kind up to now."""
        self._turn()
        return {kind: round(seconds, 6) for kind, seconds in self._booked.items()}

    @property
    def search_seconds(self) -> float:
        """think + train + validate up to now."""
        self._turn()
        return sum(self._booked[kind] for kind in SEARCH_KINDS)

    def check(self) -> None:
        """Raise BudgetExhausted once seconds or visits are over."""
        if reason := self._over(strictly=True):
            raise BudgetExhausted(reason)

    def spent(self, trials: int) -> str | None:
        """Which budget leaves nothing for another trial, or None."""
        if self.budget.trials is not None and trials >= self.budget.trials:
            return "trials"
        return self._over(strictly=False)

    def _over(self, strictly: bool) -> str | None:
        limit = self.budget.visits
        if limit is not None and (self.visits > limit or (self.visits == limit and not strictly)):
            return "visits"
        if self.budget.seconds is not None and self.search_seconds >= self.budget.seconds:
            return "seconds"
        return None

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self._booked[self._open[-1]] += now - self._since
        self._since = now
