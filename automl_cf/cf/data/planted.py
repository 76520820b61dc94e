"""Planted data: ratings made by a known interaction function, so that what a search finds can be judged.

The formula stands here a second time, in plain NumPy and apart from the models, so that either can be tested
against the other. Paper sections 3.2 and 3.4: rating = w . O(g(u; p), g(v; q), ...).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from automl_cf.cf.data.dataset import Dataset
from automl_cf.cf.ratings import MINIMUM_RATINGS, RatingTensor, content_hash
from automl_cf.errors import InputError, shortened, suggest
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.formula import CONCAT, Formula, Term, over, parse
from automl_cf.spaces.tensor import MODE_VECTORS

Floats = NDArray[np.float64]
Network = Sequence[float] | Literal["identity"]

OPERATIONS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "multiply": np.multiply,
    "plus": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "concat": lambda u, v: np.concatenate([u, v], axis=-1),
}

ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "sigmoid": lambda z: 0.5 * (1.0 + np.tanh(0.5 * z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
}

_STREAM = 0x91A47ED  # names the random streams of planted data: no other use of a seed draws from them
_DRAWS = 1000
_MOST_RATINGS, _MOST_NUMBERS, _MOST_UNITS = 50_000_000, 500_000_000, 1_000  # that a machine's memory may hold
_MOST = 2**63 - 1
_DENSE = 50  # NumPy draws in proportion to the draws only where there are so many times as many entries
_CHUNK = 1 << 18  # entries whose embeddings are gathered at once, to bound memory


@dataclass(frozen=True, eq=False)
class Truth:
    """What made the ratings of a planted data set.

    ``embeddings`` has for each mode the table (shape[mode], dim), ``w`` the weights of the prediction. The
    signal w . O(...) has ``mean`` and ``std`` over the observed entries and is standardised with them, so in
    the data's units it has mean 0 and standard deviation 1; to it Gaussian noise of standard deviation
    ``noise`` was added. A ``std`` of at least ||w|| means that a model with ||w|| <= 1 can make the
    standardised signal from these embeddings.
    """

    architecture: Architecture
    embeddings: tuple[Floats, ...]
    w: Floats
    mean: float
    std: float
    noise: float

    def noise_free(self, indices: ArrayLike) -> Floats:
        """Return the ratings (n,) without noise, in the data's units, at ``indices`` (n, order)."""
        raw = _signal(self.architecture, self.embeddings, self.w, np.asarray(indices))
        return (raw - self.mean) / self.std


def element_wise(x: Floats, network: ArrayLike, activation: str) -> Floats:
    """Apply to each element of ``x`` a network with one input, H hidden units and one output.

    g(x) = sum_h a_h act(w_h x + b_h) + c, where ``network`` (3H + 1,) is [w_1..w_H, b_1..b_H, a_1..a_H, c].
    Its numbers may themselves be arrays, (3H + 1, ...), that broadcast with ``x``: many networks at once.
    """
    flat = np.asarray(network, dtype=np.float64)
    w, b, a = np.split(flat[:-1], 3)
    act = ACTIVATIONS[activation]
    result: Floats = flat[-1] + np.zeros_like(x)
    for hidden in range(len(w)):
        result = result + a[hidden] * act(w[hidden] * x + b[hidden])
    return result


