"""Verdicts on pairs of searchers: against SciPy, printed tables, brute force, and simulations of known truth."""

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from stored_runs import Found, StoredRun
from typer.testing import CliRunner, Result

import automl_cf
from automl_cf.analysis.comparison import (
    COLUMNS,
    LEVEL,
    MIRRORED,
    MOST_SEEDS,
    SMALLEST_EFFECT,
    comparisons,
    effect_sizes,
    holm,
    paired_tests,
    power_of_difference,
    power_of_equivalence,
    seeds_to_decide,
    words,
)
from automl_cf.analysis.run import Run
from automl_cf.analysis.verdicts import AGAINST, declared_thresholds, smallest_effect, verdict_text
from automl_cf.cli import app
from automl_cf.errors import InputError
from automl_cf.suite.study import make_study

FRACTIONS = (0.5, 0.25, 0.25)
SIMULATIONS = 2000
SEEDS = 5

errors = st.floats(0.5, 1.5)


def scores(searchers: Mapping[str, Mapping[int, float | None]]) -> pd.DataFrame:
    rows = [
        {"dataset": "d", "dim": 8, "searcher": name, "seed": seed, "rmse_std": value}
        for name, by_seed in searchers.items()
        for seed, value in by_seed.items()
    ]
    return pd.DataFrame(rows).astype({"rmse_std": "float64"})


def shifted(differences: list[float], **more: Any) -> pd.DataFrame:
    """Searchers a and b whose differences a - b are these."""
    base = dict.fromkeys(range(len(differences)), 0.8)
    ours = {seed: 0.8 + difference for seed, difference in enumerate(differences)}
    return comparisons(scores({"a": ours, "b": base}), **more)


def pair(frame: pd.DataFrame, searcher: str = "a", against: str = "b") -> dict[str, Any]:
    rows = frame[(frame["searcher"] == searcher) & (frame["against"] == against)]
    assert len(rows) == 1
    return {str(key): value for key, value in rows.iloc[0].items()}


# --- tests and corrections against others' ---


@given(st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=8), st.floats(1e-4, 0.05))
def test_the_tests_are_scipys(values: list[float], effect: float) -> None:
    differences = np.array(values)
    assume(np.ptp(differences) > 1e-5)
    ours = paired_tests(differences[:, None], effect)
    assert ours.p[0] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-6)
    above = stats.ttest_1samp(differences, -effect, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, effect, alternative="less").pvalue
    assert ours.equivalence_p[0] == pytest.approx(max(above, below), rel=1e-6)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (ours.low[0], ours.high[0]) == pytest.approx((interval.low, interval.high))


def test_the_corrected_interval_by_hand() -> None:
    # s = 0.01 and n = 3: s^2 (1/3 + 1/2); t(0.975, 2) = 4.302653 from a printed table.
    tests = paired_tests(np.array([[-0.03], [-0.02], [-0.01]]), shared=0.5)
    half = 4.302653 * 0.01 * math.sqrt(1 / 3 + 1 / 2)
    assert (tests.low[0], tests.high[0]) == pytest.approx((-0.02 - half, -0.02 + half), rel=1e-6)
    # The t distribution with 2 degrees of freedom in closed form.
    t = 2 / math.sqrt(1 / 3 + 1 / 2)
    assert tests.p[0] == pytest.approx(1 - t / math.sqrt(2 + t * t))


def test_the_fractions_give_the_factor_and_one_split_has_none() -> None:
    differences = [-0.03, -0.02, -0.01]
    row = pair(shifted(differences, fractions=(0.6, 0.2, 0.2)))
    tests = paired_tests(np.array(differences)[:, None], shared=1 / 3)
    assert (row["corrected_low"], row["corrected_high"]) == pytest.approx((tests.low[0], tests.high[0]))
    assert row["corrected_p"] == pytest.approx(tests.p[0])
    assert row["beyond"] == "undecided"
    without = pair(shifted(differences))
    assert without["beyond"] == ""
    assert math.isnan(without["corrected_low"])
    frame = scores({"a": {1: 0.7, 2: 0.8}, "b": {1: 0.9, 2: 0.9}})
    same = comparisons(frame.assign(split_hash="same"), fractions=FRACTIONS)
    assert (same["beyond"] == "").all()
    assert (comparisons(frame.assign(split_hash=["x", "y"] * 2), fractions=FRACTIONS)["beyond"] != "").all()


