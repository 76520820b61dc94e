"""The fused CPU engine's kernels (Numba): one batch of equation (5) or of Algorithm 2, without autograd.

They compute what the reference engine computes, operation by operation the same formulas, which tests compare.
Element-wise networks are evaluated once per row that a batch touches. Matrices only (order 2).

Three things make them fast. `width` is a tuple as long as the embedding dimension: a tuple's length is part of its
type, so every loop over the dimension is compiled for it. Indices are unsigned: signed ones would be checked for
counting from the end. The networks run over one long vector of all touched elements, with an exponential made of
multiplications only, so that the compiler vectorises them.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

MULTIPLY, PLUS, MIN, MAX, CONCAT = range(5)
CODES = {"multiply": MULTIPLY, "plus": PLUS, "min": MIN, "max": MAX, "concat": CONCAT}
SIGMOID, TANH, RELU = range(3)
ACTIVATION_CODES = {"sigmoid": SIGMOID, "tanh": TANH, "relu": RELU}
EXPECTED, TOUCHED, UNSQUARED = range(3)
PENALTY_CODES = {"expected": EXPECTED, "touched": TOUCHED, "unsquared": UNSQUARED}


class State(NamedTuple):
    """A model or supernet as the kernels take it; pairs are (users, items).

    `width`: see above; `tables` the embeddings, `ws` one predictor per row (as wide as concat's), `codes` their
    operations; `sums` and `wsums` Adagrad's sums of squares, `step` its learning rate and epsilon; `shares`
    N / n_row for the penalty. The rest is scratch memory, by row, by rating of a batch, or by touched element.
    """

    width: Any
    tables: Any
    sums: Any
    ws: Any
    wsums: Any
    codes: Any
    step: Any
    penalty: Any
    shares: Any
    l2: Any
    transformed: Any
    slopes: Any
    grads: Any
    counts: Any
    touched: Any
    error: Any
    upstream: Any
    gw: Any
    flat: Any


# No fastmath: strict IEEE arithmetic gives the same bits however a kernel is compiled, inlined or cached.
_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _exp(x: Any) -> Any:
    """exp(x) = (e^(x/256))^256, the inner one by its series: relative error under 1e-12 for |x| <= 40,
    where it stays beyond."""
    y = min(max(x, -40.0), 40.0) * 0.00390625
    e = 1 / 720 + y * (1 / 5040 + y * (1 / 40320 + y * (1 / 362880 + y / 3628800)))
    e = 1.0 + y * (1.0 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * e)))))
    for _ in range(8):
        e = e * e
    return e


@_compiled
def _unit(x: Any, w: float, b: float, activation: int, value: Any, slope: Any) -> None:
    """One hidden unit over a vector x: its activations and their derivatives at w x + b."""
    if activation == SIGMOID:
        for j in range(len(x)):
            s = 1.0 / (1.0 + _exp(-(x[j] * w + b)))
            value[j] = s
            slope[j] = s * (1.0 - s)
    elif activation == TANH:
        for j in range(len(x)):
            t = 2.0 / (1.0 + _exp(-2.0 * (x[j] * w + b))) - 1.0
            value[j] = t
            slope[j] = 1.0 - t * t
    else:
        for j in range(len(x)):
            z = x[j] * w + b
            value[j] = max(z, 0.0)
            slope[j] = 1.0 if z > 0.0 else 0.0


@_compiled
def transform(rows: Any, table: Any, vector: Any, activation: int, out: Any, slope: Any, flat: Any) -> None:
    """g(table[rows]; vector) into out[rows], its derivative into slope[rows]; an empty vector is the identity."""
    dim = table.shape[1]
    if len(vector) == 0:
        for t in range(len(rows)):
            for i in range(dim):
                out[rows[t], i] = table[rows[t], i]
                slope[rows[t], i] = 1
        return
    units, n = (len(vector) - 1) // 3, len(rows) * dim
    x, value, derivative, s, ds = flat[0, :n], flat[1, :n], flat[2, :n], flat[3, :n], flat[4, :n]
    for t in range(len(rows)):
        for i in range(dim):
            x[t * dim + i] = table[rows[t], i]
    value[:] = vector[3 * units]
    derivative[:] = 0
    for h in range(units):
        w, a = np.float64(vector[h]), np.float64(vector[2 * units + h])
        _unit(x, w, np.float64(vector[units + h]), activation, s, ds)
        for j in range(n):
            value[j] += a * s[j]
            derivative[j] += a * w * ds[j]
    for t in range(len(rows)):
        for i in range(dim):
            out[rows[t], i] = value[t * dim + i]
            slope[rows[t], i] = derivative[t * dim + i]


@_compiled
def _network_gradient(rows: Any, table: Any, vector: Any, activation: int, upstream: Any, flat: Any) -> Any:
    """The gradient with respect to the network's weights, from that with respect to the transformed rows."""
    units, dim = (len(vector) - 1) // 3, table.shape[1]
    gradient = np.zeros(len(vector))
    n = len(rows) * dim
    x, up, s, ds = flat[0, :n], flat[1, :n], flat[3, :n], flat[4, :n]
    for t in range(len(rows)):
        for i in range(dim):
            x[t * dim + i] = table[rows[t], i]
            up[t * dim + i] = upstream[rows[t], i]
    for h in range(units):
        a = np.float64(vector[2 * units + h])
        _unit(x, np.float64(vector[h]), np.float64(vector[units + h]), activation, s, ds)
        gw, gb, ga = 0.0, 0.0, 0.0
        for j in range(n):
            gw += up[j] * ds[j] * x[j]
            gb += up[j] * ds[j]
            ga += up[j] * s[j]
        gradient[h], gradient[units + h], gradient[2 * units + h] = a * gw, a * gb, ga
    if units > 0:
        gradient[3 * units] = up.sum()
    return gradient


@_compiled
def add_scores(
    width: Any,
    operation: int,
    w: Any,
    weight: Any,
    left: Any,
    right: Any,
    rows: Any,
    lu: Any,
    ri: Any,
    out: Any,
) -> None:
    """out[b] += weight * w . O(left row, right row) for every rating of the batch."""
    dim = len(width)
    for b in range(len(rows)):
        u, v = lu[rows[b]], ri[rows[b]]
        score = weight * 0
        if operation == MULTIPLY:
            for i in range(dim):
                score += w[i] * left[u, i] * right[v, i]
        elif operation == PLUS:
            for i in range(dim):
                score += w[i] * (left[u, i] + right[v, i])
        elif operation == MIN:
            for i in range(dim):
                score += w[i] * min(left[u, i], right[v, i])
        elif operation == MAX:
            for i in range(dim):
                score += w[i] * max(left[u, i], right[v, i])
        else:
            for i in range(dim):
                score += w[i] * left[u, i] + w[dim + i] * right[v, i]
        out[b] += weight * score


@_compiled
def _backward(
    width: Any,
    operation: int,
    w: Any,
    left: Any,
    right: Any,
    rows: Any,
    lu: Any,
    ri: Any,
    upstream: Any,
    gl: Any,
    gr: Any,
    gw: Any,
) -> None:
    """Add the gradients with respect to the transformed rows and w, from `upstream` = weight * dLoss/dScore."""
    dim = len(width)
    for b in range(len(rows)):
        u, v = lu[rows[b]], ri[rows[b]]
        e = upstream[b]
        if operation == MULTIPLY:
            for i in range(dim):
                x, y = left[u, i], right[v, i]
                gl[u, i] += e * w[i] * y
                gr[v, i] += e * w[i] * x
                gw[i] += e * x * y
        elif operation == PLUS:
            for i in range(dim):
                gl[u, i] += e * w[i]
                gr[v, i] += e * w[i]
                gw[i] += e * (left[u, i] + right[v, i])
        elif operation == CONCAT:
            for i in range(dim):
                gl[u, i] += e * w[i]
                gr[v, i] += e * w[dim + i]
                gw[i] += e * left[u, i]
                gw[dim + i] += e * right[v, i]
        else:
            for i in range(dim):
                x, y = left[u, i], right[v, i]
                if (x < y) == (operation == MIN):
                    gl[u, i] += e * w[i]
                    gw[i] += e * x
                else:
                    gr[v, i] += e * w[i]
                    gw[i] += e * y


@_compiled
def _touch(rows: Any, index: Any, count: Any, touched: Any) -> int:
    """Count each row's ratings in the batch and list the rows; returns how many there are."""
    n = 0
    for b in range(len(rows)):
        r = index[rows[b]]
        if count[r] == 0:
            touched[n] = r
            n += 1
        count[r] += 1
    return n


@_compiled
def _adagrad(value: Any, total: Any, gradient: Any, step: Any) -> Any:
    """One Adagrad step: the new sum of squares and value. `step` is (learning rate, epsilon)."""
    total = total + gradient * gradient
    return total, value - step[0] * gradient / (np.sqrt(total) + step[1])


@_compiled
def _prepare(s: State, tables: Any, rows: Any, index: Any, y: Any, vectors: Any, activation: int) -> Any:
    """Find the rows that a batch touches, transform them, clear their gradients; returns their numbers."""
    sizes = np.empty(2, np.int64)
    for mode in range(2):
        sizes[mode] = _touch(rows, index[mode], s.counts[mode], s.touched[mode])
        seen = s.touched[mode][: sizes[mode]]
        transform(seen, tables[mode], vectors[mode], activation, s.transformed[mode], s.slopes[mode], s.flat)
        for t in range(len(seen)):
            for i in range(len(s.width)):
                s.grads[mode][seen[t], i] = 0
    for b in range(len(rows)):
        s.error[b] = -y[rows[b]]
    return sizes


@_compiled
def _propagate(s: State, m: int, weight: Any, rows: Any, index: Any, size: Any) -> None:
    """Backward through operation m, from the residuals in s.error to s.grads and s.gw."""
    for b in range(len(rows)):
        s.upstream[b] = weight * (s.error[b] + s.error[b]) / size
    s.gw[:] = 0
    left, right = s.transformed
    gl, gr = s.grads
    _backward(s.width, s.codes[m], s.ws[m], left, right, rows, index[0], index[1], s.upstream, gl, gr, s.gw)


@_compiled
def _update_rows(s: State, mode: int, n: int, size: Any) -> None:
    """Adagrad on the touched rows of one mode: the loss through the network's slope, plus the penalty."""
    table, total, count, slopes, grads = s.tables[mode], s.sums[mode], s.counts[mode], s.slopes[mode], s.grads[mode]
    touched, shares = s.touched[mode], s.shares[mode]
    spread = size * 0
    if s.penalty == UNSQUARED and s.l2 > 0:
        for t in range(n):
            r = touched[t]
            for i in range(len(s.width)):
                spread += count[r] * table[r, i] * table[r, i]
        spread = np.sqrt(spread)
    for t in range(n):
        r = touched[t]
        shrink = s.l2
        if s.penalty == EXPECTED:
            shrink = s.l2 * count[r] * shares[r] / size
        elif s.penalty == UNSQUARED and s.l2 > 0:
            shrink = s.l2 * count[r] / spread
        for i in range(len(s.width)):
            gradient = grads[r, i] * slopes[r, i] + shrink * table[r, i]
            total[r, i], table[r, i] = _adagrad(table[r, i], total[r, i], gradient, s.step)
        count[r] = 0


@_compiled
def train_batch(s: State, rows: Any, index: Any, y: Any, alpha: Any, vectors: Any, activation: int) -> None:
    """One Adagrad step on a batch's objective; `alpha` weighs the operations, zero leaves one out."""
    size = y.dtype.type(len(rows))
    sizes = _prepare(s, s.tables, rows, index, y, vectors, activation)
    left, right = s.transformed
    for m in range(len(s.codes)):
        if alpha[m] != 0:
            add_scores(s.width, s.codes[m], s.ws[m], alpha[m], left, right, rows, index[0], index[1], s.error)
    for m in range(len(s.codes)):
        if alpha[m] != 0:
            _propagate(s, m, alpha[m], rows, index, size)
            norm = size * 0
            for i in range(s.ws.shape[1]):
                s.wsums[m, i], s.ws[m, i] = _adagrad(s.ws[m, i], s.wsums[m, i], s.gw[i], s.step)
                norm += s.ws[m, i] * s.ws[m, i]
            if norm > 1:
                s.ws[m] /= np.sqrt(norm)
    for mode in range(2):
        _update_rows(s, mode, sizes[mode], size)


@_compiled
def train_epoch(
    s: State, order: Any, batch: int, index: Any, y: Any, alpha: Any, vectors: Any, activation: int
) -> None:
    """One pass over the training part in the given order."""
    for start in range(0, len(order), batch):
        train_batch(s, order[start : start + batch], index, y, alpha, vectors, activation)


@_compiled
def architecture_gradients(
    s: State, tables: Any, rows: Any, index: Any, y: Any, alpha: Any, vectors: Any, activation: int
) -> Any:
    """Gradients of a batch's mean squared error at `tables`: by alpha, and by each network's weights."""
    size = y.dtype.type(len(rows))
    sizes = _prepare(s, tables, rows, index, y, vectors, activation)
    left, right = s.transformed
    scores = np.zeros((len(s.codes), len(rows)), y.dtype)
    for m in range(len(s.codes)):
        add_scores(s.width, s.codes[m], s.ws[m], size / size, left, right, rows, index[0], index[1], scores[m])
        if alpha[m] != 0:
            for b in range(len(rows)):
                s.error[b] += alpha[m] * scores[m, b]
    by_alpha = np.zeros(len(s.codes))
    for m in range(len(s.codes)):
        for b in range(len(rows)):
            by_alpha[m] += scores[m, b] * (s.error[b] + s.error[b]) / size
        if alpha[m] != 0:
            _propagate(s, m, alpha[m], rows, index, size)
    for mode in range(2):
        for t in range(sizes[mode]):
            s.counts[mode][s.touched[mode][t]] = 0
    by_left = _network_gradient(s.touched[0][: sizes[0]], tables[0], vectors[0], activation, s.grads[0], s.flat)
    by_right = _network_gradient(s.touched[1][: sizes[1]], tables[1], vectors[1], activation, s.grads[1], s.flat)
    return by_alpha, by_left, by_right
