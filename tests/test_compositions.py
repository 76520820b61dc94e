"""Compositions of operations: each against a plain formula, which of them are the same, and how they are read."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ENGINES, named, random_data, random_networks

from automl_cf.cf.batched import Candidate, train_batched
from automl_cf.cf.fused import train_fused
from automl_cf.cf.fused_supernet import FusedSupernet
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask
from automl_cf.cf.operations import operations
from automl_cf.cf.supernet import Supernet
from automl_cf.cf.training import Training
from automl_cf.errors import InputError
from automl_cf.searchers.sif import Lane, SifOptions
from automl_cf.spaces import Architecture, compositions, tensor_space
from automl_cf.spaces.formula import Formula, parse
from automl_cf.spaces.views.relaxation import relax

BASIC = ("multiply", "plus", "min", "max", "concat")


def cat(a, b):
    return np.concatenate([a, b], axis=1)


def low(a, b):
    return np.where(a < b, a, b)


def high(a, b):
    return np.where(a < b, b, a)


PLAIN = {
    "multiply(1,2,3)": lambda u, v, s: u * v * s,
    "plus(1,2,3)": lambda u, v, s: u + v + s,
    "min(1,2,3)": lambda u, v, s: low(u, low(v, s)),
    "max(1,2,3)": lambda u, v, s: high(u, high(v, s)),
    "multiply(plus(1,2),3)": lambda u, v, s: (u + v) * s,
    "multiply(plus(1,3),2)": lambda u, v, s: (u + s) * v,
    "multiply(plus(2,3),1)": lambda u, v, s: (v + s) * u,
    "multiply(min(1,2),3)": lambda u, v, s: low(u, v) * s,
    "multiply(min(1,3),2)": lambda u, v, s: low(u, s) * v,
    "multiply(min(2,3),1)": lambda u, v, s: low(v, s) * u,
    "multiply(max(1,2),3)": lambda u, v, s: high(u, v) * s,
    "multiply(max(1,3),2)": lambda u, v, s: high(u, s) * v,
    "multiply(max(2,3),1)": lambda u, v, s: high(v, s) * u,
    "plus(multiply(1,2),3)": lambda u, v, s: u * v + s,
    "plus(multiply(1,3),2)": lambda u, v, s: u * s + v,
    "plus(multiply(2,3),1)": lambda u, v, s: v * s + u,
    "plus(min(1,2),3)": lambda u, v, s: low(u, v) + s,
    "plus(min(1,3),2)": lambda u, v, s: low(u, s) + v,
    "plus(min(2,3),1)": lambda u, v, s: low(v, s) + u,
    "plus(max(1,2),3)": lambda u, v, s: high(u, v) + s,
    "plus(max(1,3),2)": lambda u, v, s: high(u, s) + v,
    "plus(max(2,3),1)": lambda u, v, s: high(v, s) + u,
    "min(multiply(1,2),3)": lambda u, v, s: low(u * v, s),
    "min(multiply(1,3),2)": lambda u, v, s: low(u * s, v),
    "min(multiply(2,3),1)": lambda u, v, s: low(v * s, u),
    "min(plus(1,2),3)": lambda u, v, s: low(u + v, s),
    "min(plus(1,3),2)": lambda u, v, s: low(u + s, v),
    "min(plus(2,3),1)": lambda u, v, s: low(v + s, u),
    "min(max(1,2),3)": lambda u, v, s: low(high(u, v), s),
    "min(max(1,3),2)": lambda u, v, s: low(high(u, s), v),
    "min(max(2,3),1)": lambda u, v, s: low(high(v, s), u),
    "max(multiply(1,2),3)": lambda u, v, s: high(u * v, s),
    "max(multiply(1,3),2)": lambda u, v, s: high(u * s, v),
    "max(multiply(2,3),1)": lambda u, v, s: high(v * s, u),
    "max(plus(1,2),3)": lambda u, v, s: high(u + v, s),
    "max(plus(1,3),2)": lambda u, v, s: high(u + s, v),
    "max(plus(2,3),1)": lambda u, v, s: high(v + s, u),
    "max(min(1,2),3)": lambda u, v, s: high(low(u, v), s),
    "max(min(1,3),2)": lambda u, v, s: high(low(u, s), v),
    "max(min(2,3),1)": lambda u, v, s: high(low(v, s), u),
    "concat(multiply(1,2),3)": lambda u, v, s: cat(u * v, s),
    "concat(multiply(1,3),2)": lambda u, v, s: cat(u * s, v),
    "concat(multiply(2,3),1)": lambda u, v, s: cat(v * s, u),
    "concat(plus(1,2),3)": lambda u, v, s: cat(u + v, s),
    "concat(plus(1,3),2)": lambda u, v, s: cat(u + s, v),
    "concat(plus(2,3),1)": lambda u, v, s: cat(v + s, u),
    "concat(min(1,2),3)": lambda u, v, s: cat(low(u, v), s),
    "concat(min(1,3),2)": lambda u, v, s: cat(low(u, s), v),
    "concat(min(2,3),1)": lambda u, v, s: cat(low(v, s), u),
    "concat(max(1,2),3)": lambda u, v, s: cat(high(u, v), s),
    "concat(max(1,3),2)": lambda u, v, s: cat(high(u, s), v),
    "concat(max(2,3),1)": lambda u, v, s: cat(high(v, s), u),
}


def test_every_composition_has_its_plain_formula_here():
    assert set(PLAIN) == set(compositions())


@pytest.mark.parametrize("name", compositions())
def test_a_composition_is_its_plain_formula(name):
    rows = np.random.default_rng(0).normal(size=(3, 20, 4))
    operation = operations.get(name)
    got = operation.combine([torch.tensor(part) for part in rows]).numpy()
    np.testing.assert_allclose(got, PLAIN[name](*rows), rtol=1e-12)
    assert got.shape == (20, operation.width(4, 3))
    assert operation.width(4, 3) == (8 if name.startswith("concat") else 4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", compositions())
def test_a_trained_model_predicts_by_the_plain_formula(name, engine):
    """The engines' own arithmetic: what a model predicts is w times the formula of its tables."""
    data, train = random_data((6, 5, 4), 40, 12), {"reference": train_interaction, "fused": train_fused}[engine]
    training = Training(precision="float64", max_epochs=1, batch_size=16)
    architecture, rng = Architecture({"operation": name}), np.random.default_rng(1)
    model = train(architecture, data, training, dim=3, l2=1e-3, rng=rng, meter=NullMeter()).model
    arrays, _ = model.parts()
    indices = np.argwhere(np.ones((6, 5, 4)))
    rows = [arrays[f"table{mode}"][indices[:, mode]] for mode in range(3)]
    np.testing.assert_allclose(model.predict(indices), PLAIN[name](*rows) @ arrays[f"predictor.{name}"], atol=1e-12)


