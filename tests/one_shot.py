"""What holds for every one-shot searcher, for the tests of each."""

import io
import json
from dataclasses import replace

import numpy as np
from reference import random_data, tiny_task

from automl_cf.cf.meter import NullMeter
from automl_cf.cf.problem import Problem
from automl_cf.searchers import SearchTask, build
from automl_cf.spaces import interaction_space

SMALL = interaction_space(units=1)


def problem_of(data=None, **training):
    return Problem(tiny_task(data, **training), NullMeter())


def large(data):
    """The same data with ratings so large that predictors reach the bound on their norms."""
    train, valid = (replace(part, values=5 * part.values) for part in (data.train, data.valid))
    return replace(data, train=train, valid=valid)


def started(name, problem=None, space=SMALL, seed=0, **options):
    """A searcher, started on a small problem."""
    searcher = build(name, SearchTask(space, 2, (0.0,), np.random.SeedSequence(seed)), options)
    searcher.start(problem or problem_of())
    return searcher


def all_steps(searcher):
    return list(iter(searcher.step, None))


def check_continues_identically(fresh):
    """`fresh` makes the same searcher each time, with 6 epochs."""
    searcher = fresh()
    for _ in range(3):
        searcher.step()
    arrays, values = searcher.state_dict()
    file, text = io.BytesIO(), json.dumps(values, allow_nan=False)
    np.savez(file, **arrays)
    expected = all_steps(searcher)
    again = fresh()
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again.load_state_dict(dict(stored), json.loads(text))
    assert all_steps(again) == expected
    assert len(expected) == 3
    assert expected[-1] != expected[0]
    (one, one_values), (other, other_values) = searcher.state_dict(), again.state_dict()
    assert one_values == other_values
    assert {key: array.tolist() for key, array in one.items()} == {k: a.tolist() for k, a in other.items()}


def check_survives_divergence(name, **options):
    steps = all_steps(started(name, problem_of(learning_rate=1e30), epochs=2, **options))
    assert [step.rmse for step in steps][-1] is None
    return steps


def tensor_problem(**training):
    return problem_of(random_data((5, 4, 6), 60, 30), **training)
