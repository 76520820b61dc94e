"""Times to a threshold: against SciPy, integrals by brute force, and simulations of a known speed-up."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from stored_runs import Found, StoredRun

from automl_cf.analysis.curves import StepCurve, cell_curve
from automl_cf.analysis.run import Run
from automl_cf.analysis.statistics import t_interval
from automl_cf.analysis.thresholds import (
    AT_LEAST,
    AT_MOST,
    GEOMETRIC,
    NONE,
    RESTRICTED,
    SpeedUp,
    area_table,
    areas,
    fieller,
    first_time,
    kaplan_meier,
    performance_profiles,
    reached_shares,
    reaching,
    reaching_in_words,
    restricted_mean,
    speed_up,
    speed_up_in_words,
    speed_ups,
    time_average,
    times_to,
)
from automl_cf.errors import InputError

SEEDS = 5

moments = st.lists(st.tuples(st.floats(0.1, 10), st.booleans()), min_size=1, max_size=8)


def exhausted(run: StoredRun) -> None:
    """Let the last cell have ended by itself."""
    next(event for event in reversed(run.events) if event["kind"] == "cell_finished")["reason"] = "exhausted"


@pytest.fixture
def stored(tmp_path: Any) -> StoredRun:
    """Thresholds of 0.85 and 0.80 on five seeds; the horizon is 20 s of search."""
    run = StoredRun(tmp_path / "run")
    for seed in range(1, 6):
        run.cell("d", 8, "fast", seed, [Found(1, 0.84), Found(seed, 0.79)], end=20 + seed / 10)
        found = [Found(5, 0.90), Found(10, 0.84)] if seed < 4 else [Found(5, 0.90)]
        run.cell("d", 8, "slow", seed, found, end=20)
        run.cell("d", 8, "bias-only", seed, [Found(0.01, 0.86)], end=0.02)
        exhausted(run)
        run.cell("d", 8, "broken", seed, [Found(2, 0.86)], end=4, last="cell_failed")
        run.cell("d", 8, "stopped", seed, [Found(3, None)], end=6, last=None)
    return run


def rows_of(frame: pd.DataFrame, **values: Any) -> pd.DataFrame:
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame


def only(frame: pd.DataFrame, **values: Any) -> dict[str, Any]:
    rows = rows_of(frame, **values)
    assert len(rows) == 1
    return {str(key): value for key, value in rows.iloc[0].items()}


# --- times and censoring ---


def test_the_first_time_at_or_below() -> None:
    curve = cell_curve(np.array([1.0, 2.0, 3.0]), np.array([0.9, 0.8, 0.85]), end=9)
    assert [first_time(curve, threshold) for threshold in (1.0, 0.9, 0.8, 0.79)] == [1, 1, 2, math.inf]
    assert first_time(cell_curve(np.zeros(0), np.zeros(0), end=9), 0.8) == math.inf


def test_what_is_reached_and_what_is_censored_when(stored: StoredRun) -> None:
    times = times_to(Run.load(stored.write()), [0.85, 0.8, 0.85], clock="search")
    assert len(times) == 25 * 2
    assert set(times["horizon"]) == {20.0}

    def of(searcher: str, seed: int, threshold: float) -> tuple[float, bool, bool]:
        row = only(times, searcher=searcher, seed=seed, threshold=threshold)
        return row["time"], bool(row["reached"]), bool(row["observed"])

    assert of("fast", 2, 0.85) == (1, True, True)
    assert of("fast", 3, 0.80) == (3, True, True)
    assert of("slow", 1, 0.85) == (10, True, True)
    assert of("slow", 4, 0.85) == (20, False, True)  # at its end
    assert of("bias-only", 1, 0.85) == (20, False, True)  # it had nothing more to deliver
    assert of("broken", 1, 0.85) == (4, False, False)  # at its failure
    assert of("stopped", 1, 0.85) == (0, False, False)  # what it had found nobody knows
    assert only(times, searcher="broken", seed=1, threshold=0.85)["problem"] == "failed: ValueError: boom"


def test_clocks_and_horizons(stored: StoredRun) -> None:
    run = Run.load(stored.write())
    assert set(times_to(run, [0.85], horizon=7.0)["horizon"]) == {7.0}
    assert only(times_to(run, [0.85], "visits"), searcher="fast", seed=1)["time"] == 0
    with pytest.raises(InputError, match="Unknown clock 'serch'"):
        times_to(run, [0.85], "serch")
    for wrong in ([], [0.8, -1.0], [math.nan], [math.inf]):
        with pytest.raises(InputError, match=r"thresholds: .* must be positive numbers"):
            times_to(run, wrong)


def test_where_all_end_by_themselves_the_horizon_is_the_latest_end(tmp_path: Any) -> None:
    run = StoredRun(tmp_path)
    for searcher, end in (("a", 3.0), ("b", 7.0)):
        run.cell("d", 8, searcher, 1, [Found(1, 0.9)], end=end)
        exhausted(run)
    assert times_to(Run.load(run.write()), [0.85])["time"].tolist() == [7, 7]
    assert set(times_to(Run.load(run.write()), [0.85])["horizon"]) == {7.0}


@given(moments)
def test_kaplan_and_meiers_estimate_is_the_product_that_it_stands_for(cells: list[tuple[float, bool]]) -> None:
    time, reached = (np.array(part) for part in zip(*cells, strict=True))
    found = kaplan_meier(time, reached)
    product = 1.0
    for row in found.to_dict("records"):
        waiting, events = int((time >= row["x"]).sum()), int((reached & (time == row["x"])).sum())
        product *= 1 - events / waiting
        assert (row["waiting"], row["events"]) == (waiting, events)
        assert row["share"] == pytest.approx(1 - product)
    if reached.all():
        np.testing.assert_allclose(found["share"], [(time <= x).mean() for x in found["x"]])


def test_kaplan_meier_of_a_published_table() -> None:
    """Freireich's 6-MP arm (1963), weeks of remission, + being censored, as survival textbooks print it."""
    time = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    reached = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    found = kaplan_meier(time, reached)
    printed = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    survival = dict(zip(found["x"], 1 - found["share"], strict=True))
    assert {x: round(survival[x], 3) for x in printed} == printed