# Which compositions are the same. Identity is that of the numbers, for any input; that of a concat up to the order of
# its blocks, since the weights w are learnt for each.

JOIN = {"multiply": np.multiply, "plus": np.add, "min": np.minimum, "max": np.maximum}


def value(tree, rows):
    """The blocks of a nested (operation, left, right), in no particular order."""
    if isinstance(tree, int):
        return [rows[tree]]
    operation, left, right = tree
    left, right = value(left, rows), value(right, rows)
    return left + right if operation == "concat" else [JOIN[operation](left[0], right[0])]


def trees(modes, inner, outer):
    """Every tree over the modes, in this order."""
    if len(modes) == 1:
        yield modes[0]
    for cut in range(1, len(modes)):
        for left, right in product(trees(modes[:cut], inner, inner), trees(modes[cut:], inner, inner)):
            yield from ((operation, left, right) for operation in outer)


def written(tree):
    return str(tree + 1) if isinstance(tree, int) else f"{tree[0]}({written(tree[1])},{written(tree[2])})"


def signature(tree, rows):
    return tuple(sorted(tuple(np.round(block, 9).tolist()) for block in value(tree, rows)))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_two_are_one_exactly_if_they_agree_on_random_inputs(order):
    rows = np.random.default_rng(0).normal(size=(order, 40))
    names = {}
    for modes in permutations(range(order)):
        for tree in trees(modes, BASIC[:-1], BASIC):
            names.setdefault(signature(tree, rows), set()).add(str(parse(written(tree)).canonical()))
    assert [len(same) for same in names.values()] == [1] * len(names)
    assert {name for same in names.values() for name in same} == set(compositions(order))
    assert len(compositions(order)) == len(names) == {2: 5, 3: 52, 4: 872}[order]


def as_tree(term):
    if isinstance(term, int):
        return term - 1
    first, *others = (as_tree(part) for part in term.parts)
    for other in others:
        first = (term.operation, first, other)
    return first


