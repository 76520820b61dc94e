"""What a figure shows, and the sentences about it that captions of several kinds have in common."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

from automl_cf.analysis.curves import timed_cells
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.styles import Style
from automl_cf.analysis.tables import cell_table
from automl_cf.errors import InputError, suggest

MANY = 12
"""More searchers than these have no bands, which would hide the lines."""


@dataclass(frozen=True)
class Options:
    """What some kinds of figures take beside runs; `Kind.options` says which.

    ``linear``: time is not on a logarithmic axis. ``top``: of how many architectures `efficiency` takes the mean.
    ``x``: the range of `elementwise`. ``thresholds``: test rmse_std, beside those that the studies declare.
    """

    linear: bool = False
    top: int = 3
    x: tuple[float, float] = (-2.0, 2.0)
    thresholds: tuple[float, ...] = ()


def options_of(values: Mapping[str, Any]) -> Options:
    """Return `Options` of names and values, sequences as tuples; raises InputError for a name that there is not."""
    known = [option.name for option in fields(Options)]
    for name in values:
        if name not in known:
            raise InputError(f"options: there is no '{name}'.{suggest(name, known)} Known: {', '.join(known)}.")
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return Options(**given)


@dataclass(frozen=True)
class Subject:
    """One run, maybe merged of several, with the look of each of its searchers.

    ``clock`` is one of `curves.CLOCKS`, "" for kinds without; ``declared`` the studies' thresholds by data set.
    """

    run: Run
    looks: Mapping[str, Style]
    clock: str = ""
    declared: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    options: Options = field(default_factory=Options)

    def panels(self) -> Iterator[tuple[str, int]]:
        """Yield each (dataset, dim) that has cells, sorted."""
        for dataset, dim, _ in groups(self.run.cells, "dataset", "dim"):
            yield dataset, int(dim)


def of_panel(frame: pd.DataFrame, dataset: str, dim: int) -> pd.DataFrame:
    """Return the rows of a data set and dimension."""
    return frame[(frame["dataset"] == dataset) & (frame["dim"] == dim)]


def panel_title(dataset: str, dim: int) -> str:
    """Return what a panel of one (dataset, dim) is called."""
    return f"{dataset}, dimension {dim}"


def seeds_in_words(counts: Iterable[int]) -> str:
    """Return over how many seeds means are: "3 seeds", "1 to 3 seeds"."""
    known = {int(count) for count in counts} or {0}
    fewest, most = min(known), max(known)
    return f"{most if fewest == most else f'{fewest} to {most}'} seed{'s' if most != 1 else ''}"


def interval_in_words(counts: Iterable[int], what: str = "Lines") -> str:
    """Return what is drawn around means over so many seeds; ``what`` names it, in the plural or singular."""
    known = {int(count) for count in counts}
    parts = [f"{what}: 95% t-interval over seeds."] if max(known, default=0) > 1 else []
    return " ".join([*parts, *(["1 seed: no interval."] if 1 in known else [])])


def bands_in_words(shown: pd.DataFrame, counts: Iterable[int]) -> str:
    """Return what the bands around means over so many seeds are; too many searchers in a panel have none."""
    many = shown.groupby(["dataset", "dim"])["searcher"].nunique().max() > MANY
    return f"No bands, for more than {MANY} searchers." if many else interval_in_words(counts, "Band")


def problems_in_words(run: Run, clock: str = "") -> str:
    """Return which cells give no result (by a clock) and why, or how many if they are many; "" if all do."""
    left_out = (timed_cells(run, clock) if clock else cell_table(run)).dropna(subset="problem")
    if left_out.empty:
        return ""
    if len(left_out) > 3:
        return f"Left out: {len(left_out)} cells without a result."
    named = ", ".join(f"{row['cell']} ({row['problem']:.60})" for row in left_out.to_dict("records"))
    return f"Left out: {named}."


def machines_in_words(run: Run) -> str:
    """Return that seconds are of several machines, where they are; hosts that are not known do not count."""
    hosts = run.cells["host"].dropna().nunique()
    return f"Seconds are of {hosts} machines." if hosts > 1 else ""


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return names separated by commas, or the first of them and how many more there are."""
    known = list(names)
    if len(known) <= most + 1:
        return ", ".join(known)
    return f"{', '.join(known[:most])} and {len(known) - most} more"


def sentences(*parts: str) -> str:
    """Return the parts that there are as one text."""
    return " ".join(part for part in parts if part)
