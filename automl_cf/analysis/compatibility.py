"""What differs between stored runs, and which of their clocks and errors may be compared nonetheless.

A difference matters for some of `targets()`: the clocks of `curves.CLOCKS`, ``error`` (the test error of what a search
found) and ``pairs`` (differences paired by seed). For each it is

- ``same``: there is none;
- ``differs, harmless``: no result depends on it;
- ``mark``: both may be shown beside each other, if it is said that they differ in this;
- ``refuse``: showing them beside each other would say what is not so.

What a run does not record cannot be told to be the same, and marks what it would have refused. Hosts tell machines
apart, and the calibration measured before each cell tells their speed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from automl_cf.analysis.curves import CLOCKS
from automl_cf.analysis.run import Run
from automl_cf.errors import AutomlCfError, InputError, suggest

SAME, HARMLESS, MARK, REFUSE = "same", "differs, harmless", "mark", "refuse"
LEVELS = (SAME, HARMLESS, MARK, REFUSE)
"""The verdicts on a difference, the worst last."""

ERROR, PAIRS = "error", "pairs"
SIMULATED = "simulated"
"""The clock whose seconds are scaled by the calibration."""

OTHER_SPEED = 1.1
"""Median calibrations that differ by more than this factor are of machines of different speed."""
UNEVEN = 1.5
"""A slowest calibration by this factor above the fastest of the same run: it was not equally fast for all its cells."""

COLUMNS = ["run_a", "run_b", "field", "dataset", "searcher", "seed", "a", "b", "matters", "verdict", "words"]
"""The columns of `Comparability.differences`."""

_MISSING = "not recorded"
_VISITS, _WALL = "visits", "wall"
_SHOWN = 60  # characters of a value
_FOR_ALL = ("torch", "numba", "numpy", "scipy", "automl-cf", "python", "hyperopt", "optuna")  # versions

Consequence = tuple[str, tuple[str, ...], str]
"""A verdict, what it is for, and why."""


@dataclass(frozen=True)
class Difference:
    """One field of two runs, of everything or of one data set, searcher or seed only; see the module for verdicts."""

    field: str
    a: str
    b: str
    verdict: str
    matters: tuple[str, ...] = ()
    words: str = ""
    dataset: str = ""
    searcher: str = ""
    seed: int | None = None


def targets() -> tuple[str, ...]:
    """Return what differences may matter for."""
    return (*CLOCKS, ERROR, PAIRS)


@dataclass(frozen=True, eq=False)
class Comparability:
    """What differs between runs, and what of them may be compared.

    ``differences`` has the columns of `COLUMNS`, one row per pair of runs, field and verdict: ``dataset``, ``searcher``
    ("" for all) and ``seed`` (missing for all) say what it is of, ``a`` and ``b`` are the values as text, ``matters``
    is a tuple of `targets`, and ``words`` say why. Fields that are the same have a row, too.
    """

    differences: pd.DataFrame

    def rows(self, target: str, dataset: str | None = None, searcher: str | None = None) -> pd.DataFrame:
        """Return the differences that matter for a target, the worst first.

        With ``dataset`` or ``searcher``, those of other data sets or searchers are left out.
        Raises InputError for an unknown target.
        """
        if target not in targets():
            raise InputError(
                f"Unknown clock or metric '{target}'.{suggest(target, targets())} Known: {', '.join(targets())}."
            )
        table = self.differences
        keep = pd.Series([target in matters for matters in table["matters"]], index=table.index, dtype="bool")
        for column, wanted in (("dataset", dataset), ("searcher", searcher)):
            if wanted is not None:
                keep &= table[column].isin(["", wanted])
        found = table[keep]
        worst_first = np.argsort([-LEVELS.index(verdict) for verdict in found["verdict"]], kind="stable")
        return found.iloc[worst_first]

    def verdict(self, target: str, dataset: str | None = None, searcher: str | None = None) -> str:
        """Return the worst verdict on a target; see `rows` for scope and errors."""
        found = self.rows(target, dataset, searcher)["verdict"]
        return str(found.iloc[0]) if len(found) else SAME

    def reasons(self, target: str, dataset: str | None = None, searcher: str | None = None) -> list[str]:
        """Return why a target is refused, or else why it is marked: each reason once; none where it is neither."""
        found = self.rows(target, dataset, searcher)
        if not len(found) or found["verdict"].iloc[0] not in (MARK, REFUSE):
            return []
        worst = found[found["verdict"] == found["verdict"].iloc[0]]
        return list(dict.fromkeys(reason(row) for row in worst.to_dict("records")))

    def require(self, target: str, dataset: str | None = None, searcher: str | None = None) -> None:
        """Raise AutomlCfError with all reasons where a target is refused; see `rows` for scope."""
        if self.verdict(target, dataset, searcher) == REFUSE:
            what = "The test errors" if target == ERROR else f"The clock '{target}'"
            reasons = "; ".join(self.reasons(target, dataset, searcher))
            raise AutomlCfError(f"{what} of these runs cannot be compared: {reasons}.")


def comparable(runs: Sequence[Run]) -> Comparability:
    """Return what may be compared of runs, such as all that one figure shows: all pairs of them are looked at.

    One run alone is comparable with itself in everything.
    """
    rows: list[dict[str, Any]] = []
    for a, b in combinations(runs, 2):
        pair = {"run_a": str(a.path), "run_b": str(b.path)}
        rows += [{**pair, **asdict(difference)} for difference in differences(a, b)]
    return Comparability(pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64"}))


def reason(row: Mapping[Any, Any]) -> str:
    """Return a row of `Comparability.differences` in words, such as "host a | b: another machine, so that ..."."""
    of = [str(row["dataset"]), str(row["searcher"]), "" if pd.isna(row["seed"]) else f"seed {row['seed']}"]
    scope = ", ".join(filter(None, of))
    return f"{row['field']}{f' of {scope}' if scope else ''} {row['a']} | {row['b']}: {row['words']}"


def differences(a: Run, b: Run) -> list[Difference]:
    """Return what differs between two runs, and what is the same, field by field."""
    parts = (_data, _splits, _machine, _speed, _engine, _resources, _budget, _training, _searchers, _plugins, _scoring)
    return [difference for part in (*parts, _versions) for difference in part(a, b)]


# --- what clocks are of ---


def _seconds() -> tuple[str, ...]:
    """The clocks in seconds of the machine at hand."""
    return tuple(name for name in CLOCKS if name not in (_VISITS, SIMULATED))


def _scaled() -> tuple[str, ...]:
    """The clock in seconds that are scaled by the calibration, where there is one."""
    return tuple(name for name in CLOCKS if name == SIMULATED)


def _other_speed(a: Run, b: Run, why: str, scaled: str = MARK) -> list[Consequence]:
    """What follows where seconds are not the same: they are refused, and a budget in seconds bought other searches."""
    refused = _seconds() + (_scaled() if scaled == REFUSE else ())
    found: list[Consequence] = [(REFUSE, refused, f"{why}, so that seconds are not comparable")]
    if scaled == MARK and _scaled():
        found.append((MARK, _scaled(), f"{why}; seconds are scaled by the calibration, which is rough"))
    if any((run.study.get("budget") or {}).get("seconds") for run in (a, b)):
        found.append((MARK, (_VISITS, ERROR), "the budget is in seconds, of which the faster one made more search"))
    return found


# --- fields ---

Pair = tuple[Any, Any]
"""A value of each run."""


def _both(a: Run, b: Run, read: Callable[[Run], Any]) -> Pair:
    return read(a), read(b)


def _row(field: str, values: Pair, consequence: Consequence, **scope: Any) -> Difference:
    verdict, matters, words = consequence
    return Difference(field, _text(values[0]), _text(values[1]), verdict, matters, words, **scope)


def _compared(field: str, values: Pair, *consequences: Consequence, **scope: Any) -> Iterator[Difference]:
    """Yield the rows of a field: one that says ``same``, or one for each consequence of its difference."""
    a, b = values
    if a == b and a != _MISSING:
        yield _row(field, values, (SAME, (), ""), **scope)
        return
    if _MISSING in (a, b):
        matters = tuple(dict.fromkeys(name for _, names, _ in consequences for name in names))
        worst = MARK if any(verdict in (MARK, REFUSE) for verdict, *_ in consequences) else HARMLESS
        consequences = ((worst, matters, "not recorded, so that it may differ"),)
    elif isinstance(a, Mapping) and isinstance(b, Mapping):  # what they have in common is not shown
        keys = [key for key in dict.fromkeys([*a, *b]) if (key in a, a.get(key)) != (key in b, b.get(key))]
        values = ({key: a.get(key, "not given") for key in keys}, {key: b.get(key, "not given") for key in keys})
    for consequence in consequences:
        yield _row(field, values, consequence, **scope)


def _data(a: Run, b: Run) -> Iterator[Difference]:
    """Data sets of one name; where their splits are the same, so are the ratings, whatever files they came from."""
    for dataset in _common(a.cells["dataset"], b.cells["dataset"]):
        hashes = _both(a, b, partial(_split_hashes, dataset=dataset))
        seeds = set(hashes[0]) & set(hashes[1])
        proven = bool(seeds) and all(hashes[0][seed] == hashes[1][seed] for seed in seeds)
        effect: Consequence = (REFUSE, targets(), "other data: nothing of them is comparable")
        if proven:
            effect = (HARMLESS, (), "their splits are the same, and so are the ratings")
        facts = _both(a, b, partial(_data_facts, dataset=dataset))
        for name in facts[0]:
            values = (facts[0][name], facts[1][name])
            if not (proven and _MISSING in values):
                yield from _compared(f"data.{name}", values, effect, dataset=dataset)


def _data_facts(run: Run, dataset: str) -> dict[str, Any]:
    recorded = {name: _get(run.manifest, "datasets", dataset, name) for name in ("name", "sha256", "ratings")}
    return recorded | {"options": _get(_titled(run, "datasets").get(dataset, {}), "options")}


def _splits(a: Run, b: Run) -> Iterator[Difference]:
    other: Consequence = (REFUSE, targets(), "models were trained on another share of the ratings")
    yield from _compared("fractions", _both(a, b, lambda run: _get(run.study, "fractions")), other)
    seeds: Consequence = (MARK, (*CLOCKS, ERROR, PAIRS), "another part of the randomness follows the seed")
    yield from _compared("vary", _both(a, b, _varied), seeds)
    unpaired: Consequence = (REFUSE, (PAIRS,), "another split of the seed: errors and times cannot be paired by it")
    for dataset in _common(a.cells["dataset"], b.cells["dataset"]):
        of_a, of_b = _both(a, b, partial(_split_hashes, dataset=dataset))
        for seed in sorted(set(of_a) & set(of_b)):
            yield from _compared("split", (of_a[seed], of_b[seed]), unpaired, dataset=dataset, seed=seed)


def _varied(run: Run) -> Any:
    names = _get(run.study, "vary")
    return sorted(names) if isinstance(names, list) else names


def _machine(a: Run, b: Run) -> Iterator[Difference]:
    hosts = _both(a, b, lambda run: ", ".join(sorted(set(run.cells["host"].dropna()))) or _MISSING)
    if any("," in names for names in hosts):
        several = _other_speed(a, b, "the cells of a run ran on several machines")
        yield from (_row("host", hosts, consequence) for consequence in several)
    else:
        yield from _compared("host", hosts, *_other_speed(a, b, "another machine"))
    processor = _both(a, b, lambda run: _get(run.manifest, "machine", "processor"))
    yield from _compared("machine.processor", processor, *_other_speed(a, b, "another processor", scaled=REFUSE))
    marks = {
        "platform": "another operating system, whose seconds may be others",
        "cores": "another number of cores, which share memory and clock rate",
        "omp_num_threads": "another number of threads for some libraries",
    }
    for name, words in marks.items():
        values = (_get(a.manifest, "machine", name), _get(b.manifest, "machine", name))
        yield from _compared(f"machine.{name}", values, (MARK, (*_seconds(), *_scaled()), words))


def _speed(a: Run, b: Run) -> Iterator[Difference]:
    """The calibration: medians of the runs, and whether a run was equally fast throughout."""
    measured = [run.cells["calibration"][run.cells["calibration"] > 0] for run in (a, b)]
    if not all(map(len, measured)):
        known = [f"{seconds.median():.3g} s" if len(seconds) else _MISSING for seconds in measured]
        yield from _compared("calibration", (known[0], known[1]), *_other_speed(a, b, "another speed"))
        return
    first, second = (float(seconds.median()) for seconds in measured)
    shown = (f"{first:.3g} s", f"{second:.3g} s")
    factor = max(first, second) / min(first, second)
    effects: list[Consequence] = [(SAME, (), "")]
    if factor > OTHER_SPEED:
        faster = "A" if first < second else "B"
        effects = _other_speed(a, b, f"{faster} was {factor:.2f} times faster at the calibration")
    elif first != second:
        effects = [(HARMLESS, (), f"equally fast within {OTHER_SPEED - 1:.0%}")]
    yield from (_row("calibration", shown, effect) for effect in effects)
    if max(seconds.max() / seconds.min() for seconds in measured) > UNEVEN:
        words = "a machine was not equally fast for all cells of its run, so that single seconds may be off by as much"
        ranges = [f"{seconds.min():.3g} to {seconds.max():.3g} s" for seconds in measured]
        yield _row("calibration.range", (ranges[0], ranges[1]), (MARK, (*_seconds(), *_scaled()), words))


def _engine(a: Run, b: Run) -> Iterator[Difference]:
    rounding: Consequence = (MARK, (ERROR,), "other engines give errors that are equal up to rounding")
    effects = [*_other_speed(a, b, "another engine", scaled=REFUSE), rounding]
    yield from _compared("engine", _both(a, b, _engines), *effects)


def _engines(run: Run) -> str:
    engines = set(run.cells["engine"].dropna()) or {str(_get(run.study, "training", "engine"))}
    return ", ".join(sorted(engines))


def _resources(a: Run, b: Run) -> Iterator[Difference]:
    rounding: Consequence = (MARK, (ERROR,), "other devices give errors that are equal up to rounding")
    waiting = tuple(name for name in CLOCKS if name == _WALL)
    beside = "other numbers of cells ran side by side and shared memory"
    effects: dict[str, list[Consequence]] = {
        "cpus_per_cell": _other_speed(a, b, "another number of cores a cell", scaled=REFUSE),
        "gpus_per_cell": [*_other_speed(a, b, "other devices", scaled=REFUSE), rounding],
        "workers": [(MARK, (*_seconds(), *_scaled()), beside)],
        "backend": [(MARK if waiting else HARMLESS, waiting, "cells wait otherwise")],
    }
    for name, consequences in effects.items():
        values = (_get(a.study, "resources", name), _get(b.study, "resources", name))
        yield from _compared(f"resources.{name}", values, *consequences)


def _budget(a: Run, b: Run) -> Iterator[Difference]:
    of_a, of_b = _both(a, b, lambda run: run.study.get("budget") or {})
    units = {"trials": "trials", "seconds": "s", "visits": "visits"}
    for kind in dict.fromkeys([*units, *of_a, *of_b]):
        limits = [limit for limit in (of_a.get(kind), of_b.get(kind)) if limit is not None]
        words = "searches were ended by other budgets: final errors and times are not of the same search"
        if len(limits) == 2:
            words = "final errors and times are at other budgets; anytime curves are comparable up to the common one, "
            words += f"{min(limits):,g} {units.get(kind, kind)}"
        if limits:
            values = ("none" if limit is None else limit for limit in (of_a.get(kind), of_b.get(kind)))
            yield from _compared(f"budget.{kind}", (next(values), next(values)), (MARK, (*CLOCKS, ERROR), words))


def _training(a: Run, b: Run) -> Iterator[Difference]:
    of_a, of_b = _both(a, b, lambda run: run.study.get("training") or {})
    why = "another training protocol, whose own effect is in every difference"
    for name in dict.fromkeys([*of_a, *of_b]):
        if name != "engine":
            values = (of_a.get(name, _MISSING), of_b.get(name, _MISSING))
            yield from _compared(f"training.{name}", values, (MARK, (*CLOCKS, ERROR), why))


def _searchers(a: Run, b: Run) -> Iterator[Difference]:
    """Searchers of one name: what they are, their options, and the spaces that they search."""
    words = {
        "name": "they are not the same searcher, only called the same",
        "options": "they are not the same searcher: it has other options",
        "space": "it searched another space: not the same searcher, unless it uses none",
    }
    for title in _common(a.cells["searcher"], b.cells["searcher"]):
        of_a, of_b = _both(a, b, partial(_definition, title=title))
        for name, why in words.items():
            effect: Consequence = (MARK, (*CLOCKS, ERROR), why)
            if name == "space" and _is_alias(of_a[name], of_b[name]):
                effect = (HARMLESS, (), "'paper' is 'interaction' for matrices and 'tensor' for data with more modes")
            yield from _compared(f"searcher.{name}", (of_a[name], of_b[name]), effect, searcher=title)


def _definition(run: Run, title: str) -> dict[str, Any]:
    entry = _titled(run, "searchers").get(title, {})
    space = entry.get("space") or _get(run.study, "space")
    known = isinstance(space, Mapping)
    return {
        "name": _get(entry, "name"),
        "options": entry.get("options") or {},
        "space": {"name": space.get("name"), **(space.get("options") or {})} if known else _MISSING,
    }


def _is_alias(a: Any, b: Any) -> bool:
    """Whether two spaces differ in nothing but that one is called the paper's."""
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return False
    return {**a, "name": ""} == {**b, "name": ""} and "paper" in (a["name"], b["name"])