@pytest.mark.parametrize("order", [2, 3])
def test_classes_are_what_the_signs_of_modes_and_weights_make_equal(order):
    """By brute force: the signs of the modes are tried, each block's own is taken away; concat is plus if one is free.

    A concat's second weight can stretch and turn a block. To stretch it is to stretch its modes' embeddings, to turn
    it a plus needs a mode by itself, which every concat of three modes has: so it is compared as a plus.
    """
    rows = np.random.default_rng(1).normal(size=(order, 40))

    def reached(name):
        formula = parse(name)
        if formula.operation == "concat":
            formula = Formula("plus", formula.parts)
        tree = as_tree(formula)
        for signs in product((1, -1), repeat=order):
            (numbers,) = value(tree, rows * np.array(signs)[:, None])
            yield tuple(np.round(numbers * np.sign(numbers[0]), 9).tolist())

    classes = {name: set(reached(name)) for name in compositions(order)}
    for one, other in product(classes, repeat=2):
        same = bool(classes[one] & classes[other])
        assert (parse(one).representative() == parse(other).representative()) == same
    kept = compositions(order, one_per_class=True)
    assert len({parse(name).representative() for name in kept}) == len(kept) == {2: 3, 3: 24}[order]
    assert set(kept) <= set(compositions(order))
    assert "plus(1,2,3)" in kept if order == 3 else "plus(1,2)" in kept


def test_classes_of_four_modes():
    def same(one, other):
        return parse(one).representative() == parse(other).representative()

    assert same("multiply(max(1,2),min(3,4))", "multiply(min(1,2),min(3,4))")
    assert same("plus(max(1,2),max(3,4))", "plus(min(1,2),min(3,4))")
    assert not same("plus(max(1,2),min(3,4))", "plus(min(1,2),min(3,4))")
    assert same("concat(max(1,2),min(3,4))", "concat(min(1,2),min(3,4))")
    assert not same("concat(max(1,2),min(3,4))", "plus(max(1,2),min(3,4))")
    assert same("concat(multiply(1,2),min(3,4))", "plus(multiply(1,2),max(3,4))")


# How they are read.


def test_names_are_read_however_they_are_written():
    assert str(parse(" plus( 3, multiply(2 ,1)) ")) == "plus(3,multiply(2,1))"
    assert str(parse("plus(3,multiply(2,1))").canonical()) == "plus(multiply(1,2),3)"
    assert str(parse("max(max(3,1),2)").canonical()) == "max(1,2,3)"
    rows = [torch.tensor([[2.0]]), torch.tensor([[3.0]]), torch.tensor([[5.0]])]
    assert operations.get("plus(3,multiply(2,1))").combine(rows).tolist() == [[11.0]]
    assert operations.get("concat(3,multiply(2,1))").combine(rows).tolist() == [[5.0, 6.0]]
    assert operations.get("concat(1,2,3)").width(4, 3) == 12
    assert "(" not in "".join(operations.names())


@given(st.sampled_from(compositions(4)))
def test_names_are_canonical_and_round_trip(name):
    formula = parse(name)
    assert str(formula) == name
    assert formula.canonical() == formula
    assert formula.representative().representative() == formula.representative()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plus(1,2", "cannot be read; write it such as plus"),
        ("plus(1,2))", "cannot be read"),
        ("(1,2)", "cannot be read"),
        ("plus(1)", "cannot be read"),
        ("plus(1;2)", "cannot be read"),
        ("plus(1,1)", "uses the modes 1, 1, but must use each of 1, 2, ... up to their number once"),
        ("plus(1,3)", "uses the modes 1, 3"),
        ("plus(concat(1,2),3)", "has concat within"),
        ("plus(multiplyy(1,2),3)", r"Unknown operation 'multiplyy'.*mean 'multiply'"),
    ],
)
def test_what_is_no_composition_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        operations.get(name)


@pytest.mark.parametrize("engine", [train_interaction, train_fused])
def test_data_of_another_order_are_refused(engine):
    architecture, rng = Architecture({"operation": "plus(multiply(1,2),3)"}), np.random.default_rng(0)
    with pytest.raises(InputError, match="is of 3 modes, but the data have 2"):
        engine(architecture, random_data(), Training(), dim=3, l2=0.0, rng=rng, meter=NullMeter())


