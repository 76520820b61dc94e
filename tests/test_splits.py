import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData, cold_mask, random_split
from automl_cf.errors import InputError


def ratings(n=400, shape=(40, 30), seed=0):
    rng = np.random.default_rng(seed)
    cells = rng.choice(int(np.prod(shape)), n, replace=False)
    return RatingTensor(np.stack(np.unravel_index(cells, shape), axis=1), rng.integers(1, 6, n), shape)


def entries(part):
    return {(*index, value) for index, value in zip(part.indices.tolist(), part.values.tolist(), strict=True)}


@given(st.integers(0, 2**64), st.integers(12, 400), st.sampled_from([(12, 40), (5, 8, 10)]))
def test_the_parts_partition_the_ratings(seed, n, shape):
    everything = ratings(n, shape)
    split = random_split(everything, seed)
    parts = [entries(part) for part in (split.train, split.valid, split.test)]
    assert set.union(*parts) == entries(everything)
    assert sum(len(part) for part in parts) == n
    for part, fraction in zip(parts, (0.5, 0.25, 0.25), strict=True):
        assert abs(len(part) - fraction * n) <= 1
    assert {part.shape for part in (split.train, split.valid, split.test)} == {shape}


def test_other_fractions():
    split = random_split(ratings(), 1, (0.8, 0.1, 0.1))
    assert [len(part) for part in (split.train, split.valid, split.test)] == [320, 40, 40]


def test_statistics():
    everything = ratings()
    split = random_split(everything, 3)
    train = pd.Series(split.train.values.tolist())
    assert split.mean == pytest.approx(train.mean(), rel=1e-12)
    assert split.std == pytest.approx(train.std(ddof=0), rel=1e-12)
    assert split.value_std == pytest.approx(pd.Series(everything.values.tolist()).std(ddof=0), rel=1e-12)


def test_a_seed_makes_a_split_and_another_seed_another():
    everything = ratings()
    hashes = [random_split(everything, seed).hash for seed in (0, 1, 2, 0)]
    assert len(set(hashes)) == 3
    assert hashes[0] == hashes[3]
    assert entries(random_split(everything, 0).test) != entries(random_split(everything, 1).test)


def test_without_vary_all_seeds_share_the_split_of_seed_0():
    everything = ratings()
    fixed = [random_split(everything, seed, vary=False) for seed in (0, 7)]
    assert fixed[0].hash == fixed[1].hash == random_split(everything, 0).hash
    assert [split.seed for split in fixed] == [0, 7]


def test_the_hash_tells_values_and_shape():
    everything = ratings()
    values = everything.values.copy()
    values[17] += 1
    wider = RatingTensor(everything.indices, everything.values, (40, 31))
    changed = RatingTensor(everything.indices, values, everything.shape)
    assert len({random_split(one, 5).hash for one in (everything, wider, changed)}) == 3


def test_the_hash_tells_the_parts_apart():
    # Two splits of the same ratings, with the same numbers in each part.
    everything = ratings()
    a, b = random_split(everything, 1), random_split(everything, 2)
    assert entries(a.train) | entries(a.valid) | entries(a.test) == entries(everything)
    assert (len(a.train), len(a.valid)) == (len(b.train), len(b.valid))
    assert a.hash != b.hash


def test_the_same_split_in_another_process():
    code = "import test_splits as t; print(t.random_split(t.ratings(), 4).hash)"
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == random_split(ratings(), 4).hash


def test_a_search_sees_standardised_ratings_and_no_test_part():
    split = random_split(ratings(), 2)
    seen = split.for_search()
    assert {field.name for field in dataclasses.fields(SearchData)} == {
        "train",
        "valid",
        "mean",
        "std",
        "hash",
    }
    assert seen.train.values.mean() == pytest.approx(0, abs=1e-6)
    assert seen.train.values.std() == pytest.approx(1, abs=1e-6)
    for mine, theirs in ((seen.train, split.train), (seen.valid, split.valid)):
        assert mine.indices.tolist() == theirs.indices.tolist()
        expected = [(value - split.mean) / split.std for value in theirs.values.tolist()]
        assert mine.values.tolist() == pytest.approx(expected, rel=1e-6)
        assert seen.in_data_units(mine.values).tolist() == pytest.approx(theirs.values.tolist(), abs=1e-6)
    assert seen.hash == split.hash


def test_a_poisoned_test_part_changes_nothing_that_a_search_sees():
    split = random_split(ratings(), 2)
    poison = dataclasses.replace(split.test, values=np.full(len(split.test), np.nan))
    seen, poisoned = split.for_search(), dataclasses.replace(split, test=poison).for_search()
    assert (seen.mean, seen.std, seen.hash) == (poisoned.mean, poisoned.std, poisoned.hash)
    assert seen.train.values.tobytes() == poisoned.train.values.tobytes()
    assert seen.valid.values.tobytes() == poisoned.valid.values.tobytes()


@pytest.mark.parametrize("shape", [(12, 25), (16, 17, 18)])
def test_cold_rows_by_brute_force(shape):
    split = random_split(ratings(60, shape), 1)
    known = [{index[mode] for index in split.train.indices.tolist()} for mode in range(len(shape))]
    expected = [any(row not in known[mode] for mode, row in enumerate(index)) for index in split.test.indices.tolist()]
    assert cold_mask(split.train, split.test).tolist() == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed: -1 must not be negative"),
        ({"fractions": (0.5, 0.5, 0.0)}, r"fractions: \(0.5, 0.5, 0.0\) must be three positive"),
        ({"fractions": (0.5, 0.25, 0.2)}, "sum to 1"),
        ({"fractions": (0.5, 0.5)}, "three positive numbers"),
        ({"fractions": (0.998, 0.001, 0.001)}, "leave a part of the 400 ratings empty"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        random_split(ratings(), **({"seed": 0} | options))


def test_ratings_that_cannot_be_used_are_refused():
    one = ratings().take(np.array([0]))
    with pytest.raises(InputError, match="number of ratings is 1"):
        random_split(one, 0)


def test_a_constant_training_part_is_refused():
    values = np.ones(400)
    values[0] = 2
    everything = RatingTensor(ratings().indices, values, (40, 30))
    numbered = RatingTensor(ratings().indices, np.arange(400), (40, 30))
    # A split depends on the number of ratings only, so distinct ratings tell where the first one goes.
    outside = next(seed for seed in range(20) if 0.0 not in random_split(numbered, seed).train.values)
    with pytest.raises(InputError, match=f"The training part of seed {outside} has only ratings of 1.0"):
        random_split(everything, outside)