def _plugins(a: Run, b: Run) -> Iterator[Difference]:
    """Plug-ins by their files' names; those that only one run has matter where the other has others instead."""
    of_a, of_b = _both(a, b, lambda run: dict(run.manifest.get("plugins") or {}))
    changed: Consequence = (MARK, (*CLOCKS, ERROR), "another version of the plug-in: what it registers may differ")
    for name in sorted(set(of_a) & set(of_b)):
        yield from _compared(f"plugins.{name}", (of_a[name], of_b[name]), changed)
    only_a, only_b = sorted(set(of_a) - set(of_b)), sorted(set(of_b) - set(of_a))
    effect: Consequence = (HARMLESS, (), "only one run has them")
    if {of_a[name] for name in only_a} == {of_b[name] for name in only_b}:
        effect = (HARMLESS, (), "the same plug-ins by other names")
    elif only_a and only_b:
        effect = (MARK, (*CLOCKS, ERROR), "other plug-ins, which may register searchers of one name")
    if only_a or only_b or not of_a:
        yield from _compared("plugins", (only_a, only_b), effect)


def _scoring(a: Run, b: Run) -> Iterator[Difference]:
    words = "final results are scored alike; curves and times to thresholds see other incumbents"
    for name in ("points", "top_k"):
        values = (_get(a.study, "scoring", name), _get(b.study, "scoring", name))
        yield from _compared(f"scoring.{name}", values, (HARMLESS, (), words))