def test_the_fused_engine_refuses_a_concat_of_three():
    architecture, rng = Architecture({"operation": "concat"}), np.random.default_rng(0)
    with pytest.raises(InputError, match="no kernel for operation 'concat' of 3 modes"):
        train_fused(architecture, random_data((6, 5, 4)), Training(), dim=3, l2=0.0, rng=rng, meter=NullMeter())


# The engines agree.


def check_engines_agree(order, names, activation, batch, penalty, l2, seed):
    rng = np.random.default_rng(seed)
    data = random_data((7, 6, 5, 4)[:order], 60, 25, seed)
    selected = {"operation": names[0]} if len(names) == 1 else {"operations": tuple(names)}
    networks = named(random_networks(rng, order, activation)) if order == 3 else {}
    architecture = Architecture({**selected, **networks, "activation": activation or "sigmoid"})
    values = {"precision": "float64", "max_epochs": 3, "batch_size": batch, "penalty": penalty, "learning_rate": 0.1}
    training = Training.model_validate(values)
    fits = [
        train(architecture, data, training, dim=3, l2=l2, rng=np.random.default_rng(seed), meter=NullMeter())
        for train in (train_interaction, train_fused)
    ]
    assert fits[0].curve == pytest.approx(fits[1].curve, abs=1e-9)
    everything = np.argwhere(np.ones(data.train.shape))
    np.testing.assert_allclose(*(fit.model.predict(everything) for fit in fits), atol=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    names=st.lists(st.sampled_from([*compositions(), *BASIC[:-1]]), min_size=1, max_size=3, unique=True),
    activation=st.sampled_from([None, "sigmoid", "tanh", "relu"]),
    batch=st.sampled_from([0, 1, 7, 16, 1000]),
    penalty=st.sampled_from(["expected", "touched", "unsquared"]),
    l2=st.sampled_from([0.0, 1e-4, 1e-2]),
    seed=st.integers(0, 100),
)
def test_training_on_the_fused_engine_agrees_in_float64(names, activation, batch, penalty, l2, seed):
    check_engines_agree(3, names, activation, batch, penalty, l2, seed)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(names=st.lists(st.sampled_from(compositions(4)), min_size=1, max_size=2, unique=True), seed=st.integers(0, 100))
def test_training_on_four_modes_agrees_in_float64(names, seed):
    check_engines_agree(4, names, None, 16, "expected", 1e-3, seed)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("part", ["valid", "train"])
@pytest.mark.parametrize("units", [0, 3])
def test_algorithm_2_on_the_fused_engine_agrees_in_float64(k, part, units):
    relaxation = relax(tensor_space(units=units, k=k))
    training = Training(precision="float64", batch_size=16)
    task = TrainingTask(random_data((7, 6, 5), 60, 25), training, 3, np.random.SeedSequence(1))
    lanes = []
    for kind in (Supernet, FusedSupernet):

        class ProblemOf:
            meter = NullMeter()

            def supernet(self, relaxation, seed, kind=kind):
                return kind(relaxation, task, self.meter, seed)

        lanes.append(Lane(ProblemOf(), relaxation, SifOptions(), np.random.SeedSequence(2), part))
    for _ in range(3):
        one, other = (lane.epoch() for lane in lanes)
        assert one.rmse == pytest.approx(other.rmse, abs=1e-9)
    np.testing.assert_allclose(lanes[0].alpha, lanes[1].alpha, atol=1e-9)
    assert list(lanes[0].vectors) == (["p", "q", "r"] if units else [])
    for name in lanes[0].vectors:
        np.testing.assert_allclose(lanes[0].vectors[name], lanes[1].vectors[name], atol=1e-9)
    assert lanes[0].problem.meter.visits == lanes[1].problem.meter.visits


def test_the_batched_engine_trains_all_at_once_as_the_reference_does_each():
    data, training = random_data((7, 6, 5), 60, 25), Training(precision="float64", max_epochs=3, batch_size=16)
    networks = named(random_networks(np.random.default_rng(0), 3, "sigmoid"))
    candidates = [
        Candidate(Architecture({"operation": name, **networks}), 1e-3, np.random.SeedSequence(3))
        for name in compositions()
    ]
    together = train_batched(candidates, data, training, dim=3, meter=NullMeter())
    for candidate, fit in zip(candidates, together, strict=True):
        rng = np.random.default_rng(candidate.seed)
        alone = train_interaction(candidate.architecture, data, training, dim=3, l2=1e-3, rng=rng, meter=NullMeter())
        assert fit.curve == pytest.approx(alone.curve, abs=1e-9)
