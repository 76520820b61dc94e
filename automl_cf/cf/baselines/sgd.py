"""Per-rating stochastic gradient descent of the biased factor models, compiled by Numba.

For each rating, in the order given, a step of `rate` down half the gradient of e^2 + l2 * (the squares of all numbers
that the rating touches), e being its error. It is the objective of Koren (2008) and of scikit-surprise, not the common
one: no Adagrad, no projection, and a row's penalty grows with its ratings.
"""

from typing import Any

import numpy as np
from numba import njit

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def biased_mf_epoch(
    order: Any, pairs: Any, values: Any, mean: Any, biases: Any, factors: Any, rate: Any, l2: Any
) -> None:
    """One pass of mu + b_u + b_i + p_u . q_i; `biases` and `factors` (one array per mode) change in place.

    `order` (n,) numbers ratings, `pairs` (n, 2) are their rows, `values` (n,) the ratings; `mean`, `rate` and `l2` are
    numbers of the arrays' type.
    """
    (b, c), (p, q) = biases, factors
    for number in order:
        u, i = pairs[number]
        score = mean + b[u] + c[i]
        for f in range(p.shape[1]):
            score += p[u, f] * q[i, f]
        error = values[number] - score
        b[u] += rate * (error - l2 * b[u])
        c[i] += rate * (error - l2 * c[i])
        for f in range(p.shape[1]):
            x, y = p[u, f], q[i, f]
            p[u, f] += rate * (error * y - l2 * x)
            q[i, f] += rate * (error * x - l2 * y)


@_compiled
def svdpp_epoch(
    order: Any,
    pairs: Any,
    values: Any,
    mean: Any,
    biases: Any,
    factors: Any,
    implicit: Any,
    rated: Any,
    starts: Any,
    rate: Any,
    l2: Any,
) -> None:
    """One pass of mu + b_u + b_i + q_i . (p_u + |N(u)|^-1/2 sum over N(u) of y_j).

    As `biased_mf_epoch`; `implicit` (items, dim) holds the y_j, which change as well, and N(u) is
    rated[starts[u] : starts[u + 1]].
    """
    (b, c), (p, q) = biases, factors
    dim = p.shape[1]
    about = np.empty(dim, p.dtype)
    pull = np.empty(dim, p.dtype)
    for number in order:
        u, i = pairs[number]
        neighbours = rated[starts[u] : starts[u + 1]]
        scale = p.dtype.type(1 / np.sqrt(len(neighbours)))
        about[:] = 0
        for j in neighbours:
            for f in range(dim):
                about[f] += implicit[j, f]
        score = mean + b[u] + c[i]
        for f in range(dim):
            about[f] *= scale
            score += q[i, f] * (p[u, f] + about[f])
        error = values[number] - score
        b[u] += rate * (error - l2 * b[u])
        c[i] += rate * (error - l2 * c[i])
        for f in range(dim):
            x, y = p[u, f], q[i, f]
            p[u, f] += rate * (error * y - l2 * x)
            q[i, f] += rate * (error * (x + about[f]) - l2 * y)
            pull[f] = error * scale * y
        for j in neighbours:
            for f in range(dim):
                implicit[j, f] += rate * (pull[f] - l2 * implicit[j, f])