def test_holm_by_hand() -> None:
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, and never less than the one before.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.7, 0.9]), [0.03, np.nan, 1.0, 1.0])
    assert len(holm([])) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_sequence_of_tests_that_it_stands_for(p: list[float]) -> None:
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.3):
        rejected, order = set(), np.argsort(p, kind="stable")
        for step, index in enumerate(order):  # stop at the first that is not rejected
            if p[index] * (len(p) - step) > level:
                break
            rejected.add(int(index))
        assert {int(i) for i in np.flatnonzero(adjusted <= level)} == rejected
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_effect_sizes_have_hedges_factor() -> None:
    # J(4) = Gamma(2) / (sqrt(2) Gamma(1.5)) = 0.7979, as Hedges' table has it.
    differences = np.array([-0.02, -0.01, 0.0, 0.01, -0.03])
    expected = 0.797885 * differences.mean() / differences.std(ddof=1)
    assert effect_sizes(differences[:, None])[0] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(effect_sizes([[0.1, 0.1], [0.1, 0.2]])).all()
    # Unbiased for normal differences, which the uncorrected one is not.
    draws = np.random.default_rng(0).normal(0.7, 1.0, (SEEDS, 40_000))
    sizes = effect_sizes(draws)
    assert sizes.mean() == pytest.approx(0.7, abs=4 * sizes.std() / 200)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("true", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_power_is_that_of_the_noncentral_t(n: int, true: float, level: float) -> None:
    critical, centre = stats.t.isf(level / 2, n - 1), true * math.sqrt(n)
    exact = stats.nct.sf(critical, n - 1, centre) + stats.nct.cdf(-critical, n - 1, centre)
    assert power_of_difference(n, -true, level) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize(("n", "true", "margin"), [(5, 0.0, 2.0), (10, 0.3, 1.0), (30, 0.2, 0.6), (4, 1.0, 1.5)])
def test_power_of_equivalence_is_how_often_it_is_found(n: int, true: float, margin: float) -> None:
    draws = np.random.default_rng(n).normal(true, 1.0, (n, 20_000))
    found = (paired_tests(draws, margin).equivalence_p <= LEVEL).mean()
    assert power_of_equivalence(n, true, margin) == pytest.approx(found, abs=0.02)


# --- simulations of known truth, at 5 seeds ---


def test_the_interval_covers_and_errors_are_as_rare_as_they_claim() -> None:
    """Independent seeds with normal differences."""
    draws = np.random.default_rng(1).normal(0.0, 0.004, (SEEDS, SIMULATIONS))
    tests = paired_tests(draws + 0.003)
    assert 0.93 <= ((tests.low <= 0.003) & (tests.high >= 0.003)).mean() <= 0.97
    assert (paired_tests(draws).p <= LEVEL).mean() <= 0.06
    # At the border of equivalence, on either side, it must not be claimed; the noise is small, so that it could be.
    for border in (SMALLEST_EFFECT, -SMALLEST_EFFECT):
        assert 0.04 <= (paired_tests(draws / 5 + border).equivalence_p <= LEVEL).mean() <= 0.06


def test_false_verdicts_in_a_family_are_as_rare_as_of_one() -> None:
    """Four searchers of equal means: any pair better or worse; then at the smallest effect, any equivalent."""
    rng = np.random.default_rng(2)
    first, other = np.triu_indices(4, 1)
    values = 0.8 + rng.normal(0.0, 0.003, (SEEDS, SIMULATIONS, 4))
    p = paired_tests((values[..., first] - values[..., other]).reshape(SEEDS, -1)).p.reshape(SIMULATIONS, -1)
    assert np.mean([(holm(of_one) <= LEVEL).any() for of_one in p]) <= 0.06
    assert (p <= LEVEL).any(axis=1).mean() > 0.1  # what the correction is for
    values = np.array([0.0, 1.0]) * SMALLEST_EFFECT + rng.normal(0.0, 0.0004, (SEEDS, SIMULATIONS, 3, 2))
    differences = (values[..., 1] - values[..., 0]).reshape(SEEDS, -1)
    p = paired_tests(differences).equivalence_p.reshape(SIMULATIONS, -1)
    assert np.mean([(holm(of_one) <= LEVEL).any() for of_one in p]) <= 0.06


def on_splits(rng: np.random.Generator, tested: float, trained: float, noise: float, size: int = 200) -> np.ndarray:
    """Differences of two learners on five random splits (1/2 training, 1/4 test) of one data set: (5, data sets).

    A data set is a pool of ratings. How much easier the first learner finds a rating of the test part, and how much
    having it in the training part helps, are the rating's own and the same in all splits; their standard deviations
    over ratings are ``tested`` and ``trained``, and all means are 0. ``noise`` is the initialisations'.
    """
    ease, help_ = rng.normal(0.0, [[[tested]], [[trained]]], (2, SIMULATIONS, size))
    differences = []
    for _ in range(SEEDS):
        order = rng.permuted(np.tile(np.arange(size), (SIMULATIONS, 1)), axis=1)
        train, test = order[:, : size // 2], order[:, 3 * size // 4 :]
        effects = np.take_along_axis(ease, test, 1).mean(axis=1) + np.take_along_axis(help_, train, 1).mean(axis=1)
        differences.append(effects + rng.normal(0.0, noise, SIMULATIONS))
    return np.array(differences)


def test_the_corrected_interval_covers_what_new_data_would_give() -> None:
    """Splits of one data set overlap, which correlates their differences; the target is the mean of new data sets."""
    differences = on_splits(np.random.default_rng(3), tested=1.0, trained=0.5, noise=0.02)
    plain, corrected = (paired_tests(differences, shared=shared) for shared in (0.0, FRACTIONS[2] / FRACTIONS[0]))
    assert ((corrected.low <= 0) & (corrected.high >= 0)).mean() >= 0.95
    assert (corrected.p <= LEVEL).mean() <= 0.06
    assert ((plain.low <= 0) & (plain.high >= 0)).mean() < 0.85  # what the correction is for


def test_where_only_what_is_trained_with_matters_the_correction_is_too_small() -> None:
    """Two splits share half of their training parts, more than the correction supposes: its documented limit."""
    corrected = paired_tests(on_splits(np.random.default_rng(6), tested=0.0, trained=1.0, noise=0.0), shared=0.5)
    assert 0.88 < ((corrected.low <= 0) & (corrected.high >= 0)).mean() < 0.95


@pytest.mark.parametrize(("mean", "sd"), [(0.004, 0.004), (0.0, 0.002), (0.002, 0.004)])
def test_the_number_of_seeds_is_as_uncertain_as_it_says(mean: float, sd: float) -> None:
    """The 80% range holds the number that the truth needs, about that often, over data sets of 5 seeds."""
    sizes = np.arange(2, 200)
    power = power_of_difference(sizes, mean / sd)
    needed = sizes[np.maximum(power, power_of_equivalence(sizes, mean / sd, SMALLEST_EFFECT / sd)) >= 0.8][0]
    rng = np.random.default_rng(4)
    draws = rng.normal(mean, sd, (150, SEEDS))
    ranges = [seeds_to_decide(d.mean(), d.std(ddof=1), SEEDS) for d in draws]
    assert 0.7 <= np.mean([low <= max(needed, SEEDS + 1) <= high for _, low, high in ranges]) <= 0.97
    assert all(SEEDS < low <= median <= high for median, low, high in ranges)


def test_where_much_is_known_the_number_of_seeds_is_the_textbooks() -> None:
    """200 seeds fix mean and spread; then it is the least size whose power by the noncentral t is 80%."""
    true = 0.15
    size = next(
        n
        for n in range(201, 1000)
        if stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, true * math.sqrt(n)) >= 0.8  # the other tail is nothing
    )
    found = seeds_to_decide(true, 1.0, 200, effect=1e-6)
    assert found.median == pytest.approx(size, rel=0.1)
    assert seeds_to_decide(1e-5, 1.0, 900, effect=1e-6) == (math.inf, math.inf, math.inf)
    assert seeds_to_decide(0.1, 1.0, MOST_SEEDS) == (math.inf, math.inf, math.inf)
    assert np.isnan(seeds_to_decide(0.1, 0.0, 5)).all()
    assert np.isnan(seeds_to_decide(0.1, 1.0, 1)).all()


# --- verdicts ---


@settings(max_examples=20)
@given(st.lists(st.lists(st.none() | errors, min_size=3, max_size=3), min_size=1, max_size=6))
def test_verdicts_turn_with_the_pair(table: list[list[float | None]]) -> None:
    frame = scores({name: {s: row[i] for s, row in enumerate(table)} for i, name in enumerate("abc")})
    found = comparisons(frame, effect=0.1, fractions=FRACTIONS)
    assert list(found.columns) == COLUMNS
    assert len(found) == 6
    for row in found.to_dict("records"):
        turned = pair(found, row["against"], row["searcher"])
        assert turned["verdict"] == MIRRORED[row["verdict"]]
        assert turned["beyond"] == MIRRORED[row["beyond"]]
        for name, other in (("mean", "mean"), ("low", "high"), ("corrected_low", "corrected_high")):
            np.testing.assert_equal(turned[other], -row[name])
        for name in ("n", "sd", "holm", "equivalence_holm", "seeds", "missing"):
            np.testing.assert_equal(turned[name], row[name])
        assert (row["verdict"] == "undecided") or row["n"] > 1
        assert words(row)


def test_the_four_verdicts_and_their_words() -> None:
    better = pair(shifted([-0.012, -0.013, -0.012, -0.0125, -0.012], fractions=FRACTIONS))
    assert better["verdict"] == "better"
    assert words(better).startswith("a is better than b by 0.0123 [0.0117, 0.0129] (p = ")
    assert words(better).endswith(" after Holm, 5 seeds); beyond these splits, too")
    worse = pair(shifted([0.012, 0.016, 0.019, 0.012, 0.018]), "a", "b")
    assert worse["verdict"] == "worse"
    assert words(worse).startswith("a is worse than b by 0.0154 [0.0")
    equivalent = pair(shifted([0.0002, -0.0003, 0.0001, -0.0002, 0.0004]))
    assert equivalent["verdict"] == "equivalent"
    assert words(equivalent).startswith("a and b are equivalent within 0.002: +0.0000 [-0.0003, 0.0004] (p = ")
    undecided = pair(shifted([0.004, -0.003, 0.005, -0.001, 0.0]))
    assert undecided["verdict"] == "undecided"
    numbers = f"about {undecided['seeds']:.0f} ({undecided['seeds_low']:.0f} to "
    assert words(undecided).startswith("a against b is undecided: +0.0010 [-0.0032, 0.0052] (5 seeds); " + numbers)
    assert words(undecided).endswith(" seeds would decide")


def test_a_small_but_sure_difference_is_equivalent_and_says_both() -> None:
    row = pair(shifted([0.0005, 0.0006, 0.0005, 0.0006, 0.0005], fractions=FRACTIONS))
    assert row["holm"] < 1e-4
    assert row["verdict"] == "equivalent"
    assert "a small but sure difference (p = " in words(row)
    assert pair(shifted([0.0005, 0.0006, 0.0005, 0.0006, 0.0005], effect=0.0001))["verdict"] == "worse"


def test_all_pairs_of_a_panel_are_one_family() -> None:
    rng = np.random.default_rng(5)
    values = 0.8 + rng.normal(0, 0.01, (SEEDS, 4)) + np.array([0, 0.02, 0.02, 0.04])
    frame = scores({name: dict(enumerate(column)) for name, column in zip("abcd", values.T, strict=True)})
    other = frame[frame["searcher"].isin(["a", "b"])].assign(dim=16)
    found = comparisons(pd.concat([frame, other]))
    first, second = np.triu_indices(4, 1)
    p = stats.ttest_rel(values[:, first], values[:, second]).pvalue
    upper = found[(found["dim"] == 8) & (found["searcher"] < found["against"])]
    np.testing.assert_allclose(upper["holm"], holm(p))
    alone = pair(found[found["dim"] == 16])
    assert alone["holm"] == pytest.approx(alone["p"])


def test_missing_seeds_and_failed_cells_are_named() -> None:
    frame = scores({"a": {1: 0.8, 2: None, 3: 0.81, 4: 0.8}, "b": {1: 0.9, 2: 0.9, 3: 0.9}})
    frame["problem"] = frame["rmse_std"].isna().map({True: "failed: boom", False: None})
    row = pair(comparisons(frame))
    assert (row["n"], row["missing"]) == (2, (2, 4))
    assert row["problems"] == ("a, seed 2: failed: boom",)
    assert "2 seeds, not 2, 4)" in words(row)


@pytest.mark.parametrize(
    ("ours", "text"),
    [
        ({2: 0.8}, "a against b is undecided: no seed has a result of both (0 seeds, not 1, 2, 3)"),
        ({1: 0.8}, "a against b is undecided: -0.1000 on one seed has no interval (1 seed, not 2, 3)"),
        (
            {1: 0.9, 3: 0.9},
            "a against b is undecided: +0.0000 on each seed leaves no spread to test by (2 seeds, not 2)",
        ),
    ],
)
def test_what_cannot_be_tested_is_undecided_and_says_why(ours: dict[int, float | None], text: str) -> None:
    row = pair(comparisons(scores({"a": ours, "b": {1: 0.9, 3: 0.9}, "c": {2: 0.8}})))
    assert row["verdict"] == "undecided"
    assert words(row) == text
    assert math.isnan(row["seeds"])


@pytest.mark.filterwarnings("ignore:Precision loss")  # SciPy's, of the p value that is not used
def test_rounding_is_no_spread() -> None:
    values = {seed: 0.1 * seed for seed in range(1, 6)}
    row = pair(comparisons(scores({"a": {seed: value + 0.3 for seed, value in values.items()}, "b": values})))
    assert row["verdict"] == "undecided"


def test_more_than_1000_seeds() -> None:
    row = pair(shifted([0.5, -0.5] * 100))
    assert math.isinf(row["seeds"])
    assert words(row).endswith(" to more than 1000) seeds would decide")
    assert "; more than 1000 (" in words(row)


def test_one_searcher_or_none_has_no_pairs() -> None:
    assert comparisons(scores({"a": {1: 0.8}})).empty
    assert list(comparisons(scores({"a": {1: 0.8}}).iloc[:0]).columns) == COLUMNS


def test_what_cannot_be_compared_is_refused() -> None:
    frame = scores({"a": {1: 0.8}, "b": {1: 0.9}})
    for effect in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match=r"effect: .* must be a number above 0"):
            comparisons(frame, effect=effect)
    with pytest.raises(InputError, match="Seed 1 of a on d, dimension 8, comes twice"):
        comparisons(pd.concat([frame, frame[:1]]))
    with pytest.raises(InputError, match="2 different splits"):
        comparisons(frame.assign(split_hash=["x", "y"]))


