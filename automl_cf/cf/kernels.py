"""The fused CPU engine's kernels (Numba): one batch of equation (5) or of Algorithm 2, without autograd.

They compute what the reference engine computes, operation by operation the same formulas, which tests compare.
Element-wise networks are evaluated once per row that a batch touches. Matrices only (order 2).

Three things make them fast. `width` is a tuple as long as the embedding dimension: a tuple's length is part of its
type, so every loop over the dimension is compiled for it. Indices are unsigned: signed ones would be checked for
counting from the end. The networks run over one long vector of all touched elements, with an exponential made of
multiplications only, so that the compiler vectorises them.
"""

from typing import Any

import numpy as np
from numba import njit

MULTIPLY, PLUS, MIN, MAX, CONCAT = range(5)
CODES = {"multiply": MULTIPLY, "plus": PLUS, "min": MIN, "max": MAX, "concat": CONCAT}
SIGMOID, TANH, RELU = range(3)
ACTIVATION_CODES = {"sigmoid": SIGMOID, "tanh": TANH, "relu": RELU}
EXPECTED, TOUCHED, UNSQUARED = range(3)
PENALTY_CODES = {"expected": EXPECTED, "touched": TOUCHED, "unsquared": UNSQUARED}

_compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"}, error_model="numpy")


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
def train_batch(
    width: Any,
    rows: Any,
    index: Any,
    y: Any,
    tables: Any,
    sums: Any,
    ws: Any,
    wsums: Any,
    alpha: Any,
    codes: Any,
    vectors: Any,
    activation: int,
    penalty: int,
    shares: Any,
    l2: Any,
    step: Any,
    scratch: Any,
) -> None:
    """One Adagrad step on a batch's objective. Pairs (index, tables, ...) are (users, items)."""
    transformed, slopes, grads, counts, touched, error, upstream, gw, flat = scratch
    n = len(rows)
    size = y.dtype.type(n)
    sizes = np.empty(2, np.int64)
    for mode in range(2):
        sizes[mode] = _touch(rows, index[mode], counts[mode], touched[mode])
        seen = touched[mode][: sizes[mode]]
        transform(seen, tables[mode], vectors[mode], activation, transformed[mode], slopes[mode], flat)
        for t in range(len(seen)):
            for i in range(len(width)):
                grads[mode][seen[t], i] = 0
    for b in range(n):
        error[b] = -y[rows[b]]
    for m in range(len(codes)):
        if alpha[m] != 0:
            add_scores(
                width,
                codes[m],
                ws[m],
                alpha[m],
                transformed[0],
                transformed[1],
                rows,
                index[0],
                index[1],
                error,
            )
    for m in range(len(codes)):
        if alpha[m] != 0:
            for b in range(n):
                upstream[b] = alpha[m] * (error[b] + error[b]) / size
            gw[:] = 0
            _backward(
                width,
                codes[m],
                ws[m],
                transformed[0],
                transformed[1],
                rows,
                index[0],
                index[1],
                upstream,
                grads[0],
                grads[1],
                gw,
            )
            norm = gw[0] * 0
            for i in range(ws.shape[1]):
                wsums[m, i], ws[m, i] = _adagrad(ws[m, i], wsums[m, i], gw[i], step)
                norm += ws[m, i] * ws[m, i]
            if norm > 1:
                ws[m] /= np.sqrt(norm)
    for mode in range(2):
        table, total = tables[mode], sums[mode]
        dim = len(width)
        spread = y.dtype.type(0)
        if penalty == UNSQUARED and l2 > 0:
            for t in range(sizes[mode]):
                r = touched[mode][t]
                for i in range(dim):
                    spread += counts[mode][r] * table[r, i] * table[r, i]
            spread = np.sqrt(spread)
        for t in range(sizes[mode]):
            r = touched[mode][t]
            shrink = l2
            if penalty == EXPECTED:
                shrink = l2 * y.dtype.type(counts[mode][r]) * shares[mode][r] / size
            elif penalty == UNSQUARED and l2 > 0:
                shrink = l2 * y.dtype.type(counts[mode][r]) / spread
            for i in range(dim):
                g = grads[mode][r, i] * slopes[mode][r, i] + shrink * table[r, i]
                total[r, i], table[r, i] = _adagrad(table[r, i], total[r, i], g, step)
            counts[mode][r] = 0


@_compiled
def train_epoch(
    width: Any,
    order: Any,
    batch: int,
    index: Any,
    y: Any,
    tables: Any,
    sums: Any,
    ws: Any,
    wsums: Any,
    alpha: Any,
    codes: Any,
    vectors: Any,
    activation: int,
    penalty: int,
    shares: Any,
    l2: Any,
    step: Any,
    scratch: Any,
) -> None:
    """One pass over the training part in the given order."""
    for start in range(0, len(order), batch):
        train_batch(
            width,
            order[start : start + batch],
            index,
            y,
            tables,
            sums,
            ws,
            wsums,
            alpha,
            codes,
            vectors,
            activation,
            penalty,
            shares,
            l2,
            step,
            scratch,
        )


@_compiled
def architecture_gradients(
    width: Any,
    rows: Any,
    index: Any,
    y: Any,
    tables: Any,
    ws: Any,
    alpha: Any,
    codes: Any,
    vectors: Any,
    activation: int,
    scratch: Any,
) -> Any:
    """Gradients of a batch's mean squared error: with respect to alpha, and to each network's weights."""
    transformed, slopes, grads, counts, touched, error, upstream, gw, flat = scratch
    n = len(rows)
    size = y.dtype.type(n)
    sizes = np.empty(2, np.int64)
    for mode in range(2):
        sizes[mode] = _touch(rows, index[mode], counts[mode], touched[mode])
        seen = touched[mode][: sizes[mode]]
        transform(seen, tables[mode], vectors[mode], activation, transformed[mode], slopes[mode], flat)
        for t in range(len(seen)):
            for i in range(len(width)):
                grads[mode][seen[t], i] = 0
    scores = np.zeros((len(codes), n), y.dtype)
    for b in range(n):
        error[b] = -y[rows[b]]
    one = y.dtype.type(1)
    for m in range(len(codes)):
        add_scores(width, codes[m], ws[m], one, transformed[0], transformed[1], rows, index[0], index[1], scores[m])
        if alpha[m] != 0:
            for b in range(n):
                error[b] += alpha[m] * scores[m, b]
    by_alpha = np.zeros(len(codes), np.float64)
    for m in range(len(codes)):
        for b in range(n):
            by_alpha[m] += scores[m, b] * (error[b] + error[b]) / size
        if alpha[m] != 0:
            for b in range(n):
                upstream[b] = alpha[m] * (error[b] + error[b]) / size
            _backward(
                width,
                codes[m],
                ws[m],
                transformed[0],
                transformed[1],
                rows,
                index[0],
                index[1],
                upstream,
                grads[0],
                grads[1],
                gw,
            )
    for mode in range(2):
        for t in range(sizes[mode]):
            counts[mode][touched[mode][t]] = 0
    by_left = _network_gradient(touched[0][: sizes[0]], tables[0], vectors[0], activation, grads[0], flat)
    by_right = _network_gradient(touched[1][: sizes[1]], tables[1], vectors[1], activation, grads[1], flat)
    return by_alpha, by_left, by_right
