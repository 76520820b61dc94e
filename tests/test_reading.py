"""Reading a run, against a plain reading of the whole log at once."""

import gzip
import json
import math
import pickle
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import small_study
from stored_runs import Found, StoredRun

from automl_cf.analysis.events import FIELDS, _Numbers, cell_events
from automl_cf.analysis.packed import Packed, PackedArray
from automl_cf.analysis.run import Run
from automl_cf.errors import InputError
from automl_cf.events import CLOCK_KINDS, SEARCH_KINDS, effective, read_events
from automl_cf.suite import run as suite_run

Event = dict[str, Any]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


# What the frames hold


def of_kind(events: list[Event], *kinds: str) -> list[Event]:
    return [event for event in events if event["kind"] in kinds]


def search(event: Event) -> float:
    return sum(event["clock"][kind] for kind in SEARCH_KINDS)


def wall(event: Event, events: list[Event]) -> float:
    """Seconds from the start of each attempt to what was last done in it, up to an event, added up."""
    before = [other for other in events[: events.index(event) + 1] if other["kind"] not in ("score", "cell_scored")]
    total = 0.0
    for _, attempt in groupby(before, key=lambda other: other["attempt"]):
        in_it = list(attempt)
        assert in_it[0]["kind"] == "cell_started"
        total += in_it[-1]["time"] - in_it[0]["time"]
    return total


def check_against_a_plain_reading(folder: Path, log: Path) -> None:
    """Compare `Run.load` of a folder with what the events of a log say, cell by cell."""
    run = Run.load(folder)
    by_cell: dict[str, list[Event]] = {}
    for event in effective(read_events(log)):
        by_cell.setdefault(event["cell"], []).append(event)
    assert set(by_cell) <= set(run.cells["cell"])
    for cell, events in by_cell.items():
        searched = [event for event in events if event["kind"] not in ("score", "cell_scored")]
        last, found = searched[-1], of_kind(events, "incumbent")
        (row,) = run.cells[run.cells["cell"] == cell].to_dict("records")
        assert (row["attempts"], row["visits"]) == (last["attempt"], last["visits"])
        assert row["trials"] == len(of_kind(events, "trial"))
        assert row["calibration"] == of_kind(events, "cell_started")[-1]["calibration"]
        assert row["search_seconds"] == pytest.approx(search(last))
        assert row["work_seconds"] == pytest.approx(search(last) + last["clock"]["setup"])
        assert row["wall_seconds"] == pytest.approx(wall(last, events))
        assert [row[kind] for kind in CLOCK_KINDS] == [max(e["clock"][kind] for e in events) for kind in CLOCK_KINDS]
        states = {"cell_finished": "finished", "cell_failed": "failed"}
        assert row["state"] == states.get(last["kind"], "interrupted")
        assert row["final_id"] == found[-1]["id"] if found else pd.isna(row["final_id"])
        assert row["final_seconds"] == pytest.approx(search(found[-1])) if found else pd.isna(row["final_seconds"])

        trials = run.trials[run.trials["cell"] == cell].to_dict("records")
        assert len(trials) == len(of_kind(events, "trial"))
        for mine, event in zip(trials, of_kind(events, "trial"), strict=True):
            same = ["attempt", "n", "number", "architecture", "id", "status", "curve", "trial_visits", "seconds"]
            assert [mine[name] for name in same] == [event[name] for name in same]
            for name in ("rmse", "epochs", "best_epoch"):
                assert mine[name] == event[name] or (event[name] is None and math.isnan(mine[name]))
            assert mine["search_seconds"] == pytest.approx(search(event))

        incumbents = run.incumbents[run.incumbents["cell"] == cell].to_dict("records")
        assert [mine["order"] for mine in incumbents] == list(range(len(found)))
        for mine, event in zip(incumbents, found, strict=True):
            for name in ("attempt", "n", "architecture", "id", "visits", "source"):
                assert mine[name] == event[name]
            expected = [search(event), search(event) + event["clock"]["setup"], wall(event, events)]
            assert [mine[f"{name}_seconds"] for name in ("search", "work", "wall")] == pytest.approx(expected)

        scores = run.scores[run.scores["cell"] == cell].set_index("id")
        scored = {event["id"]: event for event in of_kind(events, "score")}
        assert list(scores.index) == list(scored)
        for id_, event in scored.items():
            assert scores.loc[id_, "architecture"] == event["architecture"]
            assert scores.loc[id_, "rmse_std"] == event["rmse_std"]
            assert scores.loc[id_, "curve"] == event.get("curve")
            assert scores.loc[id_, "final"] == (bool(found) and id_ == found[-1]["id"])
    for frame in (run.cells, run.trials, run.incumbents, run.scores):
        keys = ["dataset", "dim", "searcher", "seed"]
        assert frame[keys].equals(frame[keys].sort_values(keys, ignore_index=True))