# --- of a run ---


@pytest.fixture
def stored(tmp_path: Path) -> StoredRun:
    run = StoredRun(tmp_path / "run")
    run.study["fractions"] = list(FRACTIONS)
    for seed in range(1, 6):
        run.cell("d", 8, "bias-only", seed, [Found(0.01, 0.84 + seed / 1000)], end=0.02)
        run.events[-2]["reason"] = "exhausted"
        run.cell("d", 8, "sif", seed, [Found(1, 0.83 + seed / 1000), Found(5, 0.82 + seed**2 / 1e4)], end=20)
        last = "cell_failed" if seed == 3 else "cell_finished"
        run.cell("d", 8, "random", seed, [Found(6, 0.8205 + seed**2 / 1e4 + (-1) ** seed / 1e3)], end=20, last=last)
    return run


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["verdict", *map(str, arguments)])


def test_the_frame_of_a_run(stored: StoredRun) -> None:
    frame = automl_cf.verdicts(stored.write())
    assert len(frame) == 6
    row = pair(frame, "sif", "bias-only")
    assert row["verdict"] == "better"
    assert row["words"].startswith("sif is better than bias-only by ")
    assert row["mean"] == pytest.approx(np.mean([s**2 / 1e4 - 0.02 - s / 1000 for s in range(1, 6)]))
    random = pair(frame, "random", "sif")
    assert random["missing"] == (3,)
    assert random["problems"] == ("random, seed 3: failed: ValueError: boom",)
    only = automl_cf.verdicts(Run.load(stored.path), against="sif", effect=0.01)
    assert set(only["against"]) == {"sif"}
    assert set(only["effect"]) == {0.01}
    assert pair(only, "random", "sif")["verdict"] == "equivalent"


