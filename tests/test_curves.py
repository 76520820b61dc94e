import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from stored_runs import Found, StoredRun

from automl_cf.analysis.curves import (
    CLOCKS,
    StepCurve,
    cell_curve,
    cell_curves,
    mean_curve,
    mean_curves,
    timed_cells,
)
from automl_cf.analysis.ranks import mean_ranks
from automl_cf.analysis.run import Run
from automl_cf.analysis.tables import cell_table
from automl_cf.analysis.thresholds import areas, times_to
from automl_cf.errors import InputError
from automl_cf.events import effective

numbers = st.floats(0, 100)
found = st.lists(st.tuples(st.integers(0, 20).map(float), numbers), max_size=12)


def curve(points: list[tuple[float, float]], end: float = 0.0) -> StepCurve:
    x, y = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return cell_curve(x, y, end)


def standing(points: list[tuple[float, float]], time: float) -> float:
    """Return what is there at a time, by the rule itself: of what was delivered by then, the last found."""
    delivered = [error for x, error in points if x <= time]
    return delivered[-1] if delivered else math.nan


@given(found, st.lists(numbers, max_size=20))
def test_a_curve_is_the_last_found_of_what_was_delivered(points: list[tuple[float, float]], times: list[float]) -> None:
    grid = np.array([*times, *(x for x, _ in points)], dtype=np.float64)
    expected = [standing(points, time) for time in grid]
    np.testing.assert_array_equal(curve(points).at(grid), expected)


@given(found, numbers)
def test_a_curve_increases_in_time_and_ends_with_the_cell(points: list[tuple[float, float]], end: float) -> None:
    made = curve(points, end)
    assert (np.diff(made.x) > 0).all()
    assert made.end == max([end, *made.x])
    assert set(zip(made.x, made.y, strict=True)) <= set(points)


@given(st.lists(found.filter(bool), min_size=1, max_size=4), st.lists(numbers, min_size=1, max_size=10))
def test_the_mean_on_its_own_grid_is_exact_everywhere(
    cells: list[list[tuple[float, float]]], times: list[float]
) -> None:
    curves = [curve(points) for points in cells]
    mean = mean_curve(curves, right=100.0)
    for time in times:
        at = np.array([float(c.at(np.array([time]))[0]) for c in curves])
        row = mean[mean["x"] <= time].tail(1)
        defined = at[~np.isnan(at)]
        assert len(row) == (len(defined) > 0)
        if len(row):
            assert row["n"].item() == len(defined)
            assert row["mean"].item() == pytest.approx(defined.mean())
            assert (row["least"].item(), row["most"].item()) == (defined.min(), defined.max())


def test_no_curve_before_the_first_result_and_the_mean_only_over_those_defined() -> None:
    mean = mean_curve([curve([(1, 0.9), (4, 0.7)]), curve([(2, 1.1), (3, 0.5)], end=10)])
    assert mean["x"].tolist() == [1, 2, 3, 4, 10]
    assert mean["n"].tolist() == [1, 2, 2, 2, 2]
    np.testing.assert_allclose(mean["mean"], [0.9, 1.0, 0.7, 0.6, 0.6])
    assert math.isnan(mean["low"][0])
    # With one degree of freedom Student's quantile is a tangent, and the standard error half the range.
    half = math.tan(math.pi * 0.475) * 0.2 / 2
    np.testing.assert_allclose(mean["high"][1:3] - mean["mean"][1:3], [half, 2 * half])


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=2, max_size=6))
def test_the_band_is_scipys_t_interval(values: list[list[float]]) -> None:
    mean = mean_curve([StepCurve(np.arange(3.0), np.array(of_seed), 3.0) for of_seed in values])
    for index in range(3):
        column = np.array(values)[:, index]
        if np.ptp(column) > 1e-6:
            expected = stats.ttest_1samp(column, 0).confidence_interval(0.95)
            np.testing.assert_allclose(mean.loc[index, ["low", "high"]].tolist(), [expected.low, expected.high])


@pytest.fixture
def stored(tmp_path: Path) -> StoredRun:
    run = StoredRun(tmp_path / "run")
    # The second incumbent takes so long to retrain that the third is delivered before it.
    incumbents = [
        Found(10, 0.90, retrain=5, visits=100, retrain_visits=50),
        Found(20, 0.88, retrain=30, visits=200, retrain_visits=300),
        Found(30, 0.85, retrain=5, visits=300, retrain_visits=10),
        Found(40, None, visits=400),
        Found(50, 0.84, retrain=5, visits=500, retrain_visits=50),
    ]
    run.cell("d", 8, "random", 1, incumbents, end=60, end_visits=600)
    run.cell("d", 8, "random", 2, [Found(8, 0.92, 2, 80, 20)], end=70, end_visits=650)
    return run