ACTIONS = st.sampled_from(["trial", "incumbent", "checkpoint", "resume", "resume from the beginning"])
STEPS = st.lists(st.tuples(st.integers(0, 1), ACTIONS, st.integers(1, 50), st.integers(0, 30)), max_size=30)


def made_run(folder: Path, steps: list[tuple[int, str, int, int]], end: str | None) -> StoredRun:
    """Two cells that take turns; a step is the cell, what it does, after how many seconds, and where it resumes."""
    run = StoredRun(folder)
    cells = [run.start("d", 8, searcher, 1, time=0, calibration=0.5) for searcher in ("sif", "random")]
    attempts, time = [1, 1], 0
    spent: list[dict[tuple[int, int], int]] = [{(1, 1): 0}, {(1, 1): 0}]  # seconds up to each event, by (attempt, n)
    for number, (which, action, seconds, place) in enumerate(steps):
        cell, time = cells[which], time + seconds
        counted = effective([event for event in run.events if event["cell"] == cell])
        fields: Event = {"time": time, "visits": 10 * number}
        if action.startswith("resume"):
            point = None if action.endswith("beginning") else counted[place % len(counted)]
            here = None if point is None else [point["attempt"], point["n"]]
            known = 0 if here is None else spent[which][here[0], here[1]]
            attempts[which] += 1
            fields |= {"attempt": attempts[which], "resumed": True, "resumes_after": here, "calibration": 0.25}
            fields["clock"] = dict.fromkeys(("setup", "train", "store"), known)
            run.start("d", 8, ("sif", "random")[which], 1, **fields)
        else:
            known = max(spent[which][event["attempt"], event["n"]] for event in counted) + seconds
            fields |= {"attempt": attempts[which], "clock": dict.fromkeys(("setup", "train", "store"), known)}
            named = {"architecture": {"p": [number / 3, 1], "id": cell}, "id": f"id{number % 4}", "rmse": number / 7}
            if action == "trial":
                run.trial(cell, number, curve=[number / 3] * place, epochs=None, **named, **fields)
            elif action == "incumbent":
                run.event("incumbent", cell, source="trial", **named, **fields)
            else:
                run.event("checkpoint", cell, file="x.npz", **fields)
        spent[which][run.events[-1]["attempt"], run.events[-1]["n"]] = known
    if end:
        for which, cell in enumerate(cells):
            more = {"reason": "seconds"} if end == "cell_finished" else {"error": "ValueError: x", "traceback": "..."}
            run.event(end, cell, attempt=attempts[which], time=time + 1, **more)
            for again in range(2):  # the same architecture twice, in an attempt of its own
                score = {"curve": [0.5, 0.25], "rmse_std": again + 0.5} if again else {}
                run.score(cell, 1, 1, Found(1, 0.5, score={"attempt": attempts[which] + 1, **score}), {"retrain": 3})
    return run


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from(["cell_finished", "cell_failed", None]))
def test_a_run_is_what_its_events_say(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, int, int]], end: str | None
) -> None:
    folder = made_run(tmp_path_factory.mktemp("run"), steps, end).write()
    check_against_a_plain_reading(folder, folder / "events.jsonl")


