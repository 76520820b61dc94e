"""The spaces for tensors, the searchers on them, and tensors planted by a composition."""

import math

import numpy as np
import pytest

from automl_cf.cf.data import load, plant
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.problem import Problem
from automl_cf.cf.splits import random_split
from automl_cf.cf.training import Training
from automl_cf.errors import InputError
from automl_cf.searchers import SearchTask, build
from automl_cf.spaces import Choice, Space, Subset, Vector, compositions, interaction_space, tensor_space
from automl_cf.spaces.formula import parse
from automl_cf.spaces.views.relaxation import relax
from automl_cf.suite.study import SpaceEntry, make_study

TINY = {"users": 12, "items": 10, "more": [4], "dim": 2, "density": 0.3, "units": 1}


# The space.


def test_the_space_of_third_order():
    space = tensor_space()
    choice, *vectors = space.parameters
    assert choice == Choice("operation", compositions())
    assert vectors == [Vector(name, 16, 3.0) for name in ("p", "q", "r")]
    assert dict(space.constants) == {"activation": "sigmoid"}
    assert Space.from_json(space.to_json()) == space
    assert relax(space).operations == compositions()
    assert {space.sample(np.random.default_rng(seed))["operation"] for seed in range(600)} == set(compositions())


def test_the_example_of_section_3_4():
    """Max and multiply only; the paper lists four of these eight, one permutation of each mixture."""
    names = set(compositions(3, ("max", "multiply")))
    assert {"multiply(max(1,2),3)", "max(1,2,3)", "multiply(max(2,3),1)", "multiply(1,2,3)"} <= names
    assert len(names) == 8


