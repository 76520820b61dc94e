"""How far predictions are from ratings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import cold_mask
from automl_cf.errors import InputError


@dataclass(frozen=True)
class Scores:
    """Root mean squared errors of one part of a split, over all its rows and over its warm ones.

    ``rmse`` and ``rmse_warm`` are in the data's units; those ending in ``_std`` are divided by the standard
    deviation of all ratings, as in the paper's tables. ``rows`` counts the ratings, ``cold`` those of a row
    that training never saw. Without any warm row ``rmse_warm`` is NaN.
    """

    rmse: float
    rmse_std: float
    rmse_warm: float
    rmse_warm_std: float
    rows: int
    cold: int


def rmse(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return the root mean squared error of two arrays (n,), computed in float64; NaN if anything is NaN.

    Raises ``InputError`` for arrays that are empty or of different shapes.
    """
    p, t = np.asarray(prediction, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if p.shape != t.shape or p.size == 0:
        raise InputError(
            f"rmse: prediction and target must have one shape and not empty, but are {p.shape} and {t.shape}."
        )
    return float(np.sqrt(np.mean((p - t) ** 2)))


def scores(prediction: ArrayLike, part: RatingTensor, train: RatingTensor, value_std: float) -> Scores:
    """Score ``prediction`` (n,), in the data's units, against the n ratings of ``part``.

    ``train`` tells which rows are cold; ``value_std`` is the standard deviation of all ratings.
    """
    p = np.asarray(prediction, dtype=np.float64)
    overall = rmse(p, part.values)
    cold = cold_mask(train, part)
    warm = rmse(p[~cold], part.values[~cold]) if not cold.all() else float("nan")
    return Scores(overall, overall / value_std, warm, warm / value_std, rows=len(part), cold=int(cold.sum()))
