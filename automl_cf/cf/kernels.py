"""The fused CPU engine's kernels (Numba): one batch of equation (5) or of Algorithm 2, without autograd.

They compute what the reference engine computes, operation by operation the same formulas, which tests compare.

An operation of `order` modes is a program of order - 1 *steps*, each of which joins two operands: the modes, and the
results of the steps before. A matrix needs one step; plus(multiply(1,2),3) has the steps (multiply, 0, 1), whose
result is operand 3, and (plus, 3, 2). The last step is never stored, but multiplied by w at once. What that makes of
conv and outer is a bilinear form: the sum over i and j of u_i v_j times one of the weights w (`_place`), so both are
computed as such.

What makes them fast: the rows that a batch touches are copied together (each gets a *slot*), transformed by the
element-wise networks once each, and written back once; a row is one SIMD value (rows.py) as long as `width`, a
tuple whose length is part of its type; indices are unsigned, since signed ones would be checked for counting from
the end.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from automl_cf.cf.rows import exp2, fma, load, maximum, minimum, rotated, sqrt, store, total, where_less, zero_like

MULTIPLY, PLUS, MIN, MAX, CONCAT, MINUS, CONV, OUTER = range(8)
CODES = {
    "multiply": MULTIPLY,
    "plus": PLUS,
    "min": MIN,
    "max": MAX,
    "concat": CONCAT,
    "minus": MINUS,
    "conv": CONV,
    "outer": OUTER,
}
SIGMOID, TANH, RELU = range(3)
ACTIVATION_CODES = {"sigmoid": SIGMOID, "tanh": TANH, "relu": RELU}
EXPECTED, TOUCHED, UNSQUARED = range(3)
PENALTY_CODES = {"expected": EXPECTED, "touched": TOUCHED, "unsquared": UNSQUARED}
BLOCK = 4096  # ratings predicted at once
LANES = (0,) * 16  # the networks go over the elements by so many
NO_SLOT = np.uint32(2**32 - 1)


class Mode(NamedTuple):
    """One mode (such as users or items) of a model, as the kernels take it.

    `table` (rows, dim) the embeddings, `sums` Adagrad's sums of their squared gradients, `shares` N / n_row for
    the penalty, `cold` whether a row has no training rating. The rest is scratch memory: `slots` by row (NO_SLOT
    between batches), `touched` the row and `counts` the ratings by slot; and, one vector of all slots' elements each,
    `x` the rows, `value` and `slope` what the network makes of them, `grads` the gradient with respect to the values.
    `value` and `grads` are parts of the state's, from its slot number `first`.
    """

    table: Any
    sums: Any
    shares: Any
    cold: Any
    slots: Any
    touched: Any
    counts: Any
    x: Any
    value: Any
    slope: Any
    grads: Any
    first: Any


class State(NamedTuple):
    """A model or supernet as the kernels take it.

    `width`: see above; `ws` one predictor per row (as wide as concat's, or as outer's where that is among them),
    `wsums` Adagrad's sums; `steps` their operations, (predictors, order - 1, 3): a step's code and its two operands;
    `step` Adagrad's learning rate and epsilon; `penalty` and `l2`.

    The rest is scratch memory. `value` and `grads`, one vector of all slots' elements each: those of the modes, and
    after them those of the results of steps, one for each rating; `places`, (operands, batch), the slots by rating of
    a batch. `error` are the residuals of a batch, `gw` is a predictor's gradient.
    """

    width: Any
    modes: Any
    ws: Any
    wsums: Any
    steps: Any
    step: Any
    penalty: Any
    l2: Any
    value: Any
    grads: Any
    places: Any
    error: Any
    gw: Any


def whole_lanes(elements: int) -> int:
    """A number of elements rounded up to whole LANES."""
    return -(-elements // len(LANES)) * len(LANES)


# No fastmath: strict IEEE arithmetic gives the same bits however a kernel is compiled, inlined or cached.
_compiled = njit(cache=True, nogil=True, error_model="numpy")
# A part of kernels, never called from Python: compiled with them, without what a call from outside needs.
_part = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_part
def _scale(activation: int) -> float:
    """What the argument of `_activate` is multiplied by beforehand, so that it needs a power of two only."""
    if activation == SIGMOID:
        return -1 / np.log(2)
    return -2 / np.log(2) if activation == TANH else 1.0


@_part
def _activate(t: Any, activation: int) -> Any:
    """The activation of the vector t / _scale(activation)."""
    if activation == SIGMOID:
        return 1.0 / (exp2(t) + 1.0)
    if activation == TANH:
        return 2.0 / (exp2(t) + 1.0) - 1.0
    return where_less(t, 0.0, 0.0, t)  # NaN stays NaN


@_part
def _slope(value: Any, activation: int) -> Any:
    """The activation's derivative, from its value."""
    if activation == SIGMOID:
        return value - value * value
    if activation == TANH:
        return 1.0 - value * value
    return where_less(0.0, value, 1.0, 0.0)


