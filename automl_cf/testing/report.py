"""What the checks came to."""

import sys
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb


@dataclass(frozen=True)
class Check:
    """One requirement of the contract, tried.

    `explanation` says what was seen; of a failed check also what was expected, and what usually causes it. `seconds`
    is what it took, which no check judges.
    """

    name: str
    passed: bool
    explanation: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """All checks of one searcher, in their order."""

    searcher: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all of them were."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """Those that were not passed."""
        return tuple(check for check in self.checks if not check.passed)

    def __str__(self) -> str:
        """One line, and one more for each failed check."""
        lines = [
            f"searcher '{self.searcher}' passed {len(self.checks) - len(self.failed)} of {len(self.checks)} checks"
        ]
        return "\n".join(lines + [f"{check.name}: {check.explanation}" for check in self.failed])


def in_words(error: BaseException, module: str = "") -> str:
    """An exception in one line, with the place that raised it: the innermost in `module`, if it came through there."""
    text = " ".join(str(error).split()).rstrip(".")
    file = getattr(sys.modules.get(module), "__file__", None)
    frames = extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1] if frames else None)
    place = f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})" if frame else ""
    return f"{type(error).__name__}: {text}{place}"