def _versions(a: Run, b: Run) -> Iterator[Difference]:
    of_a, of_b = _both(a, b, lambda run: run.manifest.get("versions") or {})
    for name in sorted({*of_a, *of_b, *_FOR_ALL}):
        effect: Consequence = (HARMLESS, (), "no result depends on it")
        if name in _FOR_ALL:
            effect = (MARK, (*CLOCKS, ERROR), "another version, on which times and, by a little, errors may depend")
        yield from _compared(f"versions.{name}", (of_a.get(name, _MISSING), of_b.get(name, _MISSING)), effect)


# --- reading runs ---


def _get(values: Any, *keys: str) -> Any:
    """What is at these keys of nested mappings, or `_MISSING`."""
    for key in keys:
        if not isinstance(values, Mapping) or key not in values:
            return _MISSING
        values = values[key]
    return values


def _text(value: Any) -> str:
    """A value for people, on one line and cut: hashes by their beginning."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{name}={_text(part)}" for name, part in value.items()) or "none"
    elif isinstance(value, list | tuple):
        text = ", ".join(map(_text, value)) or "none"
    elif value is None:
        text = "unset"
    else:
        text = f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
    hexadecimal = len(text) == 64 and not set(text) - set("0123456789abcdef")
    return text[:12] if hexadecimal else text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _common(a: Iterable[str], b: Iterable[str]) -> list[str]:
    return sorted(set(a) & set(b))


def _titled(run: Run, key: str) -> dict[str, dict[str, Any]]:
    """The study's entries by what events call them."""
    return {entry.get("label") or entry["name"]: entry for entry in run.study[key]}


def _split_hashes(run: Run, dataset: str) -> dict[int, str]:
    """The split of each seed whose cells were started."""
    cells = run.cells[run.cells["dataset"] == dataset].dropna(subset="split_hash")
    return {int(seed): str(hash_) for seed, hash_ in zip(cells["seed"], cells["split_hash"], strict=True)}
