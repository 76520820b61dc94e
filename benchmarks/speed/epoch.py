"""Measurements `epoch`: seconds per epoch of everyone; `operations`: of the two compiled loops, by operation."""

from collections.abc import Iterator
from functools import partial

from automl_cf.benchmarks.speed import surprise_svd
from automl_cf.benchmarks.speed.cases import Case, candidate, named
from automl_cf.benchmarks.speed.interleave import Subject, interleave
from automl_cf.benchmarks.speed.records import Record, setting
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.subjects import (
    REFERENCE,
    SURPRISE,
    TEXTBOOKS,
    EpochSubject,
    compiled_subjects,
    reference_epochs,
)
from automl_cf.spaces.interaction import OPERATIONS

_BATCHES = (512, 2048)


def bound(run: EpochSubject, case: Case, epochs: int) -> Subject:
    """The subject on that case for that many epochs, as rounds take it."""
    return lambda seed: run(case, epochs, seed)


def measure_epoch(scope: Scope) -> Iterator[Record]:
    """Batches of 512 and 2048, with and without networks, `multiply`, dimension 8."""
    few, many = scope.pick((1, 20), (1, 2))
    if not surprise_svd.installed():
        scope.skip("Surprise SVD: scikit-surprise is not installed (pip install 'automl-cf[bench]')")
    for batch in _BATCHES:
        for networks in (True, False):
            case = Case(named("ml-100k"), candidate("multiply", networks), batch)
            subjects = {name: bound(run, case, many) for name, run in compiled_subjects(scope).items()}
            subjects[REFERENCE] = bound(reference_epochs, case, 3 * few)
            subjects |= {name: bound(run, case, few) for name, run in TEXTBOOKS.items()}
            if not networks and surprise_svd.installed():
                subjects[SURPRISE] = partial(surprise_svd.surprise_epoch, case)
            at = setting(data="ml-100k", operation="multiply", dim=8, batch=batch, networks=networks)
            scope.say(f"epoch: {at}")
            yield from interleave("epoch", at, subjects, scope.pick(7, 1))


def measure_operations(scope: Scope) -> Iterator[Record]:
    """Each operation, batches of 2048, with and without networks."""
    for operation in OPERATIONS:
        for networks in (True, False):
            case = Case(named("ml-100k"), candidate(operation, networks), batch=2048)
            subjects = {name: bound(run, case, scope.pick(20, 2)) for name, run in compiled_subjects(scope).items()}
            at = setting(data="ml-100k", operation=operation, dim=8, batch=2048, networks=networks)
            scope.say(f"operations: {at}")
            yield from interleave("operations", at, subjects, scope.pick(9, 1))
