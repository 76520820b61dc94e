import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cf.cf.ratings import RatingTensor, content_hash
from automl_cf.errors import InputError


def tensor(indices, values, shape, labels=None):
    return RatingTensor(np.array(indices), np.array(values), shape, labels)


@st.composite
def tensors(draw):
    """Ratings of order 2 to 4, each entry at most once."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=4)))
    cells = draw(st.sets(st.integers(0, int(np.prod(shape)) - 1), min_size=1))
    indices = np.stack(np.unravel_index(sorted(cells), shape), axis=1)
    return tensor(indices, np.arange(len(cells)) + 0.5, shape)


@given(tensors())
def test_counts_agree_with_pandas(ratings):
    for mode, size in enumerate(ratings.shape):
        expected = pd.Series(ratings.indices[:, mode]).value_counts().reindex(range(size), fill_value=0)
        assert ratings.counts(mode).tolist() == expected.tolist()
        assert ratings.counts(mode).dtype == np.int64


@given(tensors(), st.randoms())
def test_take_by_number_and_by_mask(ratings, random):
    rows = random.sample(range(len(ratings)), random.randint(0, len(ratings)))
    taken = ratings.take(np.array(rows, dtype=np.int64))
    assert taken.values.tolist() == [ratings.values[row] for row in rows]
    assert taken.indices.tolist() == [ratings.indices[row].tolist() for row in rows]
    assert (taken.shape, taken.order) == (ratings.shape, len(ratings.shape))
    mask = np.isin(np.arange(len(ratings)), rows)
    assert ratings.take(mask).values.tolist() == [ratings.values[row] for row in sorted(rows)]


@given(tensors(), st.randoms())
def test_the_hash_ignores_the_order_and_nothing_else(ratings, random):
    rows = list(range(len(ratings)))
    random.shuffle(rows)
    assert content_hash(ratings.take(np.array(rows))) == content_hash(ratings)
    louder = RatingTensor(ratings.indices, ratings.values + 1, ratings.shape)
    larger = RatingTensor(ratings.indices, ratings.values, (*ratings.shape[:-1], ratings.shape[-1] + 1))
    fewer = ratings.take(np.arange(len(ratings) - 1))
    hashes = {content_hash(one) for one in (ratings, louder, larger, fewer)}
    assert len(hashes) == 4


def test_the_hash_is_fixed():
    # Worked out by hand: count and shape, then the indices, then the values, little-endian.
    import hashlib
    import struct

    data = struct.pack("<3q", 2, 2, 3) + struct.pack("<4q", 0, 2, 1, 0) + struct.pack("<2f", 2.5, 4.0)
    assert content_hash(tensor([[1, 0], [0, 2]], [4.0, 2.5], (2, 3))) == hashlib.sha256(data).hexdigest()


def test_the_arrays_cannot_be_changed_and_the_givers_can():
    indices, values = np.array([[0, 1]]), np.array([3.0], dtype=np.float32)
    ratings = RatingTensor(indices, values, (1, 2))
    with pytest.raises(ValueError, match="read-only"):
        ratings.values[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        ratings.indices[0] = 0
    assert indices.flags.writeable
    assert values.flags.writeable


@pytest.mark.parametrize(
    ("indices", "values", "shape", "labels", "message"),
    [
        ([0, 1], [1, 2], (2,), None, r"integers of shape \(n, order\) with order at least 2"),
        ([[0], [1]], [1, 2], (2,), None, "order at least 2"),
        ([[0.0, 1.0]], [1], (1, 2), None, "not float64"),
        ([[0, 1]], [1, 2], (1, 2), None, r"one number for each of the 1 rows .* not shape \(2,\)"),
        ([[0, 1]], [1], (1, 2, 3), None, r"shape \(1, 2, 3\) must have 2 numbers"),
        ([[0, 2]], [1], (1, 2), None, "mode 1 run from 2 to 2, but must lie between 0 and 1"),
        ([[-1, 0]], [1], (1, 2), None, "mode 0 run from -1 to -1"),
        ([[0, 1]], [1], (1, 2), (np.array(["a"]), np.array(["b"])), "labels must name all rows"),
    ],
)
def test_parts_that_do_not_fit_are_refused(indices, values, shape, labels, message):
    with pytest.raises(InputError, match=message):
        tensor(indices, values, shape, labels)


GOOD = ([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]], [1.0, 2.0, 3.0, 4.0, 5.0, 1.0], (3, 2))


def test_usable_ratings_pass():
    tensor(*GOOD).check_usable("mine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [1, 2, np.nan, 4, np.inf, 1]}, r"mine: the rating of \(1, 0\) is nan"),
        ({"values": [1, 2, 3, 4, -np.inf, 1]}, r"mine: the rating of \(2, 0\) is -inf"),
        ({"values": [3] * 6}, "mine: all ratings are 3.0"),
        (
            {"indices": [[0, 0], [0, 1], [1, 0], [0, 1], [2, 0], [2, 1]]},
            r"mine: \(0, 1\) is rated more than once",
        ),
        ({"indices": [[0, 0]], "values": [1]}, "mine: number of ratings is 1, but must be at least 5"),
        ({"indices": np.zeros((0, 2), dtype=int), "values": []}, "mine: number of ratings is 0"),
    ],
)
def test_unusable_ratings_are_refused(change, message):
    indices, values, shape = GOOD
    ratings = tensor(change.get("indices", indices), change.get("values", values), shape)
    with pytest.raises(InputError, match=message):
        ratings.check_usable("mine")


def test_a_tensor_may_not_have_a_constant_mode_but_a_matrix_may():
    cells = [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1], [2, 0, 1]]
    with pytest.raises(InputError, match="mine: index 3 is '1' for all ratings, but an index of a tensor must differ"):
        tensor(cells, [1, 2, 3, 4, 5], (3, 2, 2)).check_usable("mine")
    labels = (np.array(["a", "b", "c"]), np.array([1, 2]), np.array(["may", "june"]))
    columns = ["column 'user'", "column 'item'", "column 'month'"]
    with pytest.raises(InputError, match=r"mine: column 'month' is 'june' for all ratings.*; leave it out"):
        tensor(cells, [1, 2, 3, 4, 5], (3, 2, 2), labels).check_usable("mine", columns)
    tensor([[0, k] for k in range(5)], [1, 2, 3, 4, 5], (1, 5)).check_usable("mine")


def test_messages_use_the_original_names():
    indices, _, shape = GOOD
    labels = (np.array(["ann", "bob", "cat"]), np.array([10, 20]))
    with pytest.raises(InputError, match=r"\(bob, 20\) is nan"):
        tensor(indices, [1, 2, 3, np.nan, 5, 1], shape, labels).check_usable("mine")
