"""Measurements `ratings`, `dims` and `ml-1m`: how an epoch's time grows with the data and with the dimension."""

from collections.abc import Iterator

import numpy as np

from automl_cf.benchmarks.speed.cases import Case, candidate, named, planted
from automl_cf.benchmarks.speed.epoch import bound
from automl_cf.benchmarks.speed.interleave import interleave
from automl_cf.benchmarks.speed.records import Record, setting
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.subjects import compiled_subjects
from automl_cf.cf.ratings import RatingTensor
from automl_cf.errors import AutomlCfError

TOUCHED = "touched rows"

_BATCH = 2048
_RATINGS_PER_RUN = 1_000_000  # a run of a subject has as many epochs as make about so many steps over ratings


def _rows(case: Case, scope: Scope, measurement: str, rounds: int, **at: object) -> Iterator[Record]:
    epochs = max(1, scope.pick(_RATINGS_PER_RUN, 1) // len(case.data.train))
    subjects = {name: bound(run, case, epochs) for name, run in compiled_subjects(scope).items()}
    where = setting(**at, training_ratings=len(case.data.train), batch=_BATCH)
    scope.say(f"{measurement}: {where}")
    yield from interleave(measurement, where, subjects, rounds)


def measure_ratings(scope: Scope) -> Iterator[Record]:
    """Planted data of 10,000 to 10,000,000 ratings, half of them trained on; rows grow in proportion."""
    for exponent in scope.pick((4, 5, 6, 7), (4, 5)):
        data = planted(10**exponent)
        for networks in (True, False):
            case = Case(data, candidate("multiply", networks), _BATCH)
            yield from _rows(
                case, scope, "ratings", scope.pick(5, 1), data="planted", ratings=10**exponent, dim=8, networks=networks
            )


def measure_dims(scope: Scope) -> Iterator[Record]:
    """Dimensions 2 to 64 on ml-100k. What the fused engine has to compile for each is not counted."""
    for dim in scope.pick((2, 4, 8, 16, 32, 64), (2, 8)):
        for networks in (True, False):
            case = Case(named("ml-100k"), candidate("multiply", networks), _BATCH, dim)
            yield from _rows(case, scope, "dims", scope.pick(5, 1), data="ml-100k", dim=dim, networks=networks)


def measure_ml_1m(scope: Scope) -> Iterator[Record]:
    """An epoch on ml-1m against one on ml-100k, which has a tenth of the ratings."""
    epochs = scope.pick({"ml-100k": 20, "ml-1m": 3}, {"ml-100k": 1, "ml-1m": 1})
    try:
        data = {name: named(name) for name in epochs}
    except AutomlCfError as error:
        scope.skip(f"ml-1m: {error}")
        return
    for name, split in data.items():
        yield Record(
            "ml-1m", TOUCHED, setting(data=name, batch=_BATCH), 0, "per rating", touched_rows(split.train, _BATCH)
        )
    for networks in (True, False):
        cases = {name: Case(split, candidate("multiply", networks), _BATCH) for name, split in data.items()}
        subjects = {
            on(subject, name): bound(run, case, epochs[name])
            for subject, run in compiled_subjects(scope).items()
            for name, case in cases.items()
        }
        at = setting(operation="multiply", dim=8, batch=_BATCH, networks=networks)
        scope.say(f"ml-1m: {at}")
        yield from interleave("ml-1m", at, subjects, scope.pick(7, 1))


def touched_rows(train: RatingTensor, batch: int) -> float:
    """How many rows of either mode a batch touches, for each of its ratings: the mean over an epoch."""
    order = np.random.default_rng(0).permutation(len(train))
    pieces = [train.indices[order[start : start + batch]] for start in range(0, len(train), batch)]
    return sum(len(np.unique(column)) for piece in pieces for column in piece.T) / len(train)


def on(subject: str, data: str) -> str:
    """The name of a subject on a data set."""
    return f"{subject}, {data}"