def test_the_command_prints_who_is_best_each_and_all_pairs(stored: StoredRun) -> None:
    result = invoke(stored.write())
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    best = next(line for line in lines if line.startswith("Best: "))
    assert best.startswith("Best: sif, mean test RMSE 0.8211 [0.8199, 0.8223] (5 seeds). Its lead is not sure: ")
    assert "undecided against random" in best
    assert best.endswith("It is better than bias-only.")
    assert "Against bias-only:" in lines
    matrix = lines[next(i for i, line in enumerate(lines) if line.startswith("All pairs")) + 1 :][:4]
    assert [line.split() for line in matrix] == [
        ["1", "2", "3"],
        ["1", "sif", ".", "?", "+"],
        ["2", "random", "?", ".", "+"],
        ["3", "bias-only", "-", "-", "."],
    ]
    assert "  d/d8/random/s3: failed: ValueError: boom" in lines
    assert "Time to" not in result.stdout


def test_the_command_against_another_with_another_effect(stored: StoredRun) -> None:
    result = invoke(stored.write(), "--against", "random", "--effect", "0.005")
    assert "Against random:" in result.stdout
    assert "sif and random are equivalent within 0.005" in result.stdout
    assert "Its lead is not sure: equivalent to random." in result.stdout


def test_the_studys_effect_and_thresholds(stored: StoredRun) -> None:
    assert smallest_effect(Run.load(stored.write())) == SMALLEST_EFFECT
    assert declared_thresholds(Run.load(stored.write())) == ()
    stored.study["analysis"] = {"smallest_effect": 0.005, "thresholds": [0.825]}
    run = Run.load(stored.write())
    assert set(automl_cf.verdicts(run)["effect"]) == {0.005}
    text = verdict_text(run)
    assert "Time to 0.825 on d, dimension 8, in seconds to deliverable:" in text
    assert "bias-only reaches 0.825 in 0 of 5 seeds" in text
    assert "sif reaches 0.825 at least " in text