@pytest.fixture
def stored(tmp_path: Path) -> StoredRun:
    steps = [(n % 2, action, 1 + n, 3 * n) for n, action in enumerate(["trial", "incumbent", "resume"] * 6)]
    return made_run(tmp_path / "run", steps, "cell_finished")


def test_wall_seconds_by_hand(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    cell = run.start("d", 8, "sif", 1, time=100)
    known: Event = {"architecture": {}, "id": "a", "rmse": 1.0, "source": "trial"}
    run.event("incumbent", cell, time=110, **known)
    run.event("checkpoint", cell, time=115, file="x.npz")
    run.event("incumbent", cell, time=190, **known)  # done again, once resumed
    run.start("d", 8, "sif", 1, attempt=2, time=1000, resumed=True, resumes_after=[1, 3])
    run.event("incumbent", cell, attempt=2, time=1020, **known)
    run.event("cell_finished", cell, attempt=2, time=1050, reason="seconds")
    run.score(cell, 0, 1, Found(1, 0.5, score={"attempt": 3, "time": 5000}), {})
    loaded = Run.load(run.write())
    assert loaded.incumbents["wall_seconds"].tolist() == [10, 35]
    assert loaded.cells["wall_seconds"].tolist() == [65]


def test_a_number_beyond_64_bits_is_refused(stored: StoredRun) -> None:
    stored.events[2]["visits"] = 2**63
    stored.events[2]["kind"] = "incumbent"
    stored.events[2] |= {"architecture": {}, "id": "a", "rmse": 1.0, "source": "trial"}
    with pytest.raises(InputError, match="64 bits in event 2 of attempt 1 of the cell 'd/d8/sif/s1'"):
        Run.load(stored.write())


def test_numbers_that_are_no_json_may_stand_within_fields(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "sif", 1, [Found(1, 0.5)], end=2)
    (trial,) = of_kind(run.events, "trial")
    trial["curve"] = [1.0, math.nan]
    trial["architecture"] = {"name": "\ud800"}
    row = Run.load(run.write()).trials.iloc[0]
    assert row["architecture"] == trial["architecture"]
    np.testing.assert_array_equal(row["curve"], [1.0, math.nan])


# What is refused


def lines_of(path: Path, events: list[Event]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def one_of_each_kind(folder: Path) -> list[Event]:
    run = StoredRun(folder)
    cell = run.cell("d", 8, "sif", 1, [Found(1, 0.5)], end=2)
    run.event("cell_scored", cell)
    run.event("checkpoint", cell, file="x.npz")
    run.event("cell_failed", cell, error="x", traceback="y")
    run.event("process_died", cell, number=3, id="a", status="crashed", error="x", traceback="y", seconds=1.5)
    return sorted(run.events, key=lambda event: list(FIELDS).index(event["kind"]))


def wrong(value: Any) -> Iterator[Any]:
    """Values of other JSON types than a value's, and numbers that are none."""
    number = type(value) in (int, float)
    yield from (other for other in ("x", True, {"a": 1}) if type(other) is not type(value))
    if number or value is None:
        yield from (math.nan, math.inf, -math.inf)


COMMON = ("cell", "attempt", "n", "time", "clock", "visits")
PLACES = [(kind, field) for kind, fields in FIELDS.items() for field in (*COMMON, *fields)]
PLACES += [(kind, f"clock/{part}") for kind in FIELDS for part in CLOCK_KINDS]


@pytest.mark.parametrize(("kind", "field"), PLACES)
def test_each_field_of_each_event_is_checked(tmp_path: Path, kind: str, field: str) -> None:
    """Of an event that comes after ones of its kind that were right, and may so be taken for known."""
    events = one_of_each_kind(tmp_path)
    good = [event | {"attempt": attempt} for attempt in (1, 2, 3) for event in events]
    index = next(i for i, event in enumerate(good) if event["kind"] == kind and event["attempt"] == 3)
    assert len(list(cell_events(lines_of(tmp_path / "good", good)))) == len(good)

    def changed(change: Callable[[Event], object]) -> Path:
        event = json.loads(json.dumps(good[index]))
        change(event["clock"] if field.startswith("clock/") else event)
        return lines_of(tmp_path / "bad", [*good[:index], event, *good[index + 1 :]])

    name = field.split("/")[-1]
    value = (good[index]["clock"] if field.startswith("clock/") else good[index])[name]
    path = changed(lambda part: part.pop(name))
    if field == "cell":  # without a cell it is an event of the run
        assert len(list(cell_events(path))) == len(good) - 1
    else:
        with pytest.raises(InputError, match=rf"line {index + 1} lacks the field '{name}'"):
            list(cell_events(path))
    for other in wrong(value):
        with pytest.raises(InputError, match=rf"line {index + 1} has {name} = .* but it must be"):
            list(cell_events(changed(lambda part, other=other: part.update({name: other}))))  # type: ignore[misc]


OPTIONAL = {
    "curve": ("score", "x", "curve = 'x', but it must be a list or null"),
    "ranking": ("score", [1], r"ranking = \[1\], but it must be an object or null"),
    "resumes_after": ("cell_started", 3, "resumes_after = 3, but it must be a list or null"),
}


@pytest.mark.parametrize("field", OPTIONAL)
def test_optional_fields_are_checked_where_they_are(tmp_path: Path, field: str) -> None:
    kind, value, message = OPTIONAL[field]
    good = [event | {"attempt": attempt} for attempt in (1, 2) for event in one_of_each_kind(tmp_path)]
    index = next(i for i, event in enumerate(good) if event["kind"] == kind and event["attempt"] == 2)
    good[index] = good[index] | {field: value}
    with pytest.raises(InputError, match=f"line {index + 1} has {message}"):
        list(cell_events(lines_of(tmp_path / "log", good)))


@pytest.mark.parametrize("point", [[1], [1, 2, 3], [1, "2"], [1.0, 2], [True, 1], ["a", None]])
def test_a_resume_point_that_is_none_is_refused(stored: StoredRun, point: list[Any]) -> None:
    stored.events[-1] = stored.events[0] | {"attempt": 99, "resumed": True, "resumes_after": point}
    with pytest.raises(InputError, match=r"resumes_after = \[.*, but it must be null or \[attempt, n\]"):
        Run.load(stored.write())


@given(st.lists(st.integers(-2, 8), max_size=30))
def test_what_was_there_is_known_in_any_order(numbers: list[int]) -> None:
    known, plain = _Numbers(), set[int]()
    for number in numbers:
        assert known.add(number) == (number not in plain)
        plain.add(number)


@given(st.permutations(range(1, 9)), st.integers(1, 8))
def test_a_repeated_event_is_refused_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], again: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    (event, *_) = one_of_each_kind(folder)
    events = [event | {"n": n} for n in order]
    assert len(list(cell_events(lines_of(folder / "good", events)))) == len(order)
    with pytest.raises(InputError, match=f"line 9 repeats event {again} of attempt 1"):
        list(cell_events(lines_of(folder / "bad", [*events, event | {"n": again}])))


# Compressed logs


def compress(folder: Path) -> Path:
    log = folder / "events.jsonl"
    packed = folder / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    log.rename(folder.parent / "plain.jsonl")
    return packed


def test_a_compressed_log_is_read_where_there_is_no_other(stored: StoredRun) -> None:
    folder = stored.write()
    log = folder / "events.jsonl"
    log.write_bytes(log.read_bytes() + b'{"schema":1,"kind":"tri')  # torn
    compress(folder)
    check_against_a_plain_reading(folder, folder.parent / "plain.jsonl")
    lines_of(log, stored.events[:1])
    assert Run.load(folder).trials.empty


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: b"no gzip", lambda data: data[:-8] + bytes(8)]
)
def test_a_damaged_compressed_log_is_refused(stored: StoredRun, damage: Callable[[bytes], bytes]) -> None:
    packed = compress(stored.write())
    packed.write_bytes(damage(packed.read_bytes()))
    with pytest.raises(InputError, match=r"events\.jsonl\.gz' cannot be read: "):
        Run.load(stored.path)


