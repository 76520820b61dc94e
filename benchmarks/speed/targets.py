"""What is aimed at, and whether it was reached: by the median over rounds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from automl_cf.benchmarks.speed.cases import OUR_BATCH, TEXTBOOK_BATCH
from automl_cf.benchmarks.speed.compiling import CACHED, COMPILED
from automl_cf.benchmarks.speed.results import ANY, Results, Rounds, Setting, Spread, number
from automl_cf.benchmarks.speed.scaling import on
from automl_cf.benchmarks.speed.subjects import C_LOOP, FUSED, LOADER, SLICES, SURPRISE
from automl_cf.benchmarks.speed.whole import at_batch
from automl_cf.benchmarks.speed.workers import subject_of

OURS = at_batch(FUSED, OUR_BATCH)


@dataclass(frozen=True)
class Target:
    """A goal for one number; `value` computes it by round, empty where it was not measured."""

    text: str
    goal: float
    unit: str
    at_least: bool
    value: Callable[[Results], Rounds]

    @property
    def goal_text(self) -> str:
        """Such as `at least 60%`."""
        return f"at {'least' if self.at_least else 'most'} {number(self.goal)}{self.unit}"

    def check(self, results: Results) -> tuple[Spread, str]:
        """What was measured, and `reached`, `not reached` or `not measured`."""
        measured = Spread.of(self.value(results))
        if np.isnan(measured.median):
            return measured, "not measured"
        reached = measured.median >= self.goal if self.at_least else measured.median <= self.goal
        return measured, "reached" if reached else "not reached"


def _at(batch: int, networks: bool) -> Setting:
    return {"batch": batch, "networks": "yes" if networks else "no"}


def _speed_against_c(batch: int, networks: bool) -> Target:
    kind = "with" if networks else "without"
    return Target(
        f"fused engine's speed in an epoch, of the C loop's; batch {batch}, {kind} networks",
        60,
        "%",
        True,
        lambda results: 100 * results.ratio("epoch", C_LOOP, FUSED, _at(batch, networks)),
    )


def _faster(text: str, goal: float, measurement: str, than: str, subject: str, at: Setting = ANY) -> Target:
    return Target(text, goal, "×", True, lambda results: results.ratio(measurement, than, subject, at))


def _ml_1m(networks: bool) -> Target:
    kind, at = ("with", {"networks": "yes"}) if networks else ("without", {"networks": "no"})
    return Target(
        f"an epoch on ml-1m, of one on ml-100k; {kind} networks",
        14,
        "×",
        False,
        lambda results: results.ratio("ml-1m", on(FUSED, "ml-1m"), on(FUSED, "ml-100k"), at),
    )


def _memory(text: str, goal: float, data: str, above_imports: bool) -> Target:
    def megabytes(results: Results) -> Rounds:
        peak, imports = (results.rounds("memory", FUSED, {"data": data}, quantity) for quantity in ("peak", "imports"))
        return peak - imports if above_imports else peak

    return Target(text, goal, " MB", False, megabytes)


def gain(results: Results, engine: str) -> Rounds:
    """How many times one process's work two processes do in the same time."""
    return 2 * results.ratio("workers", subject_of(engine, 1), subject_of(engine, 2))


def _seconds(text: str, goal: float, quantity: str) -> Target:
    return Target(text, goal, " s", False, lambda results: results.rounds("compiling", FUSED, quantity=quantity))


TARGETS = (
    *(_speed_against_c(batch, networks) for batch in (512, 2048) for networks in (True, False)),
    *(
        _faster(
            f"fused engine against Surprise's SVD, per epoch and rating; batch {batch}",
            3,
            "epoch",
            SURPRISE,
            FUSED,
            _at(batch, networks=False),
        )
        for batch in (512, 2048)
    ),
    _faster(
        "one candidate's whole training, against the textbook's with a DataLoader",
        60,
        "whole",
        at_batch(LOADER, TEXTBOOK_BATCH),
        OURS,
    ),
    _faster(
        "one candidate's whole training, against the textbook's with slices",
        20,
        "whole",
        at_batch(SLICES, TEXTBOOK_BATCH),
        OURS,
    ),
    _faster(
        "SIF and the retraining over the grid, against the textbook's with a DataLoader",
        60,
        "search",
        at_batch(LOADER, TEXTBOOK_BATCH),
        OURS,
    ),
    *(_ml_1m(networks) for networks in (True, False)),
    _memory("memory for ml-1m, above the imports", 600, "ml-1m", above_imports=True),
    _memory("memory for planted data of 10,000,000 ratings, all in all", 3000, "planted-10000000", above_imports=False),
    Target(
        "what two processes of the fused engine gain, of what two C loops gain",
        90,
        "%",
        True,
        lambda results: 100 * (gain(results, FUSED) / gain(results, C_LOOP)).dropna(),
    ),
    _seconds("compiling at the first use", 20, COMPILED),
    _seconds("loading from Numba's cache", 1, CACHED),
)
