"""How much is measured, and what is told meanwhile."""

import sys
import time
from dataclasses import dataclass, field
from typing import TypeVar

Choice = TypeVar("Choice")


@dataclass
class Scope:
    """`quick` measures little, for tests; `skipped` collects what could not be measured and why."""

    quick: bool = False
    skipped: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.perf_counter, repr=False)

    def pick(self, full: Choice, quick: Choice) -> Choice:
        """How much of something: a number of rounds or epochs, the settings to go through."""
        return quick if self.quick else full

    def skip(self, reason: str) -> None:
        """Note what is left out and why."""
        if reason not in self.skipped:
            self.skipped.append(reason)
            self.say(f"skipped: {reason}")

    def say(self, text: str) -> None:
        """Tell how it goes, on standard error."""
        print(f"[{time.perf_counter() - self._began:6.1f} s] {text}", file=sys.stderr, flush=True)
