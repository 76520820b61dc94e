"""What a requirement of the contract is, and how one is tried."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from automl_cf.testing.report import Check
from automl_cf.testing.subject import Subject


class Unmet(Exception):  # noqa: N818 - a finding
    """A requirement is not met: what was `seen`, and what usually causes that, if it is not the requirement's."""

    def __init__(self, seen: str, cause: str | None = None) -> None:
        super().__init__(seen)
        self.seen = seen
        self.cause = cause


@dataclass(frozen=True)
class Requirement:
    """One line of the contract: `expects` is what must hold, `cause` what usually breaks it."""

    name: str
    expects: str
    cause: str
    run: Callable[[Subject], str]

    def tried(self, subject: Subject) -> Check:
        """The check of this requirement on a searcher; whatever that raises is a failure."""
        began, cause = time.perf_counter(), self.cause
        try:
            with np.errstate(all="ignore"):
                explanation, passed = f"{self.expects} ({self.run(subject)})", True
        except Unmet as unmet:
            passed, seen, cause = False, unmet.seen, unmet.cause or self.cause
        except (Exception, SystemExit) as error:  # a searcher may raise anything
            passed, seen = False, f"it raised {subject.in_words(error)}"
        if not passed:
            explanation = f"Expected: {self.expects}. Seen: {seen}. Usual cause: {cause}."
        return Check(self.name, passed, explanation, time.perf_counter() - began)


REQUIREMENTS: list[Requirement] = []


def required(name: str, expects: str, cause: str) -> Callable[[Callable[[Subject], str]], Callable[[Subject], str]]:
    """Return a decorator that adds a requirement to `REQUIREMENTS`; its function says on what it was tried."""

    def add(run: Callable[[Subject], str]) -> Callable[[Subject], str]:
        REQUIREMENTS.append(Requirement(name, expects, cause, run))
        return run

    return add