def plant(
    *,
    operation: str = "multiply",
    p: Network | None = None,
    q: Network | None = None,
    r: Network | None = None,
    w: Sequence[float] | None = None,
    users: int = 300,
    items: int = 200,
    more: Sequence[int] = (),
    dim: int = 4,
    density: float = 0.2,
    nonzeros: int | None = None,
    noise: float = 0.1,
    scale: float = 2.0,
    units: int = 5,
    activation: str = "sigmoid",
    norm_bound: float = 3.0,
    seed: int = 0,
) -> Dataset:
    """Planted data: ratings made by a known interaction function.

    ``operation`` is multiply, plus, min, max or concat, or for tensors a composition of them such as
    "plus(multiply(1,2),3)"; ``more`` has the sizes of their modes beyond users and items. ``p``, ``q`` and
    ``r`` are the element-wise networks of users, items and the third mode, see :func:`element_wise`: numbers,
    or "identity" for none, or drawn on the ball of radius ``norm_bound`` with ``units`` hidden units, as
    those of further modes are. ``w`` (dim,), for concat as many for each part in the order as written, is a
    random unit vector unless given. Embeddings are Gaussian with standard deviation ``scale``. A share
    ``density`` of the entries is observed, or as many as ``nonzeros`` says, with noise whose standard
    deviation is ``noise`` times the signal's. All is determined by ``seed``; what one option does leaves the
    other draws alone. Memory is in proportion to the entries observed. Raises ``InputError`` for options out
    of range and for a signal that is constant.
    """
    _check_integers(users=(users, 2), items=(items, 2), dim=(dim, 1), units=(units, 1), seed=(seed, 0))
    _check_number("scale", scale, lambda x: 0 < x < math.inf, "a positive number")
    _check_number("norm_bound", norm_bound, lambda x: 0 < x < math.inf, "a positive number")
    _check_number("density", density, lambda x: 0 < x <= 1, "a positive number of at most 1")
    _check_number("noise", noise, lambda x: 0 <= x < math.inf, "a number of at least 0")
    shape = (users, items, *_further_modes(more, r))
    _check_at_most("sum of the sizes times dim", sum(shape) * dim, _MOST_NUMBERS)
    _check_at_most("units", units, _MOST_UNITS)
    formula = _formula(operation, len(shape))
    _check_known("activation", activation, ACTIVATIONS)

    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([_STREAM, seed]).spawn(4 + len(shape))]
    for_users, for_items, for_networks, for_w, for_entries, for_noise, *for_more = streams

    embeddings = tuple(
        scale * rng.standard_normal((size, dim))
        for size, rng in zip(shape, (for_users, for_items, *for_more), strict=True)
    )
    networks = {}
    chosen = {"p": p, "q": q, "r": r}
    for name, rng in zip(MODE_VECTORS, for_networks.spawn(len(shape)), strict=False):
        given = chosen.get(name)
        if given is None:
            networks[name] = _draw_network(rng, units, activation, norm_bound, scale)
        elif not _is_identity(name, given):
            networks[name] = _given_network(name, given)
    name = formula.operation if len(shape) == 2 else str(formula)
    architecture = Architecture({"operation": name} | ({"activation": activation} | networks if networks else {}))
    weights = _weights(w, len(formula.parts) * dim if formula.operation == CONCAT else dim, for_w)
    if w is not None and formula.operation == CONCAT and "(" in operation:  # given in the order as written
        blocks = dict(zip(map(_canonical, parse(operation).parts), np.split(weights, len(formula.parts)), strict=True))
        weights = np.concatenate([blocks[part] for part in formula.parts])
    entries = math.prod(shape)
    if nonzeros is not None:
        _check_integers(nonzeros=(nonzeros, MINIMUM_RATINGS))
        if nonzeros > entries:
            raise InputError(
                f"planted data: nonzeros is {nonzeros}, but must be at most {entries}, the entries there are."
            )
    count = round(density * entries) if nonzeros is None else nonzeros
    if count < MINIMUM_RATINGS:
        raise InputError(
            f"planted data: density {density} of {' x '.join(map(str, shape))} entries makes {count} ratings, "
            f"but must make at least {MINIMUM_RATINGS}."
        )
    _check_at_most("number of ratings", count, _MOST_RATINGS)
    if entries < _DENSE * count:  # then all entries are numbered to draw some of them
        _check_at_most("number of entries", entries, _MOST_NUMBERS)
    observed = for_entries.choice(entries, size=count, replace=False, shuffle=False)
    indices = np.stack(np.unravel_index(np.sort(observed), shape), axis=1).astype(np.int64)

    raw = _signal(architecture, embeddings, weights, indices)
    if not raw.std() > 1e-9 * max(1.0, abs(raw.mean())):
        raise InputError("planted data: the signal is constant; choose other networks, other weights or more entries.")
    truth = Truth(architecture, embeddings, weights, float(raw.mean()), float(raw.std()), noise)
    values = truth.noise_free(indices) + noise * for_noise.standard_normal(len(indices))
    ratings = RatingTensor(indices, values.astype(np.float32), shape)
    ratings.check_usable("planted data")
    return Dataset("planted", ratings, content_hash(ratings), f"planted by {name} from seed {seed}", truth)