CURVES: dict[str, tuple[list[float], list[float], float]] = {
    "deliverable": ([15, 35, 55], [0.90, 0.85, 0.84], 60),
    "search": ([10, 20, 30, 50], [0.90, 0.88, 0.85, 0.84], 60),
    "visits": ([150, 310, 550], [0.90, 0.85, 0.84], 600),
}


@pytest.mark.parametrize("clock", CURVES)
def test_each_clock_counts_what_it_says(stored: StoredRun, clock: str) -> None:
    made = cell_curves(Run.load(stored.write()), clock)["d/d8/random/s1"]
    x, y, end = CURVES[clock]
    np.testing.assert_allclose(made.x, x)
    assert made.y.tolist() == y
    assert made.end == end


@pytest.fixture
def uneven(tmp_path: Path) -> StoredRun:
    """Three cells of two cores each on a machine of changing speed; the last was resumed."""
    run = StoredRun(tmp_path / "run")
    run.study["resources"] = {"cpus_per_cell": 2}
    errors = [Found(10, 0.90, 5), Found(20, 0.88, 30), Found(30, 0.85, 5)]
    run.cell("d", 8, "sif", 1, errors, end=40, calibration=0.02)
    run.cell("d", 8, "sif", 2, errors, end=40, calibration=0.05)
    unscored = [error._replace(test=None) for error in errors]
    cell = run.cell("d", 8, "sif", 3, unscored, end=40, calibration=0.04, last=None)
    point = next(e for e in run.events if e["cell"] == cell and e["kind"] == "incumbent" and e["clock"]["think"] == 5)
    run.event("checkpoint", cell, file="x.npz")
    run.start("d", 8, "sif", 3, attempt=2, resumed=True, resumes_after=[1, point["n"]], calibration=0.08)
    again = {"architecture": {}, "id": "id2", "rmse": 0.5, "source": "trial"}
    run.event("incumbent", cell, attempt=2, clock={"setup": 1, "think": 25, "store": 9}, **again)
    run.event("cell_finished", cell, attempt=2, reason="seconds", clock={"setup": 1, "think": 50})
    for number, error in enumerate(errors):
        run.score(cell, number, 3, error._replace(score={"attempt": 3}), {})
    for number, event in enumerate(run.events):  # no two events at equal distances, and gaps between attempts
        event["time"] = 1000.0 + number**2 / 8
        event["clock"]["setup"] += event["attempt"]
    return run


def delivered(clock: str, events: list[dict[str, Any]], cells: dict[str, list[dict[str, Any]]]) -> tuple[Any, float]:
    """Return (time, error) of each scored incumbent of a cell, and its end, from the events themselves."""
    calibrations = [[e for e in of if e["kind"] == "cell_started"][-1]["calibration"] for of in cells.values()]
    own = [e for e in events if e["kind"] == "cell_started"][-1]["calibration"]

    def since_start(event: dict[str, Any]) -> float:
        starts = {e["attempt"]: e["time"] for e in events if e["kind"] == "cell_started"}
        if event["attempt"] == 1:
            return event["time"] - starts[1]
        (point,) = [e for e in events if [e["attempt"], e["n"]] == events_resume(events)]
        return point["time"] - starts[1] + event["time"] - starts[2]

    def time(event: dict[str, Any], retrain: float) -> float:
        booked = event["clock"]
        searched = booked["think"] + booked["train"] + booked["validate"]
        if clock == "wall":
            return since_start(event) + retrain
        if clock == "compute":
            return 2 * (booked["setup"] + searched + retrain)
        assert clock == "simulated"
        return (searched + retrain) * sorted(calibrations)[1] / own

    scores = {e["id"]: e for e in events if e["kind"] == "score"}
    found = [e for e in events if e["kind"] == "incumbent"]
    points = [(time(e, scores[e["id"]]["retrain_seconds"]), scores[e["id"]]["rmse_std"]) for e in found]
    (end,) = [e for e in events if e["kind"] == "cell_finished"]
    return points, time(end, 0.0)


def events_resume(events: list[dict[str, Any]]) -> list[int]:
    return next(e["resumes_after"] for e in events if e["kind"] == "cell_started" and e["resumed"])


