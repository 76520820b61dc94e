"""The tiny problems that a searcher is tried on: a loss in closed form, and a few ratings."""

import hashlib
import math
from dataclasses import replace
from functools import cache

import numpy as np

from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.problem import Evaluation, Problem
from automl_cf.cf.ratings import RatingTensor, content_hash
from automl_cf.cf.splits import Split, random_split
from automl_cf.cf.training import Training
from automl_cf.spaces import Architecture, Choice, Int, Real, Space, Subset, Vector, interaction_space
from automl_cf.spaces.architecture import Scalar
from automl_cf.spaces.interaction import OPERATIONS

DIM = 2
MAX_EPOCHS = 20
L2_GRID = (0.0, 1e-4, 1e-2)

SPACE = interaction_space(units=1)
SPACE_OF_PAIRS = interaction_space(units=1, k=2, norm_bound=1.0)
FINITE_SPACE = Space("finite", (Choice("operation", OPERATIONS),))
MIXED_SPACE = Space(
    "mixed",
    (
        Subset("operations", ("plus", "min", "max"), 2),
        Vector("p", 3, 2.0),
        Choice("predictor", ("linear", "mlp")),
        Int("dimension", 2, 5),
        Real("penalty", 1e-6, 1e-1, log=True),
        Real("shift", -1.0, 2.0, when=("predictor", ("mlp",))),
        Vector("q", 2, 1.0, unless=("predictor", ("linear",))),
        Vector("w", 8, 1.0, role="trained"),
    ),
)

FAILURES = (
    Evaluation("diverged", None, 2, 1, (0.9, float("nan"))),
    Evaluation("out-of-memory", None, error="out of memory"),
    Evaluation("invalid", None, error="the architecture is not in the space"),
    Evaluation("crashed", None, error="the worker died"),
    Evaluation("timeout", None, error="it took longer than it may"),
    Evaluation("ok", float("nan"), 1, 1, (float("nan"),)),
)


def closed_form(architecture: Architecture, epochs: int | None = None) -> float:
    """A loss of any architecture of any space, the lower the nearer its values are to one that lies in most ranges.

    The mean over its values of the squared distance to 0.3, where a number x counts as x / (1 + |x|) and a text as a
    number from 0 to 1 of its own. Fewer epochs leave more of it.
    """
    values = [value if isinstance(value, tuple) else (value,) for value in architecture.values()]
    terms = [float(np.mean([(_number(scalar) - 0.3) ** 2 for scalar in value])) for value in values if value]
    return 0.5 + float(np.mean(terms or [0.0])) + (0.1 / epochs if epochs else 0.0)


def evaluation(architecture: Architecture, epochs: int | None = None) -> Evaluation:
    """The same, as if it came of a training."""
    loss, ran = closed_form(architecture, epochs), epochs or MAX_EPOCHS
    return Evaluation("ok", loss, ran, ran, tuple(loss + 0.1 * left for left in reversed(range(ran))), 100 * ran)


@cache
def split(order: int = 2) -> Split:
    """230 ratings: noisy products of one number near 1 per row, so that every row has a bias, and rows interact.

    Bias models explain most of it, and whatever multiplies the rest.
    """
    shape = {2: (24, 16), 3: (8, 7, 6)}[order]
    rng = np.random.default_rng(0)
    entries = np.stack(np.unravel_index(rng.permutation(math.prod(shape))[:230], shape), axis=1)
    values = np.prod([(1 + 0.5 * rng.normal(size=n))[entries[:, mode]] for mode, n in enumerate(shape)], axis=0)
    values += 0.1 * values.std() * rng.normal(size=len(values))
    return random_split(RatingTensor(entries, values.astype(np.float32), shape), seed=0)


TRUTH = Architecture({"operation": "multiply"})  # of `split()`, of dimension 2


@cache
def poisoned(order: int = 2) -> Split:
    """`split(order)` with a test part in which every rating is NaN."""
    clean = split(order)
    assert clean.test is not None
    nothing = np.full(len(clean.test), np.nan, dtype=np.float32)
    test = RatingTensor(clean.test.indices, nothing, clean.test.shape)
    return replace(clean, test=test, value_std=float("nan"), hash=content_hash(clean.train, clean.valid, test))


def problem_of(ratings: Split, learning_rate: float = 0.2) -> Problem:
    """What a searcher sees of a split, on the reference engine, which trains whatever there is."""
    training = Training(
        engine="reference", batch_size=32, max_epochs=MAX_EPOCHS, search_l2=1e-3, learning_rate=learning_rate
    )
    return Problem(TrainingTask(ratings.for_search(), training, DIM, np.random.SeedSequence(0)), NullMeter())


def diverging(order: int = 2) -> Problem:
    """A problem on which no supernet's training comes to a number."""
    return problem_of(split(order), learning_rate=1e30)


@cache
def mean_of_random_points(order: int = 2, points: int = 20) -> float:
    """The mean validation RMSE of random architectures of `SPACE`, trained on `split(order)`."""
    problem, rng = problem_of(split(order)), np.random.default_rng(0)
    return float(np.mean([problem.evaluate(SPACE.sample(rng)).loss for _ in range(points)]))


def _number(scalar: Scalar) -> float:
    if isinstance(scalar, str):
        return int(hashlib.sha256(scalar.encode()).hexdigest()[:8], 16) / 2**32
    x = float(scalar or 0)
    return x / (1 + abs(x))