@_compiled
def transform(x: Any, n: int, vector: Any, activation: int, value: Any, slope: Any) -> None:
    """g(x; vector) and its derivative, for the first n elements; n is rounded up to whole LANES."""
    units, scale = (len(vector) - 1) // 3, vector.dtype.type(_scale(activation))
    for j in range(0, n, len(LANES)):
        z = load(x, j, LANES)
        g, derivative = zero_like(z) + vector[3 * units], zero_like(z)
        for h in range(units):
            w, a = vector[h], vector[2 * units + h]
            s = _activate(fma(z, w * scale, vector[units + h] * scale), activation)
            g = fma(s, a, g)
            derivative = fma(_slope(s, activation), a * w, derivative)
        store(value, j, g)
        store(slope, j, derivative)


@_part
def _network_gradient(mode: Mode, elements: int, vector: Any, activation: int) -> Any:
    """The gradient with respect to a mode's network, from that with respect to its values."""
    units, scale = (len(vector) - 1) // 3, vector.dtype.type(_scale(activation))
    gradient = np.zeros(len(vector))
    if len(vector) == 0:
        return gradient
    x, grads = mode.x, mode.grads
    for j in range(elements, elements + len(LANES)):
        grads[j] = 0
    zero = zero_like(load(x, 0, LANES))
    for h in range(units):
        w, b, a = vector[h], vector[units + h], vector[2 * units + h]
        gw, gb, ga = zero, zero, zero
        for j in range(0, elements, len(LANES)):
            z, up = load(x, j, LANES), load(grads, j, LANES)
            activated = _activate(fma(z, w * scale, b * scale), activation)
            inner = up * _slope(activated, activation)
            gw, gb, ga = fma(inner, z, gw), gb + inner, fma(up, activated, ga)
        gradient[h], gradient[units + h], gradient[2 * units + h] = a * total(gw), a * total(gb), total(ga)
    for j in range(0, elements, len(LANES)):
        gradient[3 * units] += total(load(grads, j, LANES))
    return gradient


@_part
def _place(dim: int, operation: int, i: int, j: int) -> int:
    """Where w has what the product of element i of the one row and element j of the other is multiplied by."""
    if operation == OUTER:
        return i * dim + j
    return i + j if i + j < dim else i + j - dim


@_part
def _matrix(dim: int, operation: int, w: Any) -> Any:
    """w as the matrix of a bilinear form, and its transpose: a vector of all their elements each."""
    matrix, transposed = np.empty(dim * dim, w.dtype), np.empty(dim * dim, w.dtype)
    for i in range(dim):
        for j in range(dim):
            matrix[i * dim + j] = transposed[j * dim + i] = w[_place(dim, operation, i, j)]
    return matrix, transposed


@_part
def _add_bilinear_scores(
    width: Any, operation: int, w: Any, weight: Any, rows: Any, lu: Any, ri: Any, out: Any
) -> None:
    """`_add_scores` for conv and outer."""
    dim = len(width)
    matrix, _ = _matrix(dim, operation, w)
    for b in range(len(lu)):
        u, y = lu[b] * dim, load(rows, ri[b] * dim, width)
        by_y = zero_like(y)
        for i in range(dim):
            by_y = fma(load(matrix, i * dim, width), rows[np.uint64(u + i)], by_y)
        out[b] += weight * total(by_y * y)


@_part
def _bilinear_backward(
    width: Any, operation: int, w: Any, rows: Any, lu: Any, ri: Any, error: Any, scale: Any, grads: Any, gw: Any
) -> None:
    """`_backward` for conv and outer."""
    dim = len(width)
    matrix, transposed = _matrix(dim, operation, w)
    by_matrix = np.zeros_like(matrix)
    for b in range(len(lu)):
        u, v, e = lu[b] * dim, ri[b] * dim, scale * error[b]
        y = load(rows, v, width) * e
        by_x, by_y = zero_like(y), zero_like(y)
        for i in range(dim):
            x_i, y_i = rows[np.uint64(u + i)], rows[np.uint64(v + i)]
            by_x = fma(load(transposed, i * dim, width), y_i, by_x)
            by_y = fma(load(matrix, i * dim, width), x_i, by_y)
            store(by_matrix, i * dim, fma(y, x_i, load(by_matrix, i * dim, width)))
        store(grads, u, fma(by_x, e, load(grads, u, width)))
        store(grads, v, fma(by_y, e, load(grads, v, width)))
    gw[:] = 0
    for i in range(dim):
        for j in range(dim):
            gw[_place(dim, operation, i, j)] += by_matrix[i * dim + j]


