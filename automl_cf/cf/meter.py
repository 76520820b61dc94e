"""What training code reports to whoever keeps the accounts: visits, seconds by kind, and whether to go on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class BudgetExhausted(Exception):  # noqa: N818 - it ends a computation as planned, nothing is wrong
    """Raised by `Meter.check` when the budget runs out in the middle of a computation; no user sees it."""


class Meter(Protocol):
    """The accounts of one cell, as far as training code sees them."""

    def visit(self, count: int) -> None:
        """Count `count` visits: one rating through one operation in a pass taken for a gradient."""

    def timed(self, kind: str) -> AbstractContextManager[None]:
        """A context whose seconds are booked as `kind`: `train`, `validate`, ..."""

    def check(self) -> None:
        """Raise `BudgetExhausted` if the budget has run out. Called between epochs and supernet batches."""


class NullMeter:
    """Counts visits, keeps no time and knows no budget: for scoring code, tests and notebooks."""

    def __init__(self) -> None:
        self.visits = 0

    def visit(self, count: int) -> None:
        """Count visits."""
        self.visits += count

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Do nothing around the block."""
        yield

    def check(self) -> None:
        """Never stop."""