@given(moments, st.floats(0.5, 12))
def test_the_restricted_mean_is_the_area_by_brute_force(cells: list[tuple[float, bool]], horizon: float) -> None:
    time, reached = (np.array(part) for part in zip(*cells, strict=True))
    found = restricted_mean(time, reached, horizon)
    estimate = kaplan_meier(time, reached)
    if not reached[time == time.max()].all() and time.max() < horizon:
        assert np.isnan(found.mean)
        return
    grid = (np.arange(20_000) + 0.5) * horizon / 20_000
    position = np.searchsorted(estimate["x"], grid, side="right")
    area = (1 - np.concatenate([[0.0], estimate["share"]])[position]).mean() * horizon
    assert found.mean == pytest.approx(area, abs=1e-3 * horizon)


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=8, unique=True), st.floats(0.5, 12))
def test_without_early_censoring_it_is_students_interval(values: list[float], horizon: float) -> None:
    time = np.minimum(values, horizon)
    reached = np.array(values) < horizon
    found = restricted_mean(time, reached, horizon)
    expected = t_interval(time)
    assert found.mean == pytest.approx(float(expected.mean))
    assert np.isnan(found.low) == (reached.sum() < 2)
    if reached.sum() >= 2:
        assert found.low == pytest.approx(float(np.clip(expected.low, 0, horizon)), abs=1e-9)
        assert found.high == pytest.approx(float(np.clip(expected.high, 0, horizon)), abs=1e-9)


def test_greenwoods_variance_by_hand() -> None:
    # 1, 2, 3+, 4 up to 4: S is 1, 3/4, 1/2, 1/2; mean 1 + 3/4 + 1/2 + 1/2 = 2.75. Areas after 1 and 2: 1.75 and 1.
    found = restricted_mean([1, 2, 3, 4], [True, True, False, True], 4.0)
    variance = (1.75**2 / (4 * 3) + 1.0**2 / (3 * 2)) * 4 / 3
    half = 3.182446 * math.sqrt(variance)  # t(0.975, 3) from a printed table
    assert (float(found.mean), float(found.low), float(found.high)) == pytest.approx((2.75, 2.75 - half, 4.0), abs=1e-5)


def test_restricted_means_that_cannot_be_told() -> None:
    assert np.isnan(restricted_mean([], [], 5.0).mean)
    assert np.isnan(restricted_mean([1.0], [True], math.nan).mean)
    assert np.isnan(restricted_mean([1, 3], [True, False], 5.0).mean)  # nobody was seen after 3
    never = restricted_mean([5, 5, 5], [False] * 3, 5.0)
    assert never.mean == 5
    assert np.isnan([never.low, never.high]).all()