@_part
def _add_scores(width: Any, operation: int, w: Any, weight: Any, rows: Any, lu: Any, ri: Any, out: Any) -> None:
    """out[b] += weight * w . O(row lu[b], row ri[b]) for every rating of the batch."""
    if operation >= CONV:
        _add_bilinear_scores(width, operation, w, weight, rows, lu, ri, out)
        return
    dim = len(width)
    first, second = load(w, 0, width), load(w, dim, width)
    for b in range(len(lu)):
        x, y = load(rows, lu[b] * dim, width), load(rows, ri[b] * dim, width)
        if operation == MULTIPLY:
            score = total(first * x * y)
        elif operation == PLUS:
            score = total(first * (x + y))
        elif operation == MIN:
            score = total(first * minimum(x, y))
        elif operation == MAX:
            score = total(first * maximum(x, y))
        elif operation == MINUS:
            score = total(first * (x - y))
        else:
            score = total(fma(first, x, second * y))
        out[b] += weight * score


@_part
def _backward(
    width: Any, operation: int, w: Any, rows: Any, lu: Any, ri: Any, error: Any, scale: Any, grads: Any, gw: Any
) -> None:
    """Add the gradients with respect to the rows, and write that of w; dLoss/dScore is scale * error."""
    if operation >= CONV:
        _bilinear_backward(width, operation, w, rows, lu, ri, error, scale, grads, gw)
        return
    dim = len(width)
    first, second = load(w, 0, width), load(w, dim, width)
    by_first, by_second = zero_like(first), zero_like(first)
    for b in range(len(lu)):
        u, v = lu[b] * dim, ri[b] * dim
        x, y = load(rows, u, width), load(rows, v, width)
        e = scale * error[b]
        by_x, by_y = first * e, first * e
        if operation == MULTIPLY:
            by_x, by_y, by_first = by_x * y, by_y * x, fma(x * y, e, by_first)
        elif operation == PLUS:
            by_first = fma(x + y, e, by_first)
        elif operation == MINUS:
            by_y, by_first = first * -e, fma(x - y, e, by_first)
        elif operation == CONCAT:
            by_y, by_first, by_second = second * e, fma(x, e, by_first), fma(y, e, by_second)
        elif operation == MIN:
            by_first = fma(minimum(x, y), e, by_first)
            by_x, by_y = where_less(x, y, by_x, 0.0), where_less(x, y, 0.0, by_y)
        else:
            by_first = fma(maximum(x, y), e, by_first)
            by_x, by_y = where_less(x, y, 0.0, by_x), where_less(x, y, by_y, 0.0)
        store(grads, u, load(grads, u, width) + by_x)
        store(grads, v, load(grads, v, width) + by_y)
    store(gw, 0, by_first)
    store(gw, dim, by_second)


@_part
def _convolve(width: Any, rows: Any, lu: Any, ri: Any, results: Any) -> None:
    """`_join` for conv: the sum over l of u_l times v turned by l places."""
    dim = len(width)
    for b in range(len(lu)):
        u, turned = lu[b] * dim, load(rows, ri[b] * dim, width)
        joined = zero_like(turned)
        for l in range(dim):  # noqa: E741
            joined = fma(turned, rows[np.uint64(u + l)], joined)
            turned = rotated(turned)
        store(rows, results[b] * dim, joined)


@_part
def _deconvolve(width: Any, rows: Any, lu: Any, ri: Any, results: Any, grads: Any) -> None:
    """`_part_again` for conv: a gradient is the sum over l of the other's l-th element times g turned back by l."""
    dim = len(width)
    for b in range(len(lu)):
        u, v, turned = lu[b] * dim, ri[b] * dim, rotated(load(grads, results[b] * dim, width))
        by_x, by_y = zero_like(turned), zero_like(turned)
        for l in range(dim - 1, -1, -1):  # noqa: E741 # once around: to turn by one is to turn back by dim - 1
            by_x = fma(turned, rows[np.uint64(v + l)], by_x)
            by_y = fma(turned, rows[np.uint64(u + l)], by_y)
            turned = rotated(turned)
        store(grads, u, load(grads, u, width) + by_x)
        store(grads, v, load(grads, v, width) + by_y)


