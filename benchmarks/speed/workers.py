"""Measurement `workers`: two processes at once against one, of the fused engine and of the C loop.

Two cores share memory and caches, so that even two C loops need not do twice the work of one: they are the limit.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

import torch

from automl_cf.benchmarks.speed.cases import Case, candidate, named
from automl_cf.benchmarks.speed.interleave import Subject, interleave
from automl_cf.benchmarks.speed.records import Record, Sample, setting
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.subjects import C_LOOP, FUSED, c_epochs, compiled_subjects, fused_epochs

_RUNS = {FUSED: fused_epochs, C_LOOP: c_epochs}
_BATCH = 2048
_together: Barrier


def subject_of(engine: str, workers: int) -> str:
    """The name of an engine run by that many processes."""
    return f"{engine}, {workers} process{'es' if workers > 1 else ''}"


def _begin(barrier: Barrier) -> None:
    global _together
    _together = barrier
    torch.set_num_threads(1)


def _run(engine: str, epochs: int, seed: int, workers: int) -> float:
    """In a worker: seconds per epoch; two start at the same moment."""
    case = Case(named("ml-100k"), candidate(), _BATCH)
    _RUNS[engine](case, 1, seed)
    if workers > 1:
        _together.wait(timeout=60)
    return _RUNS[engine](case, epochs, seed)["seconds"]


def _measure(pool: ProcessPoolExecutor, engine: str, workers: int, epochs: int, seed: int) -> Sample:
    """Seconds per epoch of the slower process."""
    runs = [pool.submit(_run, engine, epochs, seed, workers) for _ in range(workers)]
    return {"seconds": max(run.result() for run in runs)}


def measure_workers(scope: Scope) -> Iterator[Record]:
    """`multiply` with networks on ml-100k."""
    if (os.cpu_count() or 1) < 2:
        scope.skip("two processes: there is one core only")
        return
    context = get_context("spawn")
    epochs = scope.pick(100, 2)
    at = setting(data="ml-100k", operation="multiply", dim=8, batch=_BATCH, networks=True)
    scope.say(f"workers: {at}")
    with ProcessPoolExecutor(2, context, _begin, (context.Barrier(2),)) as pool:
        subjects: dict[str, Subject] = {
            subject_of(engine, workers): partial(_measure, pool, engine, workers, epochs)
            for engine in compiled_subjects(scope)
            for workers in (1, 2)
        }
        yield from interleave("workers", at, subjects, scope.pick(9, 1))
