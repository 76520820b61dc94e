"""Two runs beside each other: what may be compared, and whether what is compared is right."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from small_runs import small_study
from stored_runs import Found, StoredRun
from typer.testing import CliRunner, Result

import automl_cf
from automl_cf.analysis.compatibility import HARMLESS, LEVELS, MARK, REFUSE, SAME, Comparability, comparable, targets
from automl_cf.analysis.curves import CLOCKS
from automl_cf.analysis.run import Run
from automl_cf.analysis.run_comparison import RunComparison, compare_runs
from automl_cf.cli import app
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.suite import run as suite_run

MANIFEST: dict[str, Any] = {
    "created": "2026-01-01T00:00:00+0000",
    "versions": {
        **dict.fromkeys(("python", "automl-cf", "torch", "numba", "ray", "hyperopt", "optuna"), "1.0"),
        **dict.fromkeys(("numpy", "scipy", "pandas"), "1.0"),
    },
    "machine": {"platform": "Linux", "processor": "P", "cores": 4, "omp_num_threads": None},
    "datasets": {name: {"name": name, "sha256": 64 * "0", "source": "", "ratings": 9} for name in ("ml", "other")},
    "plugins": {},
}
STUDY: dict[str, Any] = {
    "vary": ["split", "init", "searcher"],
    "fractions": [0.5, 0.25, 0.25],
    "budget": {"trials": 5, "seconds": None, "visits": None},
    "training": {"learning_rate": 0.2, "l2_grid": [0.0, 1e-4], "engine": "reference", "precision": "float32"},
    "space": {"name": "paper", "label": "", "options": {}},
    "scoring": {"points": 4, "top_k": 1},
    "resources": {"backend": "inline", "workers": 0, "cpus_per_cell": 1, "gpus_per_cell": 0.0, "address": None},
}
ERRORS = {1: 0.84, 2: 0.86, 3: 0.83, 4: 0.85}
SECONDS = {1: 3.0, 2: 4.0, 3: 5.0, 4: 7.0}

Change = Callable[[StoredRun], object]


def stored(
    path: Path,
    errors: Mapping[int, float] = ERRORS,
    seconds: Mapping[int, float] = SECONDS,
    change: Change | None = None,
    searchers: tuple[str, ...] = ("sif",),
    datasets: tuple[str, ...] = ("ml",),
    **fields: Any,
) -> Run:
    """A run whose final errors and search seconds are these by seed, each retrained in 2 s and as many visits."""
    run = StoredRun(path)
    run.study |= deepcopy(STUDY)
    run.manifest |= deepcopy(MANIFEST)
    for dataset in datasets:
        for searcher in searchers:
            for seed, error in errors.items():
                visits = round(1000 * seconds[seed])
                found = [Found(seconds[seed], error, retrain=2.0, visits=visits, retrain_visits=500)]
                run.cell(dataset, 8, searcher, seed, found, end=10.0, end_visits=10_000, **fields)
    run.study["datasets"] = [entry | {"options": {}} for entry in run.study["datasets"]]
    run.study["searchers"] = [entry | {"options": {}, "space": None} for entry in run.study["searchers"]]
    if change:
        change(run)
    return Run.load(run.write())


@pytest.fixture
def base(tmp_path: Path) -> Run:
    return stored(tmp_path / "a")


def set_in(part: str, *keys: str, to: Any) -> Change:
    """Change a value of `study` or `manifest`."""

    def change(run: StoredRun) -> None:
        values = getattr(run, part)
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = to

    return change


def of_events(**fields: Any) -> Change:
    """Change fields of every cell's start."""
    return lambda run: [event.update(fields) for event in run.events if event["kind"] == "cell_started"]


def of_searcher(key: str, value: Any) -> Change:
    return lambda run: run.study["searchers"][0].update({key: value})


TIMES = {"deliverable", "search", "wall", "compute"}