def _signal(architecture: Architecture, embeddings: tuple[Floats, ...], w: Floats, indices: NDArray[Any]) -> Floats:
    names = MODE_VECTORS[: len(embeddings)]
    tables = [_transform(architecture, name, table) for name, table in zip(names, embeddings, strict=True)]
    formula = _formula(str(architecture["operation"]), len(embeddings))
    signal = np.empty(len(indices))
    for start in range(0, len(indices), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        rows = [table[indices[chunk, mode]] for mode, table in enumerate(tables)]
        signal[chunk] = _value(formula, rows) @ w
    return signal


def _value(term: Term, rows: Sequence[Floats]) -> Floats:
    """A formula's value, (n, width), from the modes' rows, (n, dim) each."""
    if isinstance(term, int):
        return rows[term - 1]
    return reduce(OPERATIONS[term.operation], [_value(part, rows) for part in term.parts])


def _transform(architecture: Architecture, name: str, table: Floats) -> Floats:
    network: Any = architecture.get(name)
    return table if network is None else element_wise(table, network, str(architecture["activation"]))


def _is_identity(name: str, given: Network) -> bool:
    if isinstance(given, str):
        _check_known(name, given, ("identity",))
    return isinstance(given, str)


def _given_network(name: str, given: Network) -> Floats:
    network = _numbers(name, given)
    if len(network) < 4 or len(network) % 3 != 1:
        raise InputError(f"planted data: {name} has {len(network)} numbers, but must have 3 times the units plus 1.")
    return network


def _draw_network(rng: np.random.Generator, units: int, activation: str, norm_bound: float, scale: float) -> Floats:
    """Return, of many random networks of norm ``norm_bound``, the most telling one: (3 units + 1,).

    Most of them are nearly constant around a large mean, and then every operation does about what plus does.
    So the one is taken whose output, over Gaussian embeddings, has the most standard deviation beyond the
    distance of its mean from 0.
    """
    draws = rng.standard_normal((_DRAWS, 3 * units + 1))
    draws *= norm_bound / np.linalg.norm(draws, axis=1, keepdims=True)
    nodes = np.linspace(-4.0, 4.0, 33)
    density = np.exp(-0.5 * nodes**2)
    density /= density.sum()
    outputs = element_wise(scale * nodes, draws.T[:, :, None], activation)
    mean = outputs @ density
    std = np.sqrt((outputs - mean[:, None]) ** 2 @ density)
    best: Floats = draws[np.argmax(std - abs(mean))]
    return best


def _weights(given: Sequence[float] | None, size: int, rng: np.random.Generator) -> Floats:
    if given is None:
        drawn = rng.standard_normal(size)
        return drawn / np.linalg.norm(drawn)
    weights = _numbers("w", given)
    if len(weights) != size:
        raise InputError(f"planted data: w has {len(weights)} numbers, but must have {size}.")
    return weights


def _numbers(name: str, given: Any) -> Floats:
    try:
        numbers = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array(np.nan)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise InputError(f"planted data: {name} is {shortened(given)}, but must be a list of finite numbers.")
    return numbers


def _canonical(term: Term) -> Term:
    return term.canonical() if isinstance(term, Formula) else term


def _further_modes(more: Any, r: Network | None) -> tuple[int, ...]:
    sizes = tuple(more) if isinstance(more, list | tuple) else (more,)
    most = len(MODE_VECTORS) - 2
    if len(sizes) > most:
        raise InputError(f"planted data: more has {len(sizes)} numbers, but must have at most {most}.")
    for size in sizes:
        _check_integers(more=(size, 2))
    if r is not None and not sizes:
        raise InputError("planted data: r is the network of a third mode, but more, its size, is missing.")
    return sizes


def _formula(operation: str, order: int) -> Formula:
    if not isinstance(operation, str) or "(" not in operation:
        _check_known("operation", operation, OPERATIONS)
        return over(operation, order)
    formula = parse(operation).canonical()
    for part in (formula, *formula.inner()):
        _check_known("operation", part.operation, OPERATIONS)
    if len(formula.modes) != order:
        raise InputError(
            f"planted data: operation '{operation}' is of {len(formula.modes)} modes, but there are {order}; "
            "more has the sizes of those beyond users and items."
        )
    return formula


def _check_integers(**options: tuple[Any, int]) -> None:
    for name, (value, least) in options.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"planted data: {name} is {shortened(value)}, but must be an integer of at least {least}.")
        _check_at_most(name, value, _MOST)


def _check_at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise InputError(f"planted data: {name} is {shortened(value)}, but must be at most {most}.")


def _check_number(name: str, value: Any, right: Callable[[float], bool], wish: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value > _MOST or not right(value):
        raise InputError(f"planted data: {name} is {shortened(value)}, but must be {wish}.")


def _check_known(name: str, value: Any, known: Iterable[str]) -> None:
    known = list(known)
    if value not in known:
        near = suggest(value, known) if isinstance(value, str) else ""
        raise InputError(f"planted data: {name} is {shortened(value)}, but must be one of {', '.join(known)}.{near}")