def test_a_line_of_a_compressed_log_is_named(stored: StoredRun) -> None:
    stored.events[1]["visits"] = "many"
    compress(stored.write())
    with pytest.raises(InputError, match=r"events\.jsonl\.gz', line 2 has visits = 'many'"):
        Run.load(stored.path)


@pytest.mark.parametrize("go", [suite_run.resume, lambda folder: suite_run.start(small_study(), folder)])
def test_a_run_with_a_compressed_log_is_not_gone_on_with(stored: StoredRun, go: Callable[[Path], None]) -> None:
    folder = stored.write()
    (folder / "study.json").write_text(small_study().model_dump_json())
    compress(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=r"compressed, as events\.jsonl\.gz, so .*gunzip"):
        go(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# Packed columns


@given(st.lists(JSON))
def test_packed_values_come_back(values: list[Any]) -> None:
    store = Packed()
    places = [store.add(value) for value in values]
    assert repr([store[place] for place in places]) == repr(values)  # repr tells 1 and 1.0 and true apart


def json_copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


VALUES = st.lists(JSON, min_size=1, max_size=8)


@given(VALUES, st.data())
def test_a_packed_column_is_one_of_objects(values: list[Any], data: st.DataObject) -> None:
    plain = pd.Series(np.fromiter(values, dtype=object, count=len(values)), dtype=object)
    column = pd.Series(values, dtype="packed")
    assert isinstance(column.array, PackedArray)
    mask = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    order = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=8))
    keys = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    for act in (
        lambda s: s,
        lambda s: s[mask],
        lambda s: s.iloc[order],
        lambda s: s.iloc[::-1],
        lambda s: s.reindex([0, 99, -1]),
        lambda s: pd.concat([s, s[mask]]),
        lambda s: pd.concat([s, s.iloc[order].map(json_copy).astype(s.dtype)]),
        lambda s: pickle.loads(pickle.dumps(s)),
        lambda s: s.map(repr),
        lambda s: s.astype(object),
        lambda s: s[s.notna()],
        lambda s: pd.DataFrame({"k": keys, "v": s}).sort_values("k", kind="stable")["v"],
        lambda s: pd.DataFrame({"k": keys, "v": s}).merge(pd.DataFrame({"k": [1, 2, 9]}), on="k", how="right")["v"],
        lambda s: pd.Series([row["v"] for row in pd.DataFrame({"v": s}).to_dict("records")], dtype=object),
    ):
        expected = [None if value is np.nan else value for value in act(plain)]
        assert list(act(column)) == expected


def test_packed_columns_take_little_and_give_values_of_ones_own() -> None:
    value = {"p": np.linspace(0, 1, 16).tolist(), "q": np.linspace(0, 1, 16).tolist()}
    store = Packed()
    column = pd.Series(PackedArray(store, np.array([store.add(value), -1, store.add(value)])))
    assert len(store) < 2 * 1.3 * 8 * 32
    assert column.array.nbytes == 3 * 8
    assert column.isna().tolist() == [False, True, False]
    column.iloc[0]["p"].clear()
    assert column.iloc[0] == column.iloc[2] == value
    assert len(pickle.dumps(column.iloc[:1])) < len(store) + 1000