def test_a_sure_lead_one_searcher_and_none(tmp_path: Path) -> None:
    run = StoredRun(tmp_path / "sure")
    for seed in range(1, 6):
        run.cell("d", 8, "sif", seed, [Found(1, 0.8 + seed / 1e4)], end=20)
    assert "There is no other to compare it with." in verdict_text(Run.load(run.write()))
    for seed in range(1, 6):
        run.cell("d", 8, "bias-only", seed, [Found(1, 0.85 + seed**2 / 1e4)], end=20)
    assert "Its lead is sure: it is better than every other." in verdict_text(Run.load(run.write()))
    nothing = StoredRun(tmp_path / "nothing")
    nothing.cell("d", 8, "sif", 1, [], end=20)
    text = verdict_text(Run.load(nothing.write()))
    assert "No searcher gave a result." in text
    assert "d/d8/sif/s1: finished without a valid architecture" in text


def test_wrong_names_and_effects_are_one_line(stored: StoredRun, tmp_path: Path) -> None:
    for arguments, text in (
        ([stored.write(), "--against", "randon"], "no searcher 'randon' to compare with. Did you mean 'random'?"),
        ([stored.path, "--effect", "0"], "effect: 0.0 must be a number above 0"),
        ([tmp_path], "is not the folder of a run"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert text in result.stderr
        assert result.stderr.count("\n") == 1


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom automl_cf.cli import app\ntry:\n    app(['verdict', '--help'])\nfinally:\n"
        "    print('HEAVY:', *{'torch', 'ray', 'pandas', 'scipy', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert AGAINST in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY:"


# --- what a study says of it ---


def test_a_study_records_what_the_analysis_is_told() -> None:
    minimal = {"datasets": ["ml-100k"], "searchers": ["random"], "budget": {"trials": 3}}
    default = make_study(minimal).model_dump(mode="json")["analysis"]
    assert default == {"smallest_effect": SMALLEST_EFFECT, "thresholds": []}
    told = make_study({**minimal, "analysis": {"smallest_effect": 0.01, "thresholds": [0.84, 0.83]}})
    assert told.model_dump(mode="json")["analysis"] == {"smallest_effect": 0.01, "thresholds": [0.84, 0.83]}


@pytest.mark.parametrize(
    ("analysis", "text"),
    [
        ({"smallest_effect": 0}, "analysis.smallest_effect is 0: .*greater than 0"),
        ({"smallest_effect": math.inf}, "analysis.smallest_effect is inf: .*finite"),
        ({"thresholds": [0.8, -1]}, r"analysis.thresholds.1 is -1: .*greater than 0"),
        ({"threshold": [0.8]}, "unknown key 'analysis.threshold'.* Did you mean 'thresholds'"),
    ],
)
def test_wrong_settings_are_refused(analysis: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make_study({"datasets": ["d"], "searchers": ["random"], "budget": {"trials": 3}, "analysis": analysis})