@_part
def _join(width: Any, operation: int, rows: Any, lu: Any, ri: Any, results: Any) -> None:
    """Row results[b] becomes O(row lu[b], row ri[b]), for every rating of the batch."""
    if operation == CONV:
        _convolve(width, rows, lu, ri, results)
        return
    dim = len(width)
    for b in range(len(lu)):
        x, y = load(rows, lu[b] * dim, width), load(rows, ri[b] * dim, width)
        if operation == MULTIPLY:
            joined = x * y
        elif operation == PLUS:
            joined = x + y
        elif operation == MIN:
            joined = minimum(x, y)
        elif operation == MINUS:
            joined = x - y
        else:
            joined = maximum(x, y)
        store(rows, results[b] * dim, joined)


@_part
def _part_again(width: Any, operation: int, rows: Any, lu: Any, ri: Any, results: Any, grads: Any) -> None:
    """Add the gradients with respect to the rows that `_join` joined, from those with respect to the results."""
    if operation == CONV:
        _deconvolve(width, rows, lu, ri, results, grads)
        return
    dim = len(width)
    for b in range(len(lu)):
        u, v = lu[b] * dim, ri[b] * dim
        x, y, g = load(rows, u, width), load(rows, v, width), load(grads, results[b] * dim, width)
        by_x, by_y = g, g
        if operation == MULTIPLY:
            by_x, by_y = g * y, g * x
        elif operation == MIN:
            by_x, by_y = where_less(x, y, g, 0.0), where_less(x, y, 0.0, g)
        elif operation == MAX:
            by_x, by_y = where_less(x, y, 0.0, g), where_less(x, y, g, 0.0)
        elif operation == MINUS:
            by_y = g * -1.0
        store(grads, u, load(grads, u, width) + by_x)
        store(grads, v, load(grads, v, width) + by_y)


@_part
def _gather(s: State, rows: Any, indices: Any, y: Any) -> None:
    """Copy a batch's ratings together."""
    first, second, error = s.places[0], s.places[1], s.error
    for b in range(len(rows)):
        r = rows[b]
        first[b], second[b] = indices[r, 0], indices[r, 1]
        error[b] = -y[r]
    for mode in range(2, len(s.modes)):
        own = s.places[mode]
        for b in range(len(rows)):
            own[b] = indices[rows[b], mode]


@_part
def _touch(mode: Mode, places: Any, size: int) -> int:
    """Give each row of a batch a slot, and put it in the row's place; returns how many there are."""
    slots, touched, counts, first = mode.slots, mode.touched, mode.counts, np.uint32(mode.first)
    n = 0
    for t in range(min(size, len(slots))):
        counts[t] = 0
    for b in range(size):  # without a branch: whether a row is new is a coin toss
        row = places[b]
        new = slots[row] == NO_SLOT
        slot = np.uint32(n) if new else slots[row]
        slots[row], places[b], touched[n] = slot, first + slot, row
        n += new
        counts[slot] += 1
    return n


@_compiled
def fill_cold_rows(width: Any, mode: Mode) -> None:
    """Put the mean of the warm rows into the cold ones, which nothing else ever reads."""
    dim, warm = len(width), 0
    mean = zero_like(load(mode.table, 0, width))
    for r in range(len(mode.cold)):
        if not mode.cold[r]:
            mean = mean + load(mode.table, r * dim, width)
            warm += 1
    mean = mean / warm
    for r in range(len(mode.cold)):
        if mode.cold[r]:
            store(mode.table, r * dim, mean)


@_part
def _rows(mode: Mode, transformed: bool) -> Any:
    """Where the touched rows are copied to: what a network reads, or without one what the operations do."""
    return mode.x if transformed else mode.value


@_part
def _prepare(width: Any, mode: Mode, places: Any, size: int, vector: Any, activation: int) -> int:
    """Copy a mode's touched rows into slots, transform them, clear their gradients; returns their number."""
    n = _touch(mode, places, size)
    for t in range(n):  # in a batch of the validation part
        if mode.cold[mode.touched[t]]:
            fill_cold_rows(width, mode)
            break
    dim, zero, rows = len(width), zero_like(load(mode.table, 0, width)), _rows(mode, len(vector) > 0)
    for t in range(n):
        store(rows, t * dim, load(mode.table, mode.touched[t] * dim, width))
        store(mode.grads, t * dim, zero)
        mode.slots[mode.touched[t]] = NO_SLOT
    if len(vector) > 0:
        transform(mode.x, n * dim, vector, activation, mode.value, mode.slope)
    return n


