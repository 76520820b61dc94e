"""The checks that only one-shot searchers are put to."""

import io
import json
import time
from collections import deque
from collections.abc import Collection, Iterator
from itertools import islice

import numpy as np

from automl_cf.cf.problem import Problem
from automl_cf.searchers import OneShotSearcher
from automl_cf.spaces import Architecture
from automl_cf.testing import problems
from automl_cf.testing.requirement import Unmet
from automl_cf.testing.subject import (
    LEAST,
    PATIENCE,
    Step,
    Subject,
    architecture_of,
    first_difference,
    further_steps,
    steps,
)

_RESTARTS = 3
_END = 150  # steps


def check_state(subject: Subject, half: int) -> str:
    """Store after `half` steps, load without pickle, and compare the further steps with `subject.trace`."""
    searcher, problem = _one_shot(subject), subject.problem
    if len(list(islice(steps(searcher, problem), half))) < half:
        raise Unmet("the search ended sooner than before")
    problem = subject.problem
    again = _reloaded(subject, searcher, problem)
    rest = list(islice(further_steps(again, problem), len(subject.trace) - half))
    if difference := first_difference(subject.trace[half:], rest):
        raise Unmet(f"stored after {half} steps, {difference}, counted from there")
    return f"after {half} of {len(subject.trace)} steps"


def check_stops(subject: Subject) -> str:
    """Store after every step of one search, and go on in a fresh searcher each time; also as the training diverges."""
    whole = list(islice(steps(_one_shot(subject), problems.diverging(subject.order)), LEAST))
    for expected, where in ((subject.trace, ""), (whole, "as the training diverged, ")):
        count = len(expected)
        found = interrupted(subject, range(1, count), count, diverging=bool(where))
        if difference := first_difference(_equal_to_itself(expected), _equal_to_itself(found)):
            raise Unmet(f"{where}stored and loaded after every step, {difference}")
    return f"after every one of {len(subject.trace)} steps in a row, and {len(whole)} of a training that diverges"


def interrupted(subject: Subject, stops: Collection[int], count: int, diverging: bool = False) -> list[Step]:
    """Up to `count` steps of a search; each of `stops` is a number of steps after which a fresh searcher goes on."""

    def problem() -> Problem:
        return problems.diverging(subject.order) if diverging else subject.problem

    searcher, at, found = _one_shot(subject), problem(), list[Step]()
    searcher.start(at)
    while len(found) < count:
        if len(found) in stops:
            at = problem()
            searcher = _reloaded(subject, searcher, at)
        step = next(further_steps(searcher, at), None)
        if step is None:
            break
        found.append(step)
    return found


def _equal_to_itself(found: list[Step]) -> list[Step]:
    """The same with RMSEs as texts, as NaN, which other checks look for, is not equal to NaN."""
    return [step | {"rmse": str(step["rmse"])} for step in found]


def _reloaded(subject: Subject, searcher: OneShotSearcher, problem: Problem) -> OneShotSearcher:
    """A fresh searcher on `problem` with the state of another one, which went through JSON and npz, no pickle."""
    arrays, values = searcher.state_dict()
    file, text = io.BytesIO(), json.dumps(values, allow_nan=False)
    np.savez(file, **arrays)  # type: ignore[arg-type] # its signature has another keyword
    again = _one_shot(subject)
    again.start(problem)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again.load_state_dict(dict(stored), json.loads(text))
    return again


def check_divergence(subject: Subject) -> str:
    """The first steps of a training that comes to no number."""
    searcher, count = _one_shot(subject), 0
    for step in islice(steps(searcher, problems.diverging(subject.order)), LEAST):
        count += 1
        if not subject.capabilities.fixed_proposals and not searcher.space.contains(architecture_of(step)):
            raise Unmet(f"as the training diverged, step {count} found {step['architecture']}, not of the space")
        if step["rmse"] is not None and not np.isfinite(step["rmse"]):
            raise Unmet(f"as the training diverged, step {count} has RMSE {step['rmse']}; it must be None")
    return f"{count} steps of a training that diverges"


def check_end(subject: Subject) -> str:
    """Step until None, if that comes soon, and twice more."""
    searcher, count, began = _one_shot(subject), 0, time.perf_counter()
    searcher.start(subject.problem)
    while searcher.step() is not None:
        count += 1
        if count == _END or time.perf_counter() - began > 4 * PATIENCE:
            return f"no end within {count} steps"
    if any(searcher.step() is not None for _ in range(2)):
        raise Unmet(f"it ended after {count} steps, and went on when asked again")
    return f"{count} steps to the end"


def results(subject: Subject) -> Iterator[Architecture]:
    """What each of some restarts ends with."""
    for seed in range(_RESTARTS):
        yield from map(architecture_of, deque(_until_the_end(subject, seed), maxlen=1))


def _until_the_end(subject: Subject, seed: int) -> Iterator[Step]:
    """The steps of a one-shot search, unless it is very long."""
    began = time.perf_counter()
    for step in islice(subject.trajectory(seed), _END):
        yield step
        if time.perf_counter() - began > 4 * PATIENCE:
            return


def _one_shot(subject: Subject) -> OneShotSearcher:
    searcher = subject.make()
    assert isinstance(searcher, OneShotSearcher)
    return searcher
