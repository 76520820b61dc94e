"""For the tests of training and search: the paper's formulas in plain NumPy, problems of a few ratings."""

from functools import cache

import numpy as np

from automl_cf.cf.data import plant
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData, Split, random_split
from automl_cf.cf.training import Training

OPERATIONS = ("multiply", "plus", "min", "max", "concat")
ACTIVATIONS = ("sigmoid", "tanh", "relu")
ENGINES = ("reference", "fused")

_ACTIVATION = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: z * (z > 0),
}


def network(x, vector, activation):
    """g(x) = sum_h a_h act(w_h x + b_h) + c, elementwise, for the vector [w, b, a, c]."""
    units = (len(vector) - 1) // 3
    total = np.full(np.shape(x), vector[3 * units])
    for h in range(units):
        total += vector[2 * units + h] * _ACTIVATION[activation](vector[h] * x + vector[units + h])
    return total


def combine(operation, first, second, *more):
    """The operation of two modes' vectors, or of more from left to right."""
    both = {
        "multiply": lambda: first * second,
        "plus": lambda: first + second,
        "min": lambda: np.where(first < second, first, second),
        "max": lambda: np.where(first < second, second, first),
        "concat": lambda: np.concatenate([first, second], axis=1),
    }[operation]()
    return combine(operation, both, *more) if more else both


def predict(tables, predictors, networks, activation, indices):
    """The sum of w . O(g(u; p), g(v; q), ...) over the operations O and their w in `predictors`, (n,)."""
    rows = [
        table[indices[:, mode]] if vector is None else network(table[indices[:, mode]], vector, activation)
        for mode, (table, vector) in enumerate(zip(tables, networks, strict=True))
    ]
    return sum(combine(operation, *rows) @ w for operation, w in predictors.items())


def penalty(kind, tables, indices, train_indices, l2):
    """A batch's penalty by the definitions in `Training`, one rating at a time."""
    if kind == "expected":
        total = 0.0
        for mode, table in enumerate(tables):
            for row in indices[:, mode]:
                ratings = np.sum(train_indices[:, mode] == row)
                total += len(train_indices) / ratings * np.sum(table[row] ** 2)
        return l2 / 2 * total / len(indices)
    if kind == "touched":
        return (
            l2 / 2 * sum(np.sum(table[row] ** 2) for mode, table in enumerate(tables) for row in set(indices[:, mode]))
        )
    return l2 * sum(np.linalg.norm(table[indices[:, mode]]) for mode, table in enumerate(tables))


def numeric_gradient(function, arrays, step=1e-4):
    """The gradient of a function of no arguments by differences of fourth order in `arrays`' elements."""
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            value, differences = array[at], 0.0
            for reach, weight in ((1, 8), (2, -1)):
                for side in (1, -1):
                    array[at] = value + side * reach * step
                    differences += side * weight * function()
            array[at] = value
            gradient[at] = differences / (12 * step)
        gradients.append(gradient)
    return gradients


def random_networks(rng, order, activation, units=2):
    """A network of norm about 2 for each mode, or the identity where there is no activation."""
    if activation is None:
        return [None] * order
    return [2 * z / np.linalg.norm(z) for z in rng.normal(size=(order, 3 * units + 1))]


def named(networks):
    """The networks as an architecture has them."""
    return {name: tuple(vector.tolist()) for name, vector in zip("pqr", networks, strict=False) if vector is not None}


def random_data(shape=(6, 5), train=20, valid=9, seed=0):
    """Standardised noise; the last row of each mode is cold, and the first validation rating is all cold."""
    rng = np.random.default_rng(seed)

    def part(n, sizes):
        indices = np.stack([rng.integers(0, size, n) for size in sizes], axis=1)
        return RatingTensor(indices, rng.normal(size=n).astype(np.float32), shape)

    warm = part(train, [size - 1 for size in shape])
    indices = np.concatenate([[[size - 1 for size in shape]], part(valid - 1, shape).indices])
    return SearchData(warm, RatingTensor(indices, rng.normal(size=valid), shape), 0.0, 1.0, "random")


@cache
def planted_split(**options) -> Split:
    """A split of a few planted ratings."""
    small = {"users": 24, "items": 16, "dim": 2, "density": 0.5, "noise": 0.3}
    return random_split(plant(**(small | options)).ratings, seed=0)


def tiny_task(data=None, dim=2, seed=0, **training) -> TrainingTask:
    """How models of a few planted ratings, or of `data`, are trained."""
    few = {"engine": "reference", "batch_size": 32, "max_epochs": 8, "search_l2": 1e-3}
    return TrainingTask(
        planted_split().for_search() if data is None else data,
        Training(**(few | training)),
        dim,
        np.random.SeedSequence(seed),
    )