# what is changed in B -> by target the verdict; what is not named is the same or harmless
CHANGES: dict[str, tuple[Change, dict[str, str]]] = {
    "host": (of_events(host="b"), {**dict.fromkeys(TIMES, REFUSE), "simulated": MARK}),
    "slower": (of_events(calibration=0.023), {**dict.fromkeys(TIMES, REFUSE), "simulated": MARK}),
    "as fast": (of_events(calibration=0.021), {}),
    "engine": (of_events(engine="fused"), {**dict.fromkeys([*TIMES, "simulated"], REFUSE), "error": MARK}),
    "processor": (
        set_in("manifest", "machine", "processor", to="Q"),
        dict.fromkeys([*TIMES, "simulated"], REFUSE),
    ),
    "platform": (set_in("manifest", "machine", "platform", to="X"), dict.fromkeys([*TIMES, "simulated"], MARK)),
    "cpus": (set_in("study", "resources", "cpus_per_cell", to=2), dict.fromkeys([*TIMES, "simulated"], REFUSE)),
    "split": (of_events(split_hash="another"), {"pairs": REFUSE}),
    "data": (set_in("manifest", "datasets", "ml", "sha256", to="f" * 64), {}),  # but the same splits
    "fractions": (set_in("study", "fractions", to=[0.8, 0.1, 0.1]), dict.fromkeys(targets(), REFUSE)),
    "vary": (set_in("study", "vary", to=["split"]), dict.fromkeys(targets(), MARK)),
    "budget": (set_in("study", "budget", "trials", to=9), dict.fromkeys([*CLOCKS, "error"], MARK)),
    "learning rate": (set_in("study", "training", "learning_rate", to=0.1), dict.fromkeys([*CLOCKS, "error"], MARK)),
    "lambda grid": (set_in("study", "training", "l2_grid", to=[0.0]), dict.fromkeys([*CLOCKS, "error"], MARK)),
    "space": (
        set_in("study", "space", "options", to={"k": 2}),
        dict.fromkeys([*CLOCKS, "error"], MARK),
    ),
    "the same space": (set_in("study", "space", "name", to="interaction"), {}),
    "own space": (
        of_searcher("space", {"name": "paper", "options": {"bias": True}}),
        dict.fromkeys([*CLOCKS, "error"], MARK),
    ),
    "options": (of_searcher("options", {"lanes": 4}), dict.fromkeys([*CLOCKS, "error"], MARK)),
    "scoring": (set_in("study", "scoring", "points", to=1), {}),
    "torch": (set_in("manifest", "versions", "torch", to="2.0"), dict.fromkeys([*CLOCKS, "error"], MARK)),
    "pandas": (set_in("manifest", "versions", "pandas", to="2.0"), {}),
    "plug-in": (set_in("manifest", "plugins", to={"mine.py": "2"}), {}),  # only one run has it
    "name": (set_in("study", "name", to="other"), {}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_difference_matters_for(name: str, base: Run, tmp_path: Path) -> None:
    change, expected = CHANGES[name]
    for pair in ([base, stored(tmp_path / "b", change=change)], [stored(tmp_path / "c", change=change), base]):
        found = comparable(pair)
        verdicts = {target: found.verdict(target) for target in targets()}
        assert {target: verdict for target, verdict in verdicts.items() if verdict in (MARK, REFUSE)} == expected
        assert all(bool(found.reasons(target)) == (target in expected) for target in targets())
        assert set(found.differences["verdict"]) <= set(LEVELS)


def test_runs_that_are_alike_differ_in_nothing(base: Run, tmp_path: Path) -> None:
    found = comparable([base, stored(tmp_path / "b")])
    assert set(found.differences["verdict"]) == {SAME}
    assert {"host", "calibration", "engine", "split", "data.sha256", "versions.torch"} <= set(
        found.differences["field"]
    )


@pytest.mark.parametrize("part", ["versions", "machine", "datasets"])
def test_what_is_not_recorded_marks_what_it_would_have_refused(part: str, base: Run, tmp_path: Path) -> None:
    def forget(run: StoredRun) -> None:
        del run.manifest[part]

    found = comparable([base, stored(tmp_path / "b", change=forget)])
    if part == "datasets":  # the splits, which are the same, tell enough
        assert set(found.differences["verdict"]) == {SAME}
    else:
        assert found.verdict("deliverable") == MARK
        assert REFUSE not in set(found.differences["verdict"])


def test_other_data_refuse_everything(base: Run, tmp_path: Path) -> None:
    def change(run: StoredRun) -> None:
        run.manifest["datasets"]["ml"]["sha256"] = "f" * 64
        of_events(split_hash="another")(run)

    found = compare_runs(base, stored(tmp_path / "b", change=change))
    assert {found.compatibility.verdict(target) for target in targets()} == {REFUSE}
    assert len(found.errors) == len(found.times) == 0
    with pytest.raises(AutomlCfError, match="other data"):
        found.check()


def test_a_seconds_budget_on_another_machine_marks_the_errors_too(tmp_path: Path) -> None:
    seconds = set_in("study", "budget", to={"seconds": 10.0})

    def both(run: StoredRun) -> None:
        seconds(run)
        of_events(host="b")(run)

    found = comparable([stored(tmp_path / "a", change=seconds), stored(tmp_path / "b", change=both)])
    assert found.verdict("error") == found.verdict("visits") == MARK
    assert "made more search" in found.reasons("error")[0]


def test_a_run_on_several_machines_has_no_seconds_to_compare(base: Run, tmp_path: Path) -> None:
    def change(run: StoredRun) -> None:
        next(event for event in run.events if event["kind"] == "cell_started")["host"] = "b"

    runs = [stored(tmp_path / name, change=change) for name in ("b", "c")]
    for pair in (runs, [base, runs[0]]):
        assert comparable(pair).verdict("deliverable") == REFUSE
        assert comparable(pair).verdict("error") not in (MARK, REFUSE)


def test_an_uneven_machine_is_marked(base: Run, tmp_path: Path) -> None:
    def jump(run: StoredRun) -> None:
        starts = [event for event in run.events if event["kind"] == "cell_started"]
        starts[0]["calibration"] = 0.0301  # of 0.02 for the others, so that the median stays

    found = comparable([base, stored(tmp_path / "b", change=jump)])
    assert found.verdict("deliverable") == MARK
    assert found.verdict("visits") not in (MARK, REFUSE)


@given(st.floats(1e-4, 1.0), st.floats(0.5, 2.0))
@settings(max_examples=10, deadline=None)
def test_speeds_within_a_tenth_are_one(
    tmp_path_factory: pytest.TempPathFactory, calibration: float, factor: float
) -> None:
    folder = tmp_path_factory.mktemp("speeds")
    a = stored(folder / "a", errors={1: 0.8}, calibration=calibration)
    b = stored(folder / "b", errors={1: 0.8}, calibration=calibration * factor)
    apart = max(factor, 1 / factor)
    if abs(apart - 1.1) > 1e-9:
        assert (comparable([a, b]).verdict("deliverable") == REFUSE) == (apart > 1.1)
    assert comparable([a, b]).verdict("visits") not in (MARK, REFUSE)


@pytest.mark.parametrize(
    ("of_a", "of_b", "expected"),
    [
        ({"x.py": "1"}, {"x.py": "1"}, SAME),
        ({"x.py": "1"}, {"x.py": "2"}, MARK),
        ({"x.py": "1"}, {}, HARMLESS),
        ({"x.py": "1"}, {"y.py": "1"}, HARMLESS),  # a new name
        ({"x.py": "1"}, {"y.py": "2"}, MARK),
    ],
)
def test_plugins(tmp_path: Path, of_a: dict[str, str], of_b: dict[str, str], expected: str) -> None:
    changes = [set_in("manifest", "plugins", to=of) for of in (of_a, of_b)]
    runs = [stored(tmp_path / name, change=change) for name, change in zip("ab", changes, strict=True)]
    rows = comparable(runs).differences
    assert set(rows.loc[rows["field"].str.startswith("plugins"), "verdict"]) == {expected}


# --- several runs ---


def test_several_runs_are_as_comparable_as_their_worst_pair(base: Run, tmp_path: Path) -> None:
    faster = stored(tmp_path / "b", change=of_events(calibration=0.0191))
    slower = stored(tmp_path / "c", change=of_events(calibration=0.0215))
    assert (
        comparable([base, faster]).verdict("search") == comparable([base, slower]).verdict("search") == HARMLESS or True
    )
    assert comparable([base, faster]).verdict("search") not in (MARK, REFUSE)
    assert comparable([base, slower]).verdict("search") not in (MARK, REFUSE)
    every = comparable([base, faster, slower])
    assert every.verdict("search") == REFUSE
    rows = every.rows("search")
    assert [(Path(row.run_a).name, Path(row.run_b).name) for row in rows[rows["verdict"] == REFUSE].itertuples()] == [
        ("b", "c")
    ]
    with pytest.raises(AutomlCfError, match=r"clock 'search' of these runs cannot be compared: calibration"):
        every.require("search")
    every.require("visits")


def test_one_run_is_comparable_with_itself(base: Run) -> None:
    alone = comparable([base])
    assert {alone.verdict(target) for target in targets()} == {SAME}
    assert list(alone.differences.columns)[:3] == ["run_a", "run_b", "field"]
    with pytest.raises(InputError, match=r"'vists'. Did you mean 'visits'"):
        alone.verdict("vists")


def test_a_difference_is_of_its_data_set_or_searcher_only(tmp_path: Path) -> None:
    def change(run: StoredRun) -> None:
        run.manifest["datasets"]["other"]["sha256"] = "f" * 64
        run.study["searchers"][1]["options"] = {"lanes": 3}
        for event in run.events:
            if event["kind"] == "cell_started" and event["dataset"] == "other":
                event["split_hash"] = f"another {event['seed']}"

    kinds: dict[str, Any] = {"searchers": ("sif", "random"), "datasets": ("ml", "other")}
    found = compare_runs(stored(tmp_path / "a", **kinds), stored(tmp_path / "b", change=change, **kinds))
    verdict = found.compatibility.verdict
    assert verdict("error") == verdict("error", dataset="other") == REFUSE
    assert verdict("error", dataset="ml", searcher="random") == MARK
    assert verdict("error", dataset="ml", searcher="sif") == SAME
    assert set(zip(found.errors["dataset"], found.errors["searcher"], found.errors["verdict"], strict=True)) == {
        ("ml", "random", MARK),
        ("ml", "sif", SAME),
    }
    assert "not on other; data.sha256 of other" in str(found)
    found.check()


# --- differences ---

OTHER_ERRORS = {1: 0.83, 2: 0.87, 3: 0.81, 4: 0.849}
OTHER_SECONDS = {1: 6.0, 2: 5.0, 3: 4.0, 4: 20.0}


def only(table: pd.DataFrame, **values: Any) -> Any:
    """The one row that has these values."""
    rows = table[np.logical_and.reduce([table[name] == value for name, value in values.items()])] if values else table
    assert len(rows) == 1
    return rows.iloc[0]


def test_errors_are_paired_by_seed(base: Run, tmp_path: Path) -> None:
    row = only(compare_runs(base, stored(tmp_path / "b", OTHER_ERRORS)).errors)
    a, b = (np.array(list(errors.values())) for errors in (ERRORS, OTHER_ERRORS))
    test = stats.ttest_rel(b, a)
    interval = test.confidence_interval(0.95)
    assert (row["n"], row["n_a"], row["n_b"], row["method"]) == (4, 4, 4, "paired")
    assert [row[name] for name in ("a", "b", "mean", "low", "high", "p", "holm")] == pytest.approx(
        [a.mean(), b.mean(), (b - a).mean(), interval.low, interval.high, test.pvalue, test.pvalue]
    )


def test_times_are_ratios_of_geometric_means(base: Run, tmp_path: Path) -> None:
    found = compare_runs(base, stored(tmp_path / "b", seconds=OTHER_SECONDS))
    for clock, retrain in (("search", 0.0), ("deliverable", 2.0)):
        row = only(found.times, clock=clock)
        a, b = (np.array(list(seconds.values())) + retrain for seconds in (SECONDS, OTHER_SECONDS))
        interval = stats.ttest_rel(np.log(b), np.log(a)).confidence_interval(0.95)
        assert row["mean"] == pytest.approx(np.prod(b / a) ** 0.25)
        assert (row["low"], row["high"]) == pytest.approx((np.exp(interval.low), np.exp(interval.high)))
        assert (row["a"], row["b"]) == pytest.approx((stats.gmean(a), stats.gmean(b)))
    assert found.same_work.n == 0  # each took other visits
    assert "the same work" not in str(found)
    visits = only(found.times, clock="visits")
    assert visits["mean"] == pytest.approx(
        stats.gmean([(1000 * OTHER_SECONDS[s] + 500) / (1000 * SECONDS[s] + 500) for s in SECONDS])
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_exchanging_the_runs_turns_everything(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors, seconds = rng.uniform(0.5, 1.5, 3), rng.uniform(1.0, 9.0, 3)
    a, b = stored(tmp_path / "a"), stored(tmp_path / "b", dict(enumerate(errors, 2)), dict(enumerate(seconds, 2)))
    there, back = compare_runs(a, b), compare_runs(b, a)
    for name, other, sign in (("mean", "mean", -1), ("low", "high", -1), ("p", "p", 1), ("a", "b", 1)):
        assert there.errors[name].tolist() == pytest.approx((sign * back.errors[other]).tolist(), nan_ok=True)
    clocks = [name for name in there.times["clock"] if name != "simulated"]  # each in seconds of its own A
    for clock in clocks:
        one, two = only(there.times, clock=clock), only(back.times, clock=clock)
        assert (one["mean"], one["low"]) == pytest.approx((1 / two["mean"], 1 / two["high"]), nan_ok=True)


def welch(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The 95% interval of mean(b) - mean(a) by the formula of Welch and Satterthwaite."""
    parts = [values.var(ddof=1) / len(values) for values in (a, b)]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, (a, b), strict=True))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    difference = b.mean() - a.mean()
    return float(difference - half), float(difference + half)


def test_without_common_splits_the_means_are_compared(base: Run, tmp_path: Path) -> None:
    fewer = {seed: OTHER_ERRORS[seed] for seed in (1, 2, 3)}
    other = stored(tmp_path / "b", fewer, OTHER_SECONDS, change=of_events(split_hash="another"))
    found = compare_runs(base, other)
    row = only(found.errors)
    a, b = (np.array(list(errors.values())) for errors in (ERRORS, fewer))
    assert (row["method"], row["n"], row["n_a"], row["n_b"]) == ("unpaired", 0, 4, 3)
    assert (row["low"], row["high"]) == pytest.approx(welch(a, b))
    ratio = only(found.times, clock="search")
    logs = [np.log(list(values)) for values in (SECONDS.values(), [OTHER_SECONDS[seed] for seed in fewer])]
    assert (ratio["low"], ratio["high"]) == pytest.approx(np.exp(welch(*logs)))
    assert "4 | 3 (unpaired)" in str(found)
    assert "pairs by seed: not all seeds; split of ml, seed 1" in str(found)


def test_seeds_of_another_split_are_in_no_pair(base: Run, tmp_path: Path) -> None:
    def change(run: StoredRun) -> None:
        for event in run.events:
            if event["kind"] == "cell_started" and event["seed"] == 2:
                event["split_hash"] = "another"

    found = compare_runs(base, stored(tmp_path / "b", OTHER_ERRORS, change=change))
    row = only(found.errors)
    assert (row["n"], row["missing"]) == (3, (2,))
    assert row["mean"] == pytest.approx(np.mean([OTHER_ERRORS[seed] - ERRORS[seed] for seed in (1, 3, 4)]))
    assert "3 (not 2)" in str(found)


def test_runs_without_a_common_seed(base: Run, tmp_path: Path) -> None:
    later = stored(tmp_path / "b", {7: 0.8, 8: 0.9}, {7: 1.0, 8: 2.0})
    found = compare_runs(base, later)
    assert only(found.errors)["method"] == "unpaired"
    assert "pairs by seed: no; no seed gave a result in both" in str(found)


def test_equal_runs_have_no_p_value(base: Run, tmp_path: Path) -> None:
    found = compare_runs(base, stored(tmp_path / "b"))
    row = only(found.errors)
    assert (row["mean"], row["low"], row["high"]) == (0, 0, 0)
    assert np.isnan(row["p"])
    assert (found.times["mean"] == 1).all()


def test_simulated_seconds_make_up_for_a_slower_machine(base: Run, tmp_path: Path) -> None:
    def three_times_slower(run: StoredRun) -> None:
        for event in run.events:
            event["clock"] = {kind: 3 * seconds for kind, seconds in event["clock"].items()}
            event.update({key: 3 * event[key] for key in ("calibration", "retrain_seconds") if key in event})

    found = compare_runs(base, stored(tmp_path / "b", change=three_times_slower))
    assert set(found.times["clock"]) == {"visits", "simulated"}
    row = only(found.times, clock="simulated")
    assert (row["mean"], row["verdict"]) == (pytest.approx(1), MARK)
    assert row["b"] == pytest.approx(stats.gmean(np.array(list(SECONDS.values())) + 2.0))
    assert (float(found.same_work.mean), int(found.same_work.n)) == (pytest.approx(3), 4)  # whatever was refused
    assert "Where both did the same work (equal visits, 4 cells), B took 3 [3, 3] of" in str(found)


def test_at_the_common_budget(tmp_path: Path) -> None:
    """A searched for 4 s, B for 9: at 4 s each stood where its curve was."""

    def run(name: str, limit: float, found: list[Found], **changes: Any) -> Run:
        made = StoredRun(tmp_path / name)
        made.study |= {**deepcopy(STUDY), "budget": {"seconds": limit}}
        made.manifest |= deepcopy(MANIFEST)
        made.cell("ml", 8, "sif", 1, found, end=limit, **changes)
        return Run.load(made.write())

    short = run("a", 4.0, [Found(1.0, 0.9), Found(3.0, 0.85)])
    long = run("b", 9.0, [Found(2.0, 0.91), Found(3.5, 0.84), Found(8.0, 0.7)])
    found = compare_runs(short, long)
    final, common = only(found.errors), only(found.budget)
    assert (final["mean"], final["verdict"]) == (pytest.approx(0.7 - 0.85), MARK)
    assert (common["mean"], common["limit"]) == (pytest.approx(0.84 - 0.85), "4 s of search")
    assert common["verdict"] != MARK or "budget" not in "".join(found.compatibility.reasons("error"))
    assert "Test RMSE / std at 4 s of search" in str(found)
    # Seconds of another machine are no common budget.
    elsewhere = run("c", 9.0, [Found(2.0, 0.91)], host="b")
    assert len(compare_runs(short, elsewhere).budget) == 0
    # An incumbent that was not scored is not stood in for by an earlier one.
    unscored = run("d", 9.0, [Found(2.0, 0.91), Found(3.5, None), Found(8.0, 0.7)])
    assert only(compare_runs(short, unscored).budget)["n"] == 0


# --- what gives nothing ---


def test_failed_cells_are_told(base: Run, tmp_path: Path) -> None:
    def fail(run: StoredRun) -> None:
        run.cell("ml", 8, "sif", 5, [], last="cell_failed")

    found = compare_runs(base, stored(tmp_path / "b", OTHER_ERRORS, change=fail))
    row = only(found.errors)
    assert (row["n"], row["missing"]) == (4, (5,))
    assert "B, ml/d8/sif/s5: failed: ValueError: boom" in str(found)


def test_what_only_one_run_has(base: Run, tmp_path: Path) -> None:
    found = compare_runs(base, stored(tmp_path / "b", searchers=("random", "sif")))
    assert len(found.only_a) == 0
    assert found.only_b.to_numpy().tolist() == [["ml", 8, "random"]]
    assert "Only in B: ml/d8/random." in str(found)


def test_no_common_cells(base: Run, tmp_path: Path) -> None:
    found = compare_runs(base, stored(tmp_path / "b", searchers=("random",)))
    with pytest.raises(AutomlCfError, match="no data set, dimension and searcher in common"):
        found.check()


def test_no_results_in_common(base: Run, tmp_path: Path) -> None:
    def fail(run: StoredRun) -> None:
        run.events = [event for event in run.events if event["kind"] == "cell_started"]

    found = compare_runs(base, stored(tmp_path / "b", change=fail))
    with pytest.raises(AutomlCfError, match="nothing to compare yet"):
        found.check()


def test_a_run_is_not_compared_with_itself(base: Run) -> None:
    with pytest.raises(InputError, match="are one run"):
        compare_runs(base, base)


# --- the command ---


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare-runs", *map(str, arguments)])


def test_the_command_shows_what_is_comparable(base: Run, tmp_path: Path) -> None:
    other = stored(tmp_path / "b", OTHER_ERRORS, change=of_events(host="elsewhere"))
    result = invoke(base.path, other.path)
    assert result.exit_code == 0
    assert "  deliverable: no; host a | elsewhere: another machine, so that seconds are not comparable" in result.stdout
    assert "  test errors: yes\n" in result.stdout
    assert "Final incumbent, visits to deliverable" in result.stdout
    assert "Final incumbent, time to deliverable (s)" not in result.stdout
    difference = np.mean([OTHER_ERRORS[seed] - ERRORS[seed] for seed in ERRORS])
    assert f"{difference:+.4f} [" in result.stdout


def test_the_command_for_one_clock(base: Run, tmp_path: Path) -> None:
    other = stored(tmp_path / "b", OTHER_ERRORS, change=of_events(host="elsewhere"))
    refused = invoke(base.path, other.path, "--clock", "deliverable")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: The clock 'deliverable' of these runs cannot be compared: host a | elsew")
    assert refused.stderr.count("\n") == 1
    shown = invoke(base.path, other.path, "--clock", "visits")
    assert shown.exit_code == 0
    assert "deliverable: no" not in shown.stdout
    unknown = invoke(base.path, other.path, "--clock", "vists")
    assert unknown.exit_code == 2
    assert "Did you mean 'visits'?" in unknown.stderr


@pytest.mark.parametrize("arguments", [("nowhere", "nowhere"), ()])
def test_the_command_refuses_what_is_no_run(base: Run, arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = invoke(base.path, tmp_path / "nowhere") if arguments else invoke(base.path)
    assert result.exit_code == 2


def test_names_from_studies_are_shown_as_they_are(tmp_path: Path) -> None:
    strange: dict[str, Any] = {"searchers": ("*[sif]|`x`",)}
    found = compare_runs(stored(tmp_path / "a", **strange), stored(tmp_path / "b", **strange))
    assert "*[sif]|`x`" in str(found)


# --- real runs ---


def test_two_real_runs_of_one_study(tmp_path: Path) -> None:
    """What runs record suffices to compare them, and the same study gives the same errors and visits."""
    study = small_study(searchers=["bias-only", "random"], seeds=[1, 2], budget={"trials": 2})
    for name in ("a", "b"):
        suite_run.start(study, tmp_path / name)
    found = automl_cf.compare_runs(tmp_path / "a", tmp_path / "b")
    assert isinstance(found, RunComparison)
    assert isinstance(found.compatibility, Comparability)
    rows = found.compatibility.differences
    assert not rows[["a", "b"]].isin(["not recorded"]).any(axis=None)
    assert set(rows.loc[rows["verdict"] != SAME, "field"]) <= {"calibration", "calibration.range"}
    assert found.errors["mean"].tolist() == [0.0, 0.0]
    assert (found.times.loc[found.times["clock"] == "visits", "mean"] == 1).all()