@pytest.mark.parametrize("clock", ["wall", "compute", "simulated"])
def test_clocks_count_what_the_events_say(uneven: StoredRun, clock: str) -> None:
    cells: dict[str, list[dict[str, Any]]] = {}
    for event in effective(uneven.events):
        cells.setdefault(event["cell"], []).append(event)
    made = cell_curves(Run.load(uneven.write()), clock)
    assert set(made) == set(cells)
    for cell, events in cells.items():
        points, end = delivered(clock, events, cells)
        assert len(points) == 3
        grid = np.array([x for x, _ in points]) + 1e-6
        np.testing.assert_array_equal(made[cell].at(grid), [standing(points, time) for time in grid])
        assert len(made[cell].x) == 2  # the second is delivered after the third
        assert made[cell].end == pytest.approx(max([end, points[0][0], points[2][0]]))
        np.testing.assert_allclose(made[cell].x, [points[0][0], points[2][0]])


def test_the_deliverable_clock_is_the_first_and_the_default() -> None:
    assert next(iter(CLOCKS)) == "deliverable"
    assert list(CLOCKS) == ["deliverable", "search", "visits", "wall", "compute", "simulated"]
    assert all(clock.includes and clock.label for clock in CLOCKS.values())


def test_at_equal_speed_the_simulated_clock_is_the_deliverable_one(stored: StoredRun) -> None:
    run = Run.load(stored.write())
    for cell, curve_ in cell_curves(run, "deliverable").items():
        simulated = cell_curves(run, "simulated")[cell]
        np.testing.assert_allclose(simulated.x, curve_.x)
        assert (simulated.y.tolist(), simulated.end) == (curve_.y.tolist(), pytest.approx(curve_.end))


@settings(max_examples=20)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=5))
def test_a_machine_that_is_slower_throughout_a_cell_changes_no_simulated_time(
    tmp_path_factory: pytest.TempPathFactory, slowness: list[float]
) -> None:
    """Each cell's seconds and its calibration are multiplied by one factor."""
    run = StoredRun(tmp_path_factory.mktemp("run"))
    for seed, factor in enumerate(slowness):
        found = [Found(10 * factor, 0.9, 5 * factor), Found(30 * factor, 0.8, 5 * factor)]
        run.cell("d", 8, "sif", seed, found, end=60 * factor, calibration=0.02 * factor)
    middle = float(np.median(slowness))
    for simulated in cell_curves(Run.load(run.write()), "simulated").values():
        np.testing.assert_allclose(simulated.x, [15 * middle, 35 * middle])
        assert simulated.end == pytest.approx(60 * middle)


UNKNOWN = "it has no calibration, which the clock 'simulated' needs"


@pytest.mark.parametrize("calibration", [None, 0.0])
def test_a_cell_without_a_calibration_has_no_simulated_curve_and_says_so(
    stored: StoredRun, calibration: float | None
) -> None:
    stored.cell("d", 8, "random", 3, [Found(1, 0.80, 2)], end=900, calibration=calibration)
    stored.cell("d", 8, "random", 4, [Found(1, 0.80, 2)], end=900, calibration=calibration, last="cell_failed")
    stored.plan("d", 8, "sif", 1)
    run = Run.load(stored.write())
    cell = "d/d8/random/s3"
    made = cell_curves(run, "simulated")
    assert len(made[cell].x) == 0
    assert math.isnan(made[cell].end)
    means = mean_curves(run, "simulated")
    assert set(means["seeds"]) == {2}
    assert means["x"].max() == pytest.approx(70)
    problems = timed_cells(run, "simulated").set_index("cell")["problem"]
    assert problems[cell] == UNKNOWN
    assert problems["d/d8/random/s4"] == "failed: ValueError: boom"
    assert problems["d/d8/sif/s3"] == "not started"
    assert problems[["d/d8/random/s1", "d/d8/random/s2"]].isna().all()
    assert timed_cells(run)["problem"].equals(cell_table(run)["problem"])
    times = times_to(run, [0.93], "simulated").set_index("cell")
    assert times.loc[cell, ["time", "reached", "observed", "problem"]].tolist() == [0.0, False, False, UNKNOWN]
    assert times.loc["d/d8/random/s2", ["time", "horizon"]].tolist() == pytest.approx([10, 60])
    under = areas(run, "simulated").set_index("cell")
    assert math.isnan(under.loc[cell, "area"])
    assert under.loc[cell, "problem"] == UNKNOWN
    assert under.loc["d/d8/random/s2", "area"] == pytest.approx(0.92)