# --- speed-ups ---


def test_fiellers_set_is_what_the_t_test_does_not_refuse() -> None:
    rng = np.random.default_rng(0)
    for above, below in rng.gamma(3.0, size=(50, 2, SEEDS)):
        found = fieller(above, below)
        inside = np.linspace(0.01, 40, 400)
        p = stats.ttest_1samp(above[:, None] - inside * below[:, None], 0).pvalue
        near = np.isclose(inside, found.low, rtol=0.01) | np.isclose(inside, found.high, rtol=0.01)
        # Where the set is not one interval, all that reaches from its first to its last point is given.
        assert ((p <= 0.05) | ((inside >= found.low) & (inside <= found.high)) | near).all()
        if math.isfinite(found.high):
            assert (((p > 0.05) == ((inside >= found.low) & (inside <= found.high))) | near).all()


def test_fieller_by_hand_and_where_there_is_none() -> None:
    # The denominator is fixed: Student's interval of the numerator, over it.
    found = fieller([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    half = 4.302653 / math.sqrt(3)
    assert found.ratio == 1.0
    assert (found.low, found.high) == pytest.approx((max(0, 1 - half / 2), 1 + half / 2), rel=1e-6)
    assert np.isnan(fieller([2.0, 2.0], [1.0, 1.0]).low)
    assert np.isnan(fieller([1.0], [2.0]).low)
    assert np.isnan(fieller([], []).ratio)


def test_the_geometric_mean_of_pairs_by_hand() -> None:
    found = speed_up([1, 2, 4], [True] * 3, [4, 16, 8], [True] * 3, 100.0)
    assert found.method == GEOMETRIC
    assert found.ratio == pytest.approx((4 * 8 * 2) ** (1 / 3))
    interval = stats.ttest_1samp(np.log([4, 8, 2]), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))


def test_censoring_makes_bounds() -> None:
    ours, all_, some = [1, 2, 4], [True] * 3, [True, True, False]
    found = speed_up(ours, all_, [4, 16, 100], some, 100.0)
    assert found.method == AT_LEAST
    assert found.ratio == pytest.approx((4 * 8 * 25) ** (1 / 3))
    assert math.isinf(found.high)
    turned = speed_up([4, 16, 100], some, ours, all_, 100.0)
    assert turned.method == AT_MOST
    assert (turned.ratio, turned.low, turned.high) == pytest.approx((1 / found.ratio, 0.0, 1 / found.low))
    mixed = speed_up([1, 2, 100], some, [4, 16, 100], some, 100.0)
    assert mixed.method == RESTRICTED
    assert mixed.ratio == pytest.approx(120 / 103)
    assert mixed == fieller([4, 16, 100], [1, 2, 100])
    few = speed_up([1, 100, 100], [True, False, False], [4, 16, 100], some, 100.0)
    assert few.method == RESTRICTED
    assert np.isnan([few.low, few.high]).all()
    assert speed_up([100] * 3, [False] * 3, [100] * 3, [False] * 3, 100.0).method == NONE
    assert speed_up([], [], [], [], 100.0) == pytest.approx(SpeedUp(math.nan, math.nan, math.nan, 0, NONE), nan_ok=True)
    assert speed_up([0.0, 1.0], [True] * 2, [1.0, 2.0], [True] * 2, 100.0).method == RESTRICTED  # no logarithm of 0


@pytest.mark.parametrize("horizon", [math.inf, 6.0, 4.0, 2.5])
@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_a_known_ratio_is_within_the_interval(ratio: float, horizon: float) -> None:
    """Five seeds whose times are lognormal, half of their variance common to the pair; the one ``ratio`` times as slow.

    What is censored is bounded, and the ratio of restricted means is another number, known by a large sample.
    """
    rng = np.random.default_rng(8)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        common, first, other = rng.normal(0.0, 0.5, (3, count, SEEDS))
        return np.exp(common + first), ratio * np.exp(common + other)

    many, many_slow = draw(20_000)
    restricted = np.minimum(many_slow, horizon).mean() / np.minimum(many, horizon).mean()
    methods, holds = [], []
    for time, slow in zip(*draw(600), strict=True):
        censored = (np.minimum(time, horizon), time <= horizon, np.minimum(slow, horizon), slow <= horizon)
        found = speed_up(*censored, horizon)
        if not math.isnan(found.low):
            methods.append(found.method)
            holds.append(found.low <= (restricted if found.method == RESTRICTED else ratio) <= found.high)
    assert np.mean(holds) >= 0.93
    if ratio == 3 and horizon < math.inf:
        assert methods.count(AT_LEAST) > len(methods) / 3


def test_searchers_are_paired_by_seed_and_unseen_ones_named(stored: StoredRun) -> None:
    run = Run.load(stored.write())
    found = speed_ups(times_to(run, [0.85], clock="search"))
    assert len(found) == 20
    row = only(found, searcher="fast", against="slow")
    assert (row["method"], row["n"], row["count"], row["against_count"], row["missing"]) == (AT_LEAST, 5, 5, 3, ())
    assert row["ratio"] == pytest.approx((10**3 * 20**2) ** (1 / 5))
    text = speed_up_in_words(row)
    assert text.startswith("fast reaches 0.85 at least 13 times sooner than slow on average (97.5% sure of ")
    assert text.endswith("; 5 seeds), as slow reaches it in 3 of 5")
    later = speed_up_in_words(only(found, searcher="slow", against="fast"))
    assert later.startswith("slow reaches 0.85 at least 13 times later than fast on average (97.5% sure of ")
    assert later.endswith("as slow reaches it in 3 of 5")
    unseen = only(found, searcher="fast", against="broken")
    assert (unseen["n"], unseen["missing"]) == (0, (1, 2, 3, 4, 5))
    assert speed_up_in_words(unseen).endswith("no seed was seen to the end with both (0 seeds, not 1, 2, 3, 4, 5)")


def test_words_of_speed_ups() -> None:
    row = {"searcher": "a", "against": "b", "threshold": 0.838, "n": 5, "count": 5, "against_count": 5}
    row |= {"method": GEOMETRIC, "ratio": 14.2, "low": 9.0, "high": 22.0, "missing": (), "horizon": 20.0}
    assert speed_up_in_words(row) == "a reaches 0.838 14 (9 to 22) times sooner than b (5 seeds)"
    turned = row | {"ratio": 1 / 14.2, "low": 1 / 22, "high": 1 / 9}
    assert speed_up_in_words(turned) == "a reaches 0.838 14 (9 to 22) times later than b (5 seeds)"
    assert speed_up_in_words(row | {"low": 0.5}).endswith("(5 seeds), which is not sure")
    mean = row | {"method": RESTRICTED, "high": math.inf, "count": 4, "against_count": 2, "missing": (3,), "n": 4}
    assert speed_up_in_words(mean) == (
        "a reaches 0.838 14 (at least 9) times sooner than b by mean times up to 20, in 4 against 2 seeds "
        "(4 seeds, not 3)"
    )
    none = row | {"method": NONE}
    assert speed_up_in_words(none) == "a against b at 0.838: neither reaches it (5 seeds)"


def test_how_often_and_how_soon(stored: StoredRun) -> None:
    table = reaching(times_to(Run.load(stored.write()), [0.85], clock="search"))
    assert table["searcher"].tolist()[:3] == ["fast", "slow", "bias-only"]
    slow = only(table, searcher="slow")
    expected = t_interval([10, 10, 10, 20, 20])
    assert (slow["mean"], slow["low"]) == pytest.approx((float(expected.mean), float(expected.low)))
    assert slow["high"] == pytest.approx(20)
    assert reaching_in_words(slow) == "slow reaches 0.85 in 3 of 5 seeds, up to 20 after 14 [7.2, 20] on average"
    assert reaching_in_words(only(table, searcher="bias-only")) == "bias-only reaches 0.85 in 0 of 5 seeds"
    broken = only(table, searcher="broken")
    assert (broken["unseen"], len(broken["problems"])) == ((1, 2, 3, 4, 5), 5)
    assert "(not seen to the end: 1, 2, 3, 4, 5)" in reaching_in_words(broken)


# --- areas ---


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.5, 1)), min_size=1, max_size=6), st.floats(0, 9))
def test_the_time_average_by_brute_force(points: list[tuple[float, float]], start: float) -> None:
    x, y = (np.array(part) for part in zip(*points, strict=True))
    curve = cell_curve(x, y)
    found = time_average(curve, start, 10.0)
    if curve.x[0] > start:
        assert math.isnan(found)
    else:
        grid = start + (np.arange(20_000) + 0.5) * (10 - start) / 20_000
        assert found == pytest.approx(curve.at(grid).mean(), abs=1e-3)