@_part
def _prepare_all(s: State, touched: Any, size: int, vectors: Any, activation: int) -> None:
    """`_prepare` every mode; `touched` gets the numbers of rows."""
    # A tuple's index that is known while compiling costs nothing; any other copies the mode, counting references.
    touched[0] = _prepare(s.width, s.modes[0], s.places[0], size, vectors[0], activation)
    touched[1] = _prepare(s.width, s.modes[1], s.places[1], size, vectors[1], activation)
    for m in range(2, len(s.modes)):
        touched[m] = _prepare(s.width, s.modes[m], s.places[m], size, vectors[m], activation)


@_part
def _step(steps: Any, m: int, t: int) -> Any:
    """The code and the operands of a step."""
    return steps[m, t, 0], steps[m, t, 1], steps[m, t, 2]


@_part
def _join_all(s: State, m: int, size: int) -> None:
    """All steps of operation m but the last."""
    for t in range(len(s.modes) - 2):  # a constant of the compiled code: for matrices there is no loop
        code, left, right = _step(s.steps, m, t)
        results = s.places[len(s.modes) + t]
        _join(s.width, code, s.value, s.places[left][:size], s.places[right][:size], results)


@_part
def _add_scores_of(s: State, m: int, weight: Any, size: int, out: Any) -> None:
    """out[b] += weight * the score by operation m for every rating of the batch."""
    _join_all(s, m, size)
    code, left, right = _step(s.steps, m, len(s.modes) - 2)
    _add_scores(s.width, code, s.ws[m], weight, s.value, s.places[left][:size], s.places[right][:size], out)


@_part
def _propagate(s: State, m: int, weight: Any, size: int) -> None:
    """Backward through operation m, from the residuals in s.error to the slots' grads and s.gw."""
    inner, dim, zero = len(s.modes) - 2, len(s.width), zero_like(load(s.gw, 0, s.width))
    _join_all(s, m, size)  # another operation may have written over the results
    for t in range(inner):
        results = s.places[len(s.modes) + t]
        for b in range(size):
            store(s.grads, results[b] * dim, zero)
    code, left, right = _step(s.steps, m, inner)
    lu, ri, scale = s.places[left][:size], s.places[right][:size], (weight + weight) / s.error.dtype.type(size)
    _backward(s.width, code, s.ws[m], s.value, lu, ri, s.error, scale, s.grads, s.gw)
    for t in range(inner - 1, -1, -1):
        code, left, right = _step(s.steps, m, t)
        results = s.places[len(s.modes) + t]
        _part_again(s.width, code, s.value, s.places[left][:size], s.places[right][:size], results, s.grads)


@_part
def _update_rows(s: State, mode: Mode, n: int, size: Any, transformed: bool) -> None:
    """Adagrad on the touched rows of one mode: the loss through the network's slope, plus the penalty."""
    width, dim, rows = s.width, len(s.width), _rows(mode, transformed)
    spread = size * 0
    if s.penalty == UNSQUARED and s.l2 > 0:
        for t in range(n):
            row = load(rows, t * dim, width)
            spread += mode.counts[t] * total(row * row)
        spread = np.sqrt(spread)
    for t in range(n):
        start = mode.touched[t] * dim
        shrink = s.l2
        if s.penalty == EXPECTED:
            shrink = s.l2 * mode.counts[t] * mode.shares[mode.touched[t]] / size
        elif s.penalty == UNSQUARED and s.l2 > 0:
            shrink = s.l2 * mode.counts[t] / spread
        row, gradient = load(rows, t * dim, width), load(mode.grads, t * dim, width)
        if transformed:
            gradient = gradient * load(mode.slope, t * dim, width)
        gradient = fma(row, shrink, gradient)
        squares = fma(gradient, gradient, load(mode.sums, start, width))
        store(mode.sums, start, squares)
        store(mode.table, start, row - gradient * s.step[0] / (sqrt(squares) + s.step[1]))


