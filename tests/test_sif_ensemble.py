"""sif-ensemble: one search by sif-robust after the other, and all of them together."""

from dataclasses import replace

import numpy as np
from reference import planted_split, tiny_task

from automl_cf.cf.ensemble import members_of
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.problem import Problem
from automl_cf.searchers import SearchTask, build
from automl_cf.spaces import interaction_space
from automl_cf.suite.streams import stream

OPTIONS = {"epochs": 3, "rungs": [1]}
TASK = SearchTask(interaction_space(units=1), 2, (0.0, 1e-4), stream("searcher", 0))


def problem():
    return Problem(tiny_task(planted_split().for_search(), dim=2), NullMeter())


def all_steps(name, task, options):
    searcher = build(name, task, options)
    searcher.start(problem())
    return list(iter(searcher.step, None))


def of_search(number):
    seed = np.random.SeedSequence(TASK.seed.entropy, spawn_key=(*TASK.seed.spawn_key, number))
    return all_steps("sif-robust", replace(TASK, seed=seed), OPTIONS)


def test_its_members_are_what_searches_by_sif_robust_find():
    alone = [of_search(number) for number in range(3)]
    steps = all_steps("sif-ensemble", TASK, {**OPTIONS, "size": 3})
    assert steps[: len(alone[0])] == alone[0]  # until the first has ended it is sif-robust
    ends = [search[-1].architecture for search in alone]
    assert len({end.id for end in ends}) == 3
    assert members_of(steps[-1].architecture) == ends
    assert {step.rmse for step in steps[len(alone[0]) :]} == {None}
    second = steps[len(alone[0]) : len(alone[0]) + 1 + len(alone[1]) + 1]
    assert {step.architecture for step in second[:-1]} == {ends[0]}
    assert members_of(second[-1].architecture) == ends[:2]


def test_stored_in_its_second_search_it_continues_identically():
    def started():
        searcher = build("sif-ensemble", TASK, {**OPTIONS, "size": 3})
        searcher.start(problem())
        return searcher

    whole = all_steps("sif-ensemble", TASK, {**OPTIONS, "size": 3})
    before, after = started(), started()
    half = len(of_search(0)) + 3
    assert [before.step() for _ in range(half)] == whole[:half]
    after.load_state_dict(*before.state_dict())
    assert list(iter(after.step, None)) == whole[half:]