def test_the_area_is_over_the_window_in_which_all_have_a_result(stored: StoredRun) -> None:
    found = areas(Run.load(stored.write()), clock="search")
    assert set(found["start"]) == {5.0}  # when slow has one
    fast = only(found, searcher="fast", seed=5)
    assert (fast["first"], fast["horizon"], fast["area"]) == (1, 20, pytest.approx(0.79))
    slow = only(found, searcher="slow", seed=1)
    assert slow["area"] == pytest.approx((5 * 0.90 + 10 * 0.84) / 15)
    assert only(found, searcher="bias-only", seed=1)["area"] == pytest.approx(0.86)  # carried on
    assert math.isnan(only(found, searcher="broken", seed=1)["area"])
    table = area_table(found)
    assert table["searcher"].tolist() == ["fast", "bias-only", "slow", "broken", "stopped"]
    broken = only(table, searcher="broken")
    assert (broken["n"], broken["missing"]) == (0, (1, 2, 3, 4, 5))
    assert broken["problems"][0] == "seed 1: failed: ValueError: boom"


def test_a_start_that_is_given_leaves_out_what_was_not_there(stored: StoredRun) -> None:
    found = areas(Run.load(stored.write()), clock="search", start=2.0)
    assert math.isnan(only(found, searcher="slow", seed=1)["area"])
    assert only(found, searcher="fast", seed=3)["area"] == pytest.approx((1 * 0.84 + 17 * 0.79) / 18)


