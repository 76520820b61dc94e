"""Measurement `phases`: where an epoch's time goes.

The C loop is built once more with a clock between its phases. The fused engine is left as it is and seen from outside:
its order is drawn once more alone, what networks cost is the difference that they make, and the rest is the rest.
A search's epoch is the supernet's, its two kinds of step timed apart.
"""

import ctypes
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from automl_cf.benchmarks.speed.c_loop import CLoop
from automl_cf.benchmarks.speed.cases import UNITS, Case, candidate, named
from automl_cf.benchmarks.speed.clock import BlockClock
from automl_cf.benchmarks.speed.interleave import Subject, interleave
from automl_cf.benchmarks.speed.records import Record, Sample, setting
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.subjects import C_LOOP, FUSED, c_works, fused_epochs
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.problem import Problem
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.training import Training
from automl_cf.spaces.interaction import interaction_space
from automl_cf.spaces.views.relaxation import relax

ORDER, NETWORKS, VALIDATION = "drawing the order", "networks", "validation"
_BATCHES = (512, 2048)


def fused_phases(batch: int, epochs: int, seed: int) -> Sample:
    """Seconds of an epoch with networks, by phase."""
    full, plain = (
        fused_epochs(Case(named("ml-100k"), candidate("multiply", networks), batch), epochs, seed)
        for networks in (True, False)
    )
    rng, n = np.random.default_rng(seed), len(named("ml-100k").train)
    order = _mean_seconds(lambda: shuffled(n, rng), epochs)
    return {
        ORDER: order,
        NETWORKS: full["seconds"] - plain["seconds"],
        "rows, ratings and updates": plain["seconds"] - order,
        VALIDATION: full["validation"],
    }


def c_phases(batch: int, epochs: int, seed: int) -> Sample:
    """The same of the C loop, which does not validate."""
    case = Case(named("ml-100k"), candidate("multiply"), batch)
    loop = CLoop.build(case.dim, UNITS, phases=True)
    model = loop.start(case.architecture, case.data, case.training(epochs), case.l2, np.random.default_rng(seed))
    order, state = np.empty(len(case.data.train), np.uint32), ctypes.c_uint64(seed)
    drawing = 0.0
    for _ in range(epochs):
        drawing += _mean_seconds(lambda: loop.shuffle(order, state), 1)
        loop.epoch(model, order)
    return {ORDER: drawing / epochs} | {name: seconds / epochs for name, seconds in model.phases.items()}


def supernet_phases(batch: int, epochs: int, seed: int) -> Sample:
    """Seconds of a supernet's epoch on the fused engine: Algorithm 2 without what the searcher itself does."""
    relaxation = relax(interaction_space())
    task = TrainingTask(named("ml-100k"), Training(batch_size=batch), 8, np.random.SeedSequence(seed))
    clock = BlockClock()
    net = Problem(task, NullMeter()).supernet(relaxation, np.random.SeedSequence([seed, 1]))
    alpha = np.eye(len(relaxation.operations))[0]
    network = np.array(candidate()["p"], dtype=np.float64)
    vectors = {name: network for name, _, _ in relaxation.vectors}
    for _ in range(epochs):
        batches = list(net.epoch())
        for valid_rows, train_rows in batches:
            with clock.timed("architecture gradients"):
                net.architecture_gradients(alpha, vectors, "valid", valid_rows)
            with clock.timed("weight steps"):
                net.train_batch(alpha, vectors, train_rows)
        with clock.timed(VALIDATION):
            net.rmse(alpha, vectors)
    return {kind: sum(blocks) / epochs for kind, blocks in clock.seconds.items()}


def _mean_seconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def measure_phases(scope: Scope) -> Iterator[Record]:
    """`multiply` with networks on ml-100k, and an epoch of a search."""
    epochs, rounds = scope.pick(20, 2), scope.pick(9, 1)
    for batch in _BATCHES:
        at = setting(data="ml-100k", dim=8, batch=batch)
        scope.say(f"phases: {at}")
        subjects: dict[str, Subject] = {
            FUSED: partial(fused_phases, batch, epochs),
            f"{FUSED}, search": partial(supernet_phases, batch, epochs),
        }
        if c_works(scope):
            subjects[C_LOOP] = partial(c_phases, batch, epochs)
        yield from interleave("phases", at, subjects, rounds)
