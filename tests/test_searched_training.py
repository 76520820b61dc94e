"""The penalty and the dimension as a part of the architecture."""

from dataclasses import replace

import numpy as np
import pytest
from reference import planted_split, tiny_task
from small_runs import counted_events, small_study

from automl_cf.cf.batched import Candidate
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import train, train_all
from automl_cf.errors import InputError
from automl_cf.searchers import SearchTask, build
from automl_cf.spaces import Architecture, interaction_space
from automl_cf.spaces.tensor import tensor_space
from automl_cf.suite import run

OPERATION = {"operation": "multiply"}


def predictions(fit):
    assert fit.model is not None
    return fit.model.predict(planted_split().valid.indices).tolist()


def task_of(engine, dim=2):
    return tiny_task(planted_split().for_search(), dim=dim, engine=engine, max_epochs=4)


@pytest.mark.parametrize("make", [interaction_space, tensor_space])
def test_the_space_has_them_in_their_ranges(make):
    space = make(units=1, l2=[1e-6, 1e-2], dims=[2, 4, 8])
    assert [parameter.name for parameter in space.searched][-2:] == ["l2", "dim"]
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(400)]
    assert {architecture["dim"] for architecture in drawn} == {2, 4, 8}
    logs = np.log10([architecture["l2"] for architecture in drawn])
    assert logs.min() >= -6
    assert logs.max() <= -2
    assert abs(np.mean(logs) + 4) < 0.25  # uniform on the logarithmic scale: standard error 0.06
    assert "l2" not in make(units=1).sample(rng)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2": [1e-3]}, "l2 is .*must be the two ends"),
        ({"l2": [0.0, 1e-3]}, "low 0.0, .*more than 0"),
        ({"l2": ["a", "b"]}, "must be the two ends"),
        ({"dims": [0]}, r"dims are \(0,\), but they must be integers of at least 1"),
        ({"dims": [2.5]}, "dims are"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        interaction_space(**options)


@pytest.mark.parametrize("engine", ["reference", "fused", "batched"])
def test_they_train_as_if_the_study_had_said_so(engine):
    own = train(Architecture({**OPERATION, "dim": 3, "l2": 0.01}), task_of(engine), NullMeter())
    study = train(Architecture(OPERATION), task_of(engine, dim=3), NullMeter(), l2=0.01)
    assert own.l2 == 0.01
    assert own.curve == study.curve
    assert predictions(own) == predictions(study)
    assert own.curve != train(Architecture(OPERATION), task_of(engine), NullMeter(), l2=0.01).curve


@pytest.mark.parametrize("engine", ["reference", "fused", "batched"])
def test_candidates_of_several_dimensions_train_together(engine):
    task = task_of(engine)
    candidates = [
        Candidate(Architecture({**OPERATION, **({"dim": dim} if dim else {})}), l2, np.random.SeedSequence(seed))
        for seed, (dim, l2) in enumerate([(3, 0.0), (None, 0.01), (1, 0.0), (3, 0.01)])
    ]
    together = train_all(candidates, task, NullMeter())
    for candidate, fit in zip(candidates, together, strict=True):
        alone = train(candidate.architecture, replace(task, seed=candidate.seed), NullMeter(), l2=candidate.l2)
        np.testing.assert_allclose(fit.curve, alone.curve, rtol=1e-5)


def test_a_study_searches_them_and_scores_what_was_found(tmp_path):
    space = {"options": {"units": 0, "l2": [1e-5, 1e-2], "dims": [2, 3]}}
    run.start(small_study(searchers=["random"], space=space, budget={"trials": 6}), tmp_path / "run")
    events = counted_events(tmp_path / "run")
    trials = [event["architecture"] for event in events if event["kind"] == "trial"]
    assert {architecture["dim"] for architecture in trials} == {2, 3}
    scores = [event for event in events if event["kind"] == "score"]
    assert scores
    assert all(event["l2"] == event["architecture"]["l2"] for event in scores)


def test_one_shot_searchers_cannot_search_them():
    task = SearchTask(interaction_space(l2=[1e-5, 1e-3]), 2, (0.0,), np.random.SeedSequence(0))
    with pytest.raises(InputError, match=r"'l2'.*one-shot search needs one choice of operations"):
        build("sif", task, {})