def test_options():
    assert [p.name for p in tensor_space(order=4, operations=["plus", "min"]).parameters] == [
        "operation",
        *("p", "q", "r", "s"),
    ]
    space = tensor_space(operations=["plus", "concat"], units=0, k=2)
    linear = ("plus(1,2,3)", "concat(plus(1,2),3)", "concat(plus(1,3),2)", "concat(plus(2,3),1)")
    assert space.parameters == (Subset("operations", linear, 2),)
    assert dict(space.constants) == {}
    assert len(tensor_space(one_per_class=True).parameters[0].options) == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 1}, "order 1, but it must be an integer from 2 to 6"),
        ({"order": 3.0}, r"order 3\.0"),
        ({"order": 7}, "order 7"),
        ({"units": -1}, "units -1"),
        ({"operations": ["plus", "tims"]}, "composes 'tims', but must compose some of multiply, plus"),
        ({"operations": ["maximum"]}, "composes 'maximum'"),
        ({"operations": []}, "options"),
        ({"operations": ["concat"]}, "options"),
        ({"k": 53}, "53"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        tensor_space(**options)


def study(**values):
    return make_study({"datasets": ["planted"], "searchers": ["random"], "budget": {"trials": 2}, **values})


def test_a_study_names_the_space():
    assert SpaceEntry(name="tensor", options={"units": 2}).build() == tensor_space(units=2)
    tensor = study(space={"name": "tensor", "options": {"units": 1}})
    tensor.check(order=3)
    with pytest.raises(InputError, match=r"composition 'multiply\(1,2,3\)' is of 3 modes, but the data have 2"):
        tensor.check(order=2)
    with pytest.raises(InputError, match=r"no kernel for operation 'concat' of 3 modes; it needs engine"):
        study(space="interaction").check(order=3)
    study(space="interaction", training={"engine": "reference"}).check(order=3)
    study(space={"name": "interaction", "options": {"predictor": "mlp"}}).check(order=3)  # needs no kernel
    study().check(order=3)  # the paper's space for as many modes
    for order in (4, 6):
        with pytest.raises(InputError, match=f"searcher 'random' cannot search data with {order} modes"):
            study().check(order=order)  # and at once: a space of six modes has 640,000 compositions


# Planted tensors.


def test_ratings_are_those_of_the_plain_formula():
    dataset = plant(operation="plus(multiply(1,3),2)", noise=0.0, seed=3, **TINY)
    truth, ratings = dataset.truth, dataset.ratings

    def g(x, vector):
        w, b, a, c = vector
        return a / (1 + math.exp(-(w * x + b))) + c

    raw = []
    for index in ratings.indices.tolist():
        rows = [table[i].tolist() for table, i in zip(truth.embeddings, index, strict=True)]
        u, v, s = ([g(x, truth.architecture[name]) for x in row] for name, row in zip("pqr", rows, strict=True))
        raw.append(sum(w * (u[d] * s[d] + v[d]) for d, w in enumerate(truth.w.tolist())))
    raw = np.array(raw)
    assert ratings.values == pytest.approx((raw - raw.mean()) / raw.std(), rel=1e-5, abs=1e-5)
    assert ratings.shape == (12, 10, 4)
    assert len(ratings) == 144
    assert tensor_space(units=1).contains(truth.architecture)


def test_what_is_planted_by_a_name_is_planted_by_its_formula():
    plain, formula, turned = (
        plant(operation=name, seed=1, **TINY) for name in ("min", "min(1,2,3)", "min(3,min(2,1))")
    )
    assert plain.sha256 == formula.sha256 == turned.sha256
    assert plain.truth.architecture["operation"] == turned.truth.architecture["operation"] == "min(1,2,3)"
    concat = plant(operation="concat(3,multiply(1,2))", w=[1.0, 2.0, 3.0, 4.0], p="identity", **TINY)
    assert concat.truth.architecture["operation"] == "concat(multiply(1,2),3)"
    assert "p" not in concat.truth.architecture
    four = load("planted", operation="plus(multiply(1,2),min(3,4))", users=5, items=4, more=[3, 3], dim=2)
    assert four.ratings.order == 4
    assert tensor_space(order=4).contains(four.truth.architecture)


def test_a_third_mode_leaves_the_other_draws_alone():
    matrix = plant(operation="min", seed=5, **(TINY | {"more": []})).truth
    tensor = plant(operation="min", seed=5, **TINY).truth
    for name in ("p", "q"):
        assert tensor.architecture[name] == matrix.architecture[name]
    for mode in range(2):
        assert tensor.embeddings[mode].tolist() == matrix.embeddings[mode].tolist()
    assert tensor.w.tolist() == matrix.w.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation": "plus(multiply(1,2),3)", "more": []}, "is of 3 modes, but there are 2; more has the sizes"),
        ({"operation": "plus(times(1,2),3)"}, "operation is 'times', but must be one of multiply"),
        ({"operation": "plus(1,2"}, "cannot be read"),
        ({"more": [1]}, "more is 1, but must be an integer of at least 2"),
        ({"more": "five"}, "more is 'five'"),
        ({"more": [2] * 5}, "more has 5 numbers, but must have at most 4"),
        ({"more": [], "r": "identity"}, "r is the network of a third mode, but more, its size, is missing"),
        ({"r": [1.0]}, "r has 1 numbers, but must have 3 times the units plus 1"),
        ({"w": [1.0], "operation": "concat(plus(1,2),3)"}, "w has 1 numbers, but must have 4"),
    ],
)
def test_bad_planted_tensors_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        plant(**(TINY | options))


# The searchers.

ASK_TELL = ("random", "bayes", "evolution", "single-op")
ONE_SHOT = {"sif": {}, "sif-robust": {"rungs": [1]}, "nasp": {}, "darts": {}, "snas": {}}


def problem(engine="reference", init=0, rank=2, batch=32, **options):
    ratings = plant(**(TINY | {"operation": "plus(multiply(1,2),3)"} | options)).ratings
    training = Training.model_validate({"engine": engine, "batch_size": batch, "max_epochs": 3})
    data = random_split(ratings, 0).for_search()
    return Problem(TrainingTask(data, training, rank, np.random.SeedSequence(init)), NullMeter())


