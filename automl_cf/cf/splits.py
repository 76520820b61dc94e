"""Random splits into training, validation and test part, and what of them a search may see."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from automl_cf.cf.ratings import IntArray, RatingTensor, content_hash
from automl_cf.errors import InputError

_STREAM = 0x5B117  # names the random stream of the splits: no other use of a seed draws from it


@dataclass(frozen=True, eq=False)
class SearchData:
    """What a searching process holds: training and validation part, standardised; nothing of the test part.

    Values are (rating - ``mean``) / ``std``, with both of the training part, in the data's units. ``hash`` is
    the split's.
    """

    train: RatingTensor
    valid: RatingTensor
    mean: float
    std: float
    hash: str

    def in_data_units(self, prediction: ArrayLike) -> NDArray[np.float64]:
        """Return a prediction of standardised ratings in the data's units: float64, of the same shape."""
        return np.asarray(prediction, dtype=np.float64) * self.std + self.mean


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a data set, in the data's units.

    ``mean`` and ``std`` are the training part's; ``value_std`` is the standard deviation of all ratings and
    serves scoring only. ``hash`` is the SHA-256 of the contents of the three parts, whatever their order.
    ``test`` is None where a process must not have it.
    """

    train: RatingTensor
    valid: RatingTensor
    test: RatingTensor | None
    mean: float
    std: float
    value_std: float
    seed: int
    hash: str

    def for_search(self) -> SearchData:
        """Return what a search may see of this split."""
        train, valid = (self._standardised(part) for part in (self.train, self.valid))
        return SearchData(train, valid, self.mean, self.std, self.hash)

    def _standardised(self, part: RatingTensor) -> RatingTensor:
        values = (part.values.astype(np.float64) - self.mean) / self.std
        return RatingTensor(part.indices, values.astype(np.float32), part.shape, part.labels)


def random_split(
    ratings: RatingTensor,
    seed: int,
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25),
    vary: bool = True,
) -> Split:
    """Split ``ratings`` at random into training, validation and test part of the given ``fractions``.

    With ``vary`` false every seed gets the split of seed 0. Raises ``InputError`` for ratings that cannot be
    used, for fractions that are not positive or do not sum to 1, and for parts that come out empty or
    constant.
    """
    if seed < 0:
        raise InputError(f"seed: {seed} must not be negative.")
    if len(fractions) != 3 or min(fractions) <= 0 or not math.isclose(sum(fractions), 1.0, abs_tol=1e-9):
        raise InputError(f"fractions: {tuple(fractions)} must be three positive numbers that sum to 1.")
    ratings.check_usable("ratings")
    order = np.random.default_rng(np.random.SeedSequence([_STREAM, seed if vary else 0])).permutation(len(ratings))
    cuts = np.rint(np.cumsum(fractions[:2]) * len(ratings)).astype(int)
    rows: list[IntArray] = np.split(order, cuts)
    if min(len(part) for part in rows) == 0:
        raise InputError(f"fractions: {tuple(fractions)} leave a part of the {len(ratings)} ratings empty.")
    train, valid, test = (ratings.take(part) for part in rows)
    mean, std = _mean_and_std(train)
    if std == 0:
        raise InputError(f"The training part of seed {seed} has only ratings of {mean}; it needs different ones.")
    _, value_std = _mean_and_std(ratings)
    return Split(train, valid, test, mean, std, value_std, seed, content_hash(train, valid, test))


def train_and_validation(ratings: RatingTensor, seed: int, fraction: float = 0.25) -> Split:
    """Split all of `ratings` into training and validation part, the latter being the given `fraction`; nothing to test.

    Raises ``InputError`` for ratings that cannot be used, a fraction that is not between 0 and 1, and parts that
    come out empty or constant.
    """
    if not 0 < fraction < 1:
        raise InputError(f"validation_fraction: {fraction} must lie between 0 and 1.")
    ratings.check_usable("ratings")
    order = np.random.default_rng(np.random.SeedSequence([_STREAM, seed])).permutation(len(ratings))
    cut = round((1 - fraction) * len(ratings))
    if not 0 < cut < len(ratings):
        raise InputError(f"validation_fraction: {fraction} leaves a part of the {len(ratings)} ratings empty.")
    train, valid = ratings.take(order[:cut]), ratings.take(order[cut:])
    mean, std = _mean_and_std(train)
    if std == 0:
        raise InputError(f"The training part of seed {seed} has only ratings of {mean}; it needs different ones.")
    _, value_std = _mean_and_std(ratings)
    return Split(train, valid, None, mean, std, value_std, seed, content_hash(train, valid))


def cold_mask(train: RatingTensor, part: RatingTensor) -> NDArray[np.bool_]:
    """Tell for each rating of ``part`` whether it is of a row, in any mode, that ``train`` lacks: (n,)."""
    cold = np.zeros(len(part), dtype=np.bool_)
    for mode in range(part.order):
        cold |= (train.counts(mode) == 0)[part.indices[:, mode]]
    return cold


def _mean_and_std(ratings: RatingTensor) -> tuple[float, float]:
    values = ratings.values.astype(np.float64)
    return float(values.mean()), float(values.std())