@_part
def _update_predictor(s: State, m: int) -> None:
    """Adagrad on predictor m, and the nearest w with norm at most 1 (equation 5)."""
    dim, norm = len(s.width), s.step[0] * 0
    length = dim * dim if s.steps[m, len(s.modes) - 2, 0] == OUTER else 2 * dim
    for i in range(length):
        g = s.gw[i]
        s.wsums[m, i] += g * g
        s.ws[m, i] -= s.step[0] * g / (np.sqrt(s.wsums[m, i]) + s.step[1])
        norm += s.ws[m, i] * s.ws[m, i]
    if norm > 1:
        for i in range(length):
            s.ws[m, i] /= np.sqrt(norm)


@_compiled
def train_batch(s: State, rows: Any, indices: Any, y: Any, alpha: Any, vectors: Any, activation: int) -> None:
    """One Adagrad step on a batch's objective; `alpha` weighs the operations, zero leaves one out."""
    size, touched = len(rows), np.empty(len(s.modes), np.int64)
    _gather(s, rows, indices, y)
    _prepare_all(s, touched, size, vectors, activation)
    for m in range(len(s.steps)):
        if alpha[m] != 0:
            _add_scores_of(s, m, alpha[m], size, s.error)
    for m in range(len(s.steps)):
        if alpha[m] != 0:
            _propagate(s, m, alpha[m], size)
            _update_predictor(s, m)
    _update_rows(s, s.modes[0], touched[0], y.dtype.type(size), len(vectors[0]) > 0)
    _update_rows(s, s.modes[1], touched[1], y.dtype.type(size), len(vectors[1]) > 0)
    for mode in range(2, len(s.modes)):
        _update_rows(s, s.modes[mode], touched[mode], y.dtype.type(size), len(vectors[mode]) > 0)


@_compiled
def train_epoch(
    s: State, order: Any, batch: int, indices: Any, y: Any, alpha: Any, vectors: Any, activation: int
) -> None:
    """One pass over the training part in the given order."""
    for start in range(0, len(order), batch):
        train_batch(s, order[start : start + batch], indices, y, alpha, vectors, activation)


@_compiled
def architecture_gradients(
    s: State, rows: Any, indices: Any, y: Any, alpha: Any, vectors: Any, activation: int, by_networks: Any
) -> Any:
    """Gradients of a batch's mean squared error: by alpha, returned, and by the networks' weights.

    The latter are written into `by_networks`, (order, 3H + 1), a row for each network.
    """
    size, one, touched = len(rows), y.dtype.type(1), np.empty(len(s.modes), np.int64)
    _gather(s, rows, indices, y)
    _prepare_all(s, touched, size, vectors, activation)
    scores = np.zeros((len(s.steps), size), y.dtype)
    for m in range(len(s.steps)):
        _add_scores_of(s, m, one, size, scores[m])
        if alpha[m] != 0:
            for b in range(size):
                s.error[b] += alpha[m] * scores[m, b]
    by_alpha = np.zeros(len(s.steps))
    for m in range(len(s.steps)):
        for b in range(size):
            by_alpha[m] += scores[m, b] * (s.error[b] + s.error[b]) / size
        if alpha[m] != 0:
            _propagate(s, m, alpha[m], size)
    for mode in range(len(s.modes)):
        gradient = _network_gradient(s.modes[mode], touched[mode] * len(s.width), vectors[mode], activation)
        by_networks[mode, : len(gradient)] = gradient
    return by_alpha


@_compiled
def predict(width: Any, rows: Any, firsts: Any, ws: Any, alpha: Any, steps: Any, indices: Any) -> Any:
    """The scores (n,) of `indices` (n, order), in the transformed tables one after the other in the vector `rows`.

    `firsts` are the numbers of each table's first row and, last, of the first of (order - 2) BLOCK rows for results.
    """
    out = np.zeros(len(indices), ws.dtype)
    order = indices.shape[1]
    places = np.empty((2 * order - 2, BLOCK), np.uint32)
    for t in range(order - 2):
        for b in range(BLOCK):
            places[order + t, b] = firsts[order] + t * BLOCK + b
    for start in range(0, len(indices), BLOCK):
        size = min(BLOCK, len(indices) - start)
        for mode in range(order):
            first, own = np.uint32(firsts[mode]), places[mode]
            for b in range(size):
                own[b] = first + indices[start + b, mode]
        for m in range(len(steps)):
            if alpha[m] != 0:
                for t in range(order - 1):
                    code, left, right = _step(steps, m, t)
                    lu, ri = places[left][:size], places[right][:size]
                    if t < order - 2:
                        _join(width, code, rows, lu, ri, places[order + t])
                    else:
                        _add_scores(width, code, ws[m], alpha[m], rows, lu, ri, out[start : start + size])
    return out
