"""The random order that all engines share."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from automl_cf.cf.shuffle import shuffled


@given(st.integers(0, 300), st.integers(0, 2**32))
def test_it_is_a_permutation_that_follows_the_generator(n: int, seed: int) -> None:
    order = shuffled(n, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(n))
    assert order.tolist() == shuffled(n, np.random.default_rng(seed)).tolist()


def test_all_orders_are_equally_likely() -> None:
    rng = np.random.default_rng(0)
    seen = Counter(tuple(shuffled(4, rng).tolist()) for _ in range(24_000))
    assert len(seen) == 24
    assert chisquare(list(seen.values())).pvalue > 1e-4
