"""Rows as SIMD values: each operation against NumPy on the same elements, at any length and precision."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from automl_cf.cf import rows

NAN = float("nan")

# What is compiled, and the same in NumPy.
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "arithmetic": (lambda x, y: x + y - x * y, lambda x, y: x + y - x * y),
    "division": (lambda x, y: x / (y * y + 1.0), lambda x, y: x / (y * y + 1)),
    "numbers": (lambda x, y: 2.0 * x - y / 4 + (1.0 - x), lambda x, y: 2 * x - y / 4 + (1 - x)),
    "minimum": (lambda x, y: rows.minimum(x, y), np.minimum),
    "maximum": (lambda x, y: rows.maximum(x, y), np.maximum),
    "sqrt": (lambda x, y: rows.sqrt(x * x), lambda x, y: np.abs(x)),
    "exp2": (lambda x, y: rows.exp2(x), lambda x, y: np.exp2(x)),
    "zero_like": (lambda x, y: rows.zero_like(x), lambda x, y: np.zeros_like(x)),
    "fma": (lambda x, y: rows.fma(x, y, rows.fma(x, 3.0, 1.0)), lambda x, y: x * y + 3 * x + 1),
    "where_less": (lambda x, y: rows.where_less(x, y, y, -1.0), lambda x, y: np.where(x < y, y, -1)),
    "rotated": (lambda x, y: rows.rotated(x), lambda x, y: np.roll(x, 1)),
    "numbers compared": (lambda x, y: rows.where_less(0.0, x, x, y), lambda x, y: np.where(x > 0, x, y)),
}


@cache
def compiled(name: str) -> Any:
    """The operation on rows 1 and 2 of a table, its result in row 0; returns the result's sum."""
    operation = njit(OPERATIONS[name][0])

    @njit(error_model="numpy")
    def run(table: Any, width: Any) -> Any:
        d = len(width)
        result = operation(rows.load(table, d, width), rows.load(table, 2 * d, width))
        rows.store(table, 0, result)
        return rows.total(result)

    return run


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [1, 3, 8, 10])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_it_is_numpy(name: str, dtype: type, length: int, data: st.DataObject) -> None:
    values = st.floats(-30, 30, width=32)
    table = np.array(data.draw(st.lists(values, min_size=3 * length, max_size=3 * length)), dtype).reshape(3, length)
    before = table.copy()
    total = compiled(name)(table, (0,) * length)
    wanted = OPERATIONS[name][1](before[1].astype(np.float64), before[2].astype(np.float64))
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    scale = 1 + float(np.abs(before[1:]).max()) ** 2
    np.testing.assert_allclose(table[0], wanted, rtol=tolerance, atol=tolerance * scale)
    np.testing.assert_array_equal(table[1:], before[1:])
    np.testing.assert_allclose(
        total, table[0].astype(np.float64).sum(), rtol=tolerance, atol=tolerance * scale * length
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two_are_exact_to_rounding_and_bounded(dtype: type) -> None:
    x = np.concatenate([np.linspace(-60, 60, 797), [-1e9, 1e9, NAN]]).astype(dtype)
    for start in range(0, 800, 8):
        table = np.zeros((3, 8), dtype)
        table[1] = x[start : start + 8]
        compiled("exp2")(table, (0,) * 8)
        wanted = np.exp2(np.clip(table[1].astype(np.float64), -60, 60))
        np.testing.assert_allclose(table[0], wanted, rtol=3e-7 if dtype is np.float32 else 4e-16)


@pytest.mark.parametrize("name", ["minimum", "maximum", "exp2"])
def test_what_is_not_a_number_stays_so(name: str) -> None:
    table = np.zeros((3, 2))
    table[1] = [NAN, 1.0]
    table[2] = [1.0, NAN]
    compiled(name)(table, (0,) * 2)
    assert np.isnan(table[0]).tolist() == ([True, False] if name == "exp2" else [True, True])