def test_no_window_has_no_area() -> None:
    curve = StepCurve(np.array([1.0]), np.array([0.9]), 2.0)
    assert math.isnan(time_average(curve, 3.0, 3.0))
    assert math.isnan(time_average(curve, math.nan, 3.0))
    assert math.isnan(time_average(StepCurve(np.zeros(0), np.zeros(0), 2.0), 0.0, 3.0))


# --- profiles ---


def test_the_share_reached_counts_every_pair(stored: StoredRun) -> None:
    found = reached_shares(times_to(Run.load(stored.write()), [0.85, 0.8], clock="search"))
    fast = rows_of(found, searcher="fast")
    assert fast["x"].tolist() == [0, 1, 2, 3, 4, 5]
    # At 1 s all five have 0.85 and, on seed 1, also 0.80.
    np.testing.assert_allclose(fast["share"], [0, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert rows_of(found, searcher="slow")["share"].tolist() == [0, 0.3]
    assert rows_of(found, searcher="bias-only")["share"].tolist() == [0]
    assert only(found, searcher="broken")["unseen"] == 10
    assert set(found["pairs"]) == {10}


def test_performance_profiles_by_hand() -> None:
    rows = [
        {"dataset": "d", "dim": 8, "seed": seed, "threshold": 0.8, "searcher": name, "time": time, "reached": reached}
        for name, of_it in {
            "a": [(1, True), (4, True), (9, False), (9, False)],
            "b": [(2, True), (1, True), (3, True), (9, False)],
            "c": [(1, True), (9, False), (9, False), (9, False)],
        }.items()
        for seed, (time, reached) in enumerate(of_it)
    ]
    found = performance_profiles(pd.DataFrame(rows))
    profile = {name: list(zip(of["ratio"], of["share"], strict=True)) for name, of in found.groupby("searcher")}
    assert profile == {"a": [(1, 0.25), (4, 0.5)], "b": [(1, 0.5), (2, 0.75)], "c": [(1, 0.25)]}
    assert set(found["problems"]) == {4}
    assert set(found["unsolved"]) == {1}


@given(st.lists(st.lists(st.none() | st.floats(0, 10), min_size=3, max_size=3), min_size=1, max_size=6))
def test_profiles_are_what_they_are_defined_as(table: list[list[float | None]]) -> None:
    rows = [
        {"dataset": "d", "dim": 8, "seed": seed, "threshold": 0.8, "searcher": name, "time": time or 0.0}
        | {"reached": time is not None}
        for seed, of_seed in enumerate(table)
        for name, time in zip("abc", of_seed, strict=True)
    ]
    for row in performance_profiles(pd.DataFrame(rows)).to_dict("records"):
        within = 0
        for of_seed in table:
            known = [time for time in of_seed if time is not None]
            own = of_seed["abc".index(row["searcher"])]
            within += own is not None and (own == min(known) or own <= row["ratio"] * min(known) * (1 + 1e-12))
        assert row["share"] == pytest.approx(within / len(table))