def test_a_seed_whose_time_is_unknown_is_in_no_rank(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    for seed in (1, 2):
        run.cell("d", 8, "random", seed, [Found(5, 0.9)], end=60, calibration=None if seed == 2 else 0.02)
        run.cell("d", 8, "sif", seed, [Found(5, 0.8)], end=60)
    loaded = Run.load(run.write())
    assert set(mean_ranks(loaded)["n"]) == {2}
    ranked = mean_ranks(loaded, "simulated")
    assert (set(ranked["n"]), set(ranked["missing"])) == ({1}, {(2,)})
    assert ranked.groupby("searcher")["mean"].last().to_dict() == {"random": 2, "sif": 1}


def test_without_any_calibration_there_are_no_simulated_curves(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "sif", 1, [Found(5, 0.8)], end=60, calibration=None)
    loaded = Run.load(run.write())
    assert mean_curves(loaded, "simulated").empty
    assert len(mean_curves(loaded, "wall")) > 0
    assert not times_to(loaded, [0.9], "simulated")["observed"].any()


@pytest.mark.parametrize("resources", [{"cpus_per_cell": "2"}, {"cpus_per_cell": 0}, {"cpus_per_cell": True}, [2]])
def test_cores_that_are_none_are_refused(stored: StoredRun, resources: Any) -> None:
    stored.study["resources"] = resources
    with pytest.raises(InputError, match=r"study\.json' .*resources\.cpus_per_cell must be a whole number"):
        Run.load(stored.write())


def test_cells_are_carried_on_to_the_latest_end_of_their_panel(stored: StoredRun) -> None:
    stored.cell("d", 8, "bias-only", 1, [Found(0, 0.86, 1)], end=0)
    stored.cell("d", 4, "bias-only", 1, [Found(0, 0.86, 1)], end=0)
    means = mean_curves(Run.load(stored.write())).set_index(["dim", "searcher"])
    assert means.loc[(8, "bias-only"), "x"].tolist() == [1, 70]
    assert means.loc[[(4, "bias-only")], "x"].tolist() == [1]
    random = means.loc[(8, "random")]
    assert random["x"].tolist() == [10, 15, 35, 55, 70]
    np.testing.assert_allclose(random["mean"], [0.92, 0.91, 0.885, 0.88, 0.88])
    assert random["seeds"].tolist() == [2] * 5


def test_cells_that_did_not_finish_are_in_no_mean(stored: StoredRun) -> None:
    stored.cell("d", 8, "random", 3, [Found(1, 0.5)], end=2, last="cell_failed")
    stored.cell("d", 8, "random", 4, [Found(1, 0.5)], end=2, last=None)
    stored.cell("d", 8, "random", 5, [], end=90)
    means = mean_curves(Run.load(stored.write()))
    assert set(means["seeds"]) == {2}
    assert means["mean"].min() > 0.8
    assert means["x"].max() == 90


def test_without_any_result_there_are_no_curves(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "random", 1, [], end=90)
    assert mean_curves(Run.load(run.write())).empty


def test_an_unknown_clock_is_refused(stored: StoredRun) -> None:
    with pytest.raises(InputError, match=r"Unknown clock 'serch'\. Did you mean 'search'"):
        cell_curves(Run.load(stored.write()), "serch")


# Reading a run


def test_cells_and_their_states(stored: StoredRun) -> None:
    stored.cell("d", 8, "sif", 1, [Found(1, None)], end=2, last="cell_failed")
    stored.cell("d", 8, "sif", 2, [Found(1, None, visits=7)], last=None)
    cells = Run.load(stored.write()).cells.set_index("cell")
    assert cells["state"].to_dict() == {
        "d/d8/random/s1": "finished",
        "d/d8/random/s2": "finished",
        "d/d8/sif/s1": "failed",
        "d/d8/sif/s2": "interrupted",
    }
    assert cells["reason"].tolist()[:3] == ["seconds", "seconds", "ValueError: boom"]
    assert cells["search_seconds"].tolist() == [60, 70, 2, 1]
    assert cells["visits"].tolist() == [600, 650, 0, 7]
    assert cells["trials"].tolist() == [5, 1, 1, 1]
    assert cells["retrain"].tolist() == [45, 2, 0, 0]
    assert cells["think"].tolist() == [15, 17.5, 0.5, 0.25]
    assert cells["final_id"].tolist() == ["id4", "id0", "id0", "id0"]


def test_cells_of_the_study_that_were_never_started_are_there(stored: StoredRun) -> None:
    stored.plan("d", 8, "sif", 1)
    cells = Run.load(stored.write()).cells
    assert cells.loc[cells["searcher"] == "sif", "state"].tolist() == ["not started", "not started"]


def test_what_a_resumed_cell_did_again_counts_once(stored: StoredRun) -> None:
    cell = stored.cell("d", 8, "sif", 1, [Found(1, None), Found(2, None), Found(9, None)], last=None)
    second_trial = next(e for e in stored.events if e["cell"] == cell and e.get("number") == 1)
    stored.start(
        *("d", 8, "sif", 1),
        attempt=2,
        resumed=True,
        resumes_after=[1, second_trial["n"] + 1],
    )
    stored.trial(cell, 2, attempt=2, clock={"train": 3.0})
    stored.event("cell_finished", cell, attempt=2, reason="trials", clock={"train": 4.0})
    run = Run.load(stored.write())
    row = run.cells.set_index("cell").loc[cell]
    assert (row["state"], row["attempts"], row["trials"], row["search_seconds"]) == ("finished", 2, 3, 4.0)
    assert run.trials.loc[run.trials["cell"] == cell, "number"].tolist() == [0, 1, 2]


def test_a_torn_last_line_is_passed_over(stored: StoredRun) -> None:
    log = stored.write() / "events.jsonl"
    whole = Run.load(stored.path)
    log.write_bytes(log.read_bytes() + b'{"schema":1,"kind":"tri')
    assert len(Run.load(stored.path).trials) == len(whole.trials)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "schema": ({"schema": 2}, "schema"),
    "kind": ({"kind": "trail"}, "unknown kind 'trail'"),
    "type": ({"attempt": "1"}, "attempt = '1', but it must be a whole number"),
    "flag as number": ({"visits": True}, "visits = True, but it must be a whole number"),
    "not finite": ({"time": math.inf}, "time = inf, but it must be a number"),
    "clock": ({"clock": {"setup": 0.0}}, "lacks the field 'think'"),
    "number": ({"dim": 8.5}, "dim = 8.5"),
    "resumed": ({"resumed": True}, "resumes_after"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_schema_is_refused_with_file_and_line(stored: StoredRun, name: str) -> None:
    changes, message = BROKEN[name]
    stored.events[0] |= changes
    with pytest.raises(InputError, match=r"events\.jsonl', line 1 ") as raised:
        Run.load(stored.write())
    assert message in str(raised.value)


def test_other_broken_lines_are_refused(stored: StoredRun) -> None:
    stored.events.insert(2, dict(stored.events[1]))
    with pytest.raises(InputError, match="line 3 repeats event 2 of attempt 1 of the cell 'd/d8/random/s1'"):
        Run.load(stored.write())
    del stored.events[2]
    del stored.events[1]["number"]
    with pytest.raises(InputError, match="line 2 lacks the field 'number'"):
        Run.load(stored.write())
    del stored.events[0]
    stored.events[0]["number"] = 0
    with pytest.raises(InputError, match="no cell_started"):
        Run.load(stored.write())
    (stored.path / "events.jsonl").write_text('{"schema":1,\n')
    with pytest.raises(InputError, match="line 1 is not JSON"):
        Run.load(stored.path)


def test_folders_and_files_that_are_no_runs_are_refused(stored: StoredRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the folder of a run"):
        Run.load(tmp_path / "nothing")
    folder = stored.write()
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"manifest\.json' holds"):
        Run.load(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"manifest\.json' cannot be read"):
        Run.load(folder)
    stored.write()
    (folder / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study\.json' is not JSON"):
        Run.load(folder)
    (folder / "study.json").write_text("{}")
    with pytest.raises(InputError, match=r"study\.json' is not a resolved study"):
        Run.load(folder)


def test_a_run_without_cells_is_refused(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    with pytest.raises(InputError, match="without any cell"):
        Run.load(run.write())


def test_events_of_the_run_as_a_whole_may_stand_between(stored: StoredRun) -> None:
    log = stored.write() / "events.jsonl"
    log.write_text(json.dumps({"schema": 1, "kind": "run_started", "cell": None}) + "\n" + log.read_text())
    assert len(Run.load(stored.path).cells) == 2
