import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cf.cf.metrics import rmse, scores
from automl_cf.cf.ratings import RatingTensor
from automl_cf.errors import InputError

numbers = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(numbers, numbers), min_size=1))
def test_rmse_is_the_root_of_the_mean_square(pairs):
    expected = math.sqrt(math.fsum((p - t) ** 2 for p, t in pairs) / len(pairs))
    prediction, target = zip(*pairs, strict=True)
    assert rmse(prediction, target) == pytest.approx(expected)


def test_rmse_is_computed_in_double_precision():
    # 3000^2 + 1 is not a float32, so single precision would lose the small errors.
    errors = np.array([3000.0] + [0.5] * 4_000_000, dtype=np.float32)
    expected = math.sqrt((3000.0**2 + 0.25 * 4_000_000) / 4_000_001)
    assert rmse(errors, np.zeros_like(errors)) == pytest.approx(expected, rel=1e-12)


def test_rmse_passes_nan_on():
    assert math.isnan(rmse([1.0, math.nan], [1.0, 1.0]))


@pytest.mark.parametrize(("prediction", "target"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [1.0])])
def test_rmse_refuses_what_does_not_fit(prediction, target):
    with pytest.raises(InputError, match="rmse: prediction and target"):
        rmse(prediction, target)


def ratings(*entries, shape=(3, 3)):
    indices, values = [entry[:2] for entry in entries], [entry[2] for entry in entries]
    return RatingTensor(np.array(indices), np.array(values), shape)


def test_scores_over_all_and_over_warm_rows():
    train = ratings((0, 0, 1), (1, 1, 1))
    part = ratings((0, 1, 3), (1, 0, 3), (2, 0, 3), (0, 2, 3))  # user 2 and item 2 are cold
    got = scores([4.0, 3.0, 6.0, 3.0], part, train, value_std=2.0)
    assert got.rmse == pytest.approx(math.sqrt((1 + 0 + 9 + 0) / 4))
    assert got.rmse_warm == pytest.approx(math.sqrt(1 / 2))
    assert (got.rmse_std, got.rmse_warm_std) == pytest.approx((got.rmse / 2, got.rmse_warm / 2))
    assert (got.rows, got.cold) == (4, 2)


def test_scores_without_any_warm_row():
    got = scores([1.0], ratings((2, 2, 2)), ratings((0, 0, 1)), value_std=1.0)
    assert got.rmse == 1.0
    assert math.isnan(got.rmse_warm)
    assert math.isnan(got.rmse_warm_std)
    assert got.cold == 1
