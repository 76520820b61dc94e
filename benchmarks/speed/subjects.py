"""Who is measured: seconds per epoch of each subject on a case, training only, without validation.

An epoch of every subject draws a new random order of the ratings and goes through it.
"""

import ctypes
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from automl_cf.benchmarks.speed.c_loop import CLoop, NoCompiler, compiler
from automl_cf.benchmarks.speed.cases import UNITS, Case
from automl_cf.benchmarks.speed.clock import BlockClock
from automl_cf.benchmarks.speed.records import Sample
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.textbook import FEEDS, Feed, train_textbook
from automl_cf.cf.fused import train_fused
from automl_cf.cf.interaction import train_interaction

FUSED, REFERENCE = "fused engine", "reference engine"
C_LOOP = "C loop"
LOADER, SLICES = FEEDS
SURPRISE = "Surprise SVD"

EpochSubject = Callable[[Case, int, int], Sample]
"""(case, epochs, seed) -> mean seconds per epoch."""


def fused_epochs(case: Case, epochs: int, seed: int) -> Sample:
    """The fused engine, as a study trains with it."""
    return _engine_epochs(train_fused, case, epochs, seed)


def reference_epochs(case: Case, epochs: int, seed: int) -> Sample:
    """The reference engine, likewise."""
    return _engine_epochs(train_interaction, case, epochs, seed)


def _engine_epochs(train: Callable[..., object], case: Case, epochs: int, seed: int) -> Sample:
    clock, rng = BlockClock(), np.random.default_rng(seed)
    train(case.architecture, case.data, case.training(epochs), dim=case.dim, l2=case.l2, rng=rng, meter=clock)
    return {"seconds": clock.last("train", epochs), "validation": clock.last("validate", epochs)}


def c_epochs(case: Case, epochs: int, seed: int) -> Sample:
    """The C loop, its random orders drawn in C too."""
    loop = CLoop.build(case.dim, UNITS)
    model = loop.start(case.architecture, case.data, case.training(epochs), case.l2, np.random.default_rng(seed))
    order, state = np.empty(len(case.data.train), np.uint32), ctypes.c_uint64(seed)
    start = time.perf_counter()
    for _ in range(epochs):
        loop.shuffle(order, state)
        loop.epoch(model, order)
    return {"seconds": (time.perf_counter() - start) / epochs}


def textbook_epochs(feed: Feed, case: Case, epochs: int, seed: int) -> Sample:
    """The textbook's way, with one way of making batches."""
    clock = BlockClock()
    train_textbook(
        case.architecture,
        case.data,
        case.training(epochs),
        dim=case.dim,
        l2=case.l2,
        seed=seed,
        feed=feed,
        meter=clock,
    )
    return {"seconds": clock.last("train", epochs), "validation": clock.last("validate", epochs)}


TEXTBOOKS: dict[str, EpochSubject] = {name: partial(textbook_epochs, feed) for name, feed in FEEDS.items()}


def compiled_subjects(scope: Scope) -> dict[str, EpochSubject]:
    """The fused engine and, where there is a compiler, its limit."""
    found: dict[str, EpochSubject] = {FUSED: fused_epochs}
    if c_works(scope):
        found[C_LOOP] = c_epochs
    return found


def c_works(scope: Scope) -> bool:
    """Whether loop.c can be built; if not, that is noted."""
    try:
        compiler()
        CLoop.build(8, UNITS)
    except NoCompiler as reason:
        scope.skip(f"C loop: {reason}")
        return False
    return True
