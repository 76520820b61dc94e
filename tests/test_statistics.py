import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from automl_cf.analysis.statistics import paired_differences, t_interval
from automl_cf.errors import InputError

errors = st.floats(0.5, 1.5)


def scores(**searchers: dict[int, float | None]) -> pd.DataFrame:
    """The frame of one data set and dimension, from test errors by searcher (with _ for -) and seed."""
    rows = [
        {"dataset": "d", "dim": 8, "searcher": name.replace("_", "-"), "seed": seed, "rmse_std": value}
        for name, by_seed in searchers.items()
        for seed, value in by_seed.items()
    ]
    return pd.DataFrame(rows).astype({"rmse_std": "float64"})


def only(frame: pd.DataFrame) -> dict[str, Any]:
    """The single row of a frame."""
    assert len(frame) == 1
    return {str(key): value for key, value in frame.iloc[0].items()}


@given(st.lists(st.tuples(errors, errors), min_size=2, max_size=8), st.floats(0.5, 0.99))
def test_paired_differences_are_scipys_paired_t_test(pairs: list[tuple[float, float]], confidence: float) -> None:
    ours, base = np.array(pairs).T
    assume(np.ptp(ours - base) > 1e-6)
    frame = scores(sif=dict(enumerate(ours)), bias_only=dict(enumerate(base)))
    row = only(paired_differences(frame, confidence=confidence))
    expected = stats.ttest_rel(ours, base)
    interval = expected.confidence_interval(confidence)
    assert (row["searcher"], row["against"], row["n"], row["missing"]) == ("sif", "bias-only", len(pairs), ())
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-6)
    assert row["mean"] == pytest.approx((ours - base).mean(), abs=1e-12)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_a_difference_by_hand() -> None:
    frame = scores(
        sif={1: 0.81, 2: 0.84, 3: 0.85},
        bias_only={3: 0.86, 1: 0.84, 2: 0.86},
    )
    row = only(paired_differences(frame))
    # -0.03, -0.02, -0.01: standard error 0.01 / sqrt(3), and t(0.975, 2) = 4.302653.
    half = 4.302653 * 0.01 / math.sqrt(3)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((-0.02, -0.02 - half, -0.02 + half))
    # The t distribution with 2 degrees of freedom in closed form, at t = 2 sqrt(3).
    assert row["p"] == pytest.approx(1 - math.sqrt(12 / 14))


def test_seeds_without_a_pair_are_named() -> None:
    frame = scores(
        sif={1: 0.8, 2: None, 3: 0.8, 5: 0.81},
        bias_only={1: 0.9, 2: 0.9, 3: None, 4: 0.9, 5: 0.92},
        random={6: 0.9},
    )
    rows = paired_differences(frame).set_index("searcher")
    assert rows.loc["sif", "n"] == 2
    assert rows.loc["sif", "missing"] == (2, 3, 4, 6)
    assert rows.loc["sif", "mean"] == pytest.approx(-0.105)
    assert rows.loc["random", "n"] == 0
    assert rows.loc["random", "missing"] == (1, 2, 3, 4, 5, 6)
    assert np.isnan(rows.loc["random", ["mean", "low", "high", "p"]].to_numpy(dtype=float)).all()


def test_one_pair_gives_a_difference_but_no_interval() -> None:
    row = only(paired_differences(scores(sif={1: 0.8}, bias_only={1: 0.9})))
    assert row["mean"] == pytest.approx(-0.1)
    assert np.isnan([row["low"], row["high"], row["p"]]).all()


def test_equal_differences_have_no_p() -> None:
    row = only(paired_differences(scores(sif={1: 0.75, 2: 0.5}, bias_only={1: 1.0, 2: 0.75})))
    assert (row["mean"], row["low"], row["high"]) == (-0.25, -0.25, -0.25)
    assert math.isnan(row["p"])


def test_data_sets_and_dimensions_are_compared_apart() -> None:
    one = scores(sif={1: 0.8}, bias_only={1: 0.9})
    frame = pd.concat([one, one.assign(dim=16, rmse_std=[0.7, 0.9]), one[:1].assign(dataset="e")])
    rows = paired_differences(frame)
    assert rows[["dataset", "dim", "n"]].to_numpy().tolist() == [["d", 8, 1], ["d", 16, 1], ["e", 8, 0]]
    np.testing.assert_allclose(rows["mean"], [-0.1, -0.2, np.nan])


def test_another_value_against_another_searcher() -> None:
    frame = scores(sif={1: 0.8}, single_op={1: 0.9}).assign(rmse=[3.0, 5.0])
    assert only(paired_differences(frame, against="single-op", value="rmse"))["mean"] == -2.0


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(InputError, match=r"'bias-onyl' .*Did you mean 'bias-only'\?"):
        paired_differences(scores(bias_only={1: 0.8}), against="bias-onyl")


def test_a_seed_that_comes_twice_is_refused() -> None:
    frame = scores(sif={1: 0.8}, bias_only={1: 0.8})
    with pytest.raises(InputError, match="Seed 1 of sif on d, dimension 8, comes twice"):
        paired_differences(pd.concat([frame, frame[:1]]))


def test_a_pair_on_two_splits_is_refused() -> None:
    frame = scores(sif={1: 0.8}, bias_only={1: 0.8})
    with pytest.raises(InputError, match="Seed 1 of d, dimension 8, was run on 2 different splits"):
        paired_differences(frame.assign(split_hash=["a", "b"]))
    assert only(paired_differences(frame.assign(split_hash=["a", "a"])))["n"] == 1
    assert only(paired_differences(frame.assign(split_hash=["a", None])))["n"] == 1  # one was never started


@given(st.lists(st.lists(st.none() | errors, min_size=3, max_size=3), min_size=1, max_size=6))
def test_intervals_leave_out_what_is_missing(table: list[list[float | None]]) -> None:
    values = np.array(table, dtype=np.float64)
    together = t_interval(values)
    for column in range(3):
        present = values[:, column][~np.isnan(values[:, column])]
        alone = t_interval(present)
        for part, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(part[column], expected, atol=1e-12)
        assert alone.n == len(present)
        assert np.isnan(alone.low) == (len(present) < 2)
        assert np.isnan(alone.mean) == (len(present) == 0)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(3).normal(size=(5, 20_000))
    low, high = t_interval(draws)[1:3]
    covered = ((low <= 0) & (high >= 0)).mean()
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 20_000)