@pytest.mark.parametrize("name", ASK_TELL)
def test_ask_tell_searchers_search_compositions(name):
    space, asked = tensor_space(units=1), problem()
    searcher = build(name, SearchTask(space, 3, (0.0, 1e-3), np.random.SeedSequence(0)), {})
    for _ in range(6):
        (proposal,) = searcher.ask(1)
        evaluation = asked.evaluate(proposal.architecture)
        assert evaluation.status == "ok"
        assert math.isfinite(evaluation.rmse)
        if name == "single-op":
            assert proposal.architecture["operation"] in compositions()
        else:
            assert space.contains(proposal.architecture)
        searcher.tell(proposal.id, evaluation)


@pytest.mark.parametrize("engine", ["reference", "fused"])
@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_shot_searchers_search_compositions(name, engine):
    space = tensor_space(units=1, operations=("multiply", "plus", "max", "concat"))
    options = {"epochs": 2, **ONE_SHOT[name]}
    searcher = build(name, SearchTask(space, 3, (0.0,), np.random.SeedSequence(0)), options)
    searcher.start(problem(engine))
    steps = list(iter(searcher.step, None))
    assert len(steps) >= 2
    for incumbent in steps:
        assert incumbent.architecture["operation"] in space.parameters[0].options
        assert math.isfinite(incumbent.rmse)
        if name != "nasp":  # which has no networks
            assert space.contains(incumbent.architecture)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["plus(multiply(1,2),3)", "multiply(plus(1,3),2)"])
def test_sif_robust_finds_the_planted_composition(operation):
    given = {"users": 60, "items": 50, "more": [12], "dim": 4, "density": 0.35, "units": 5, "seed": 1}
    for seed in range(2):
        searcher = build("sif-robust", SearchTask(tensor_space(), 3, (0.0,), np.random.SeedSequence(seed)), {})
        searcher.start(problem("fused", seed, 4, 512, **given, operation=operation))
        found = list(iter(searcher.step, None))[-1]
        assert parse(found.architecture["operation"]).representative() == parse(operation).representative()
        assert found.rmse < 0.12  # the noise is 0.1


def test_given_weights_belong_to_concats_parts_as_they_are_written():
    """The blocks are sorted in the canonical form; the numbers go with them."""
    options = {"users": 6, "items": 5, "more": [4], "dim": 2, "density": 1.0, "noise": 0.0, "seed": 1}
    identity = dict.fromkeys("pqr", "identity")
    one = plant(operation="concat(3,multiply(1,2))", w=[1, 2, 3, 4], **options, **identity)
    other = plant(operation="concat(multiply(1,2),3)", w=[3, 4, 1, 2], **options, **identity)
    assert one.truth.architecture == other.truth.architecture
    assert one.ratings.values.tolist() == other.ratings.values.tolist()
    u, v, s = (table[one.ratings.indices[:, mode]] for mode, table in enumerate(one.truth.embeddings))
    raw = s @ [1, 2] + (u * v) @ [3, 4]
    np.testing.assert_allclose(one.ratings.values, (raw - raw.mean()) / raw.std(), atol=1e-5)


def test_of_two_modes_a_formula_is_its_operation():
    options = {"users": 6, "items": 5, "dim": 2, "density": 1.0, "noise": 0.0}
    planted = plant(operation="multiply(2,1)", **options)
    assert planted.truth.architecture["operation"] == "multiply"
    assert interaction_space().contains(planted.truth.architecture)


def test_a_truth_without_a_kernel_is_refused_before_the_oracle_runs():
    truth = plant(operation="concat", more=[4], users=6, items=5, density=1.0).truth.architecture
    oracle = study(searchers=["oracle"])
    with pytest.raises(InputError, match=r"no kernel for operation 'concat"):
        oracle.check(3, truth)
