"""The operations minus, conv and outer, and models that are one operation."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import random_data, tiny_task

from automl_cf.cf.baselines import BASELINES
from automl_cf.cf.baselines.form import FormModel, train_form
from automl_cf.cf.baselines.operation import operation_form
from automl_cf.cf.fused import FusedModel
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import Candidate, train, train_all
from automl_cf.cf.operations import operations
from automl_cf.cf.training import Training
from automl_cf.spaces import Architecture


def direct_convolution(u, v):
    """sum over l of u_l v_(k - l mod dim), as it is defined."""
    dim = len(u)
    return [sum(u[l] * v[(k - l) % dim] for l in range(dim)) for k in range(dim)]  # noqa: E741


def looped_outer(*vectors):
    return [np.prod(elements) for elements in itertools.product(*vectors)]


def by_formula(name, vectors):
    first, *others = vectors
    if name == "outer":
        return looped_outer(*vectors)
    for other in others:
        first = first - other if name == "minus" else np.array(direct_convolution(first, other))
    return first


@given(st.integers(1, 9), st.integers(2, 4), st.sampled_from(["minus", "conv", "outer"]), st.integers(0, 99))
def test_operations_are_their_formulas(dim, order, name, seed):
    rows = np.random.default_rng(seed).normal(size=(order, 3, dim))
    operation = operations.get(name)
    combined = operation.combine([torch.tensor(part) for part in rows])
    assert combined.shape == (3, operation.width(dim, order))
    for i in range(3):
        assert combined[i].numpy() == pytest.approx(np.array(by_formula(name, rows[:, i])), abs=1e-12)


@pytest.mark.parametrize("name", ["minus", "conv", "outer"])
@pytest.mark.parametrize("dim", [3, 4])
def test_gradients_are_right_twice(name, dim):
    """One-shot searchers differentiate through a training step."""
    leaves = [torch.randn(2, dim, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    torch.autograd.gradcheck(lambda *parts: operations.get(name).combine(parts), leaves)
    torch.autograd.gradgradcheck(lambda *parts: operations.get(name).combine(parts), leaves)


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5)])
@pytest.mark.parametrize("name", ["multiply", "concat", "max", "minus", "conv", "outer"])
@pytest.mark.parametrize("penalty", ["expected", "touched", "unsquared"])
def test_a_form_is_trained_as_the_reference_engine_trains(shape, name, penalty):
    data = random_data(shape)
    training = Training(precision="float64", batch_size=8, penalty=penalty, max_epochs=6)
    how = {"l2": 0.05, "meter": NullMeter()}
    ours = train_form(operation_form(name, 3, len(shape)), data, training, rng=np.random.default_rng(1), **how)
    theirs = train_interaction(
        Architecture({"operation": name}), data, training, dim=3, rng=np.random.default_rng(1), **how
    )
    assert ours.curve == pytest.approx(theirs.curve, abs=1e-12)
    assert (ours.epochs, ours.best_epoch) == (theirs.epochs, theirs.best_epoch)
    predicted = theirs.model.predict(data.valid.indices)
    assert ours.model.predict(data.valid.indices) == pytest.approx(predicted, abs=1e-12)


@pytest.mark.parametrize("engine", ["fused", "reference", "batched"])
def test_altgrad_is_multiply_with_a_learning_rate_of_its_own(engine):
    task, plain = (tiny_task(precision="float64", engine=engine, learning_rate=rate) for rate in (0.2, 0.07))
    fit = train(Architecture({"model": "altgrad", "learning_rate": 0.07}), task, NullMeter(), l2=1e-2)
    expected = train(Architecture({"operation": "multiply"}), plain, NullMeter(), l2=1e-2)
    assert fit.curve == pytest.approx(expected.curve, abs=1e-9)


@pytest.mark.parametrize("name", ["minus", "conv", "outer"])
def test_the_batched_engine_takes_them(name):
    candidate = Candidate(Architecture({"operation": name}), 1e-3, np.random.SeedSequence(3))
    fits = [
        train_all([candidate], tiny_task(precision="float64", engine=e), NullMeter()) for e in ("batched", "reference")
    ]
    assert fits[0][0].curve == pytest.approx(fits[1][0].curve, abs=1e-9)


@pytest.mark.parametrize("name", ["altgrad", "minus", "conv", "outer"])
def test_on_the_fused_engine_they_are_its_interaction_functions(name):
    fused, reference = (tiny_task(precision="float64", engine=engine) for engine in ("fused", "reference"))
    architecture = Architecture({"model": name})
    fit, expected = (train(architecture, task, NullMeter(), l2=1e-2) for task in (fused, reference))
    assert isinstance(fit.model, FusedModel)
    assert fit.curve == pytest.approx(expected.curve, abs=1e-9)
    indices = fused.data.valid.indices
    predicted = fit.model.predict(indices)
    assert predicted == pytest.approx(expected.model.predict(indices), abs=1e-9)
    assert BASELINES[name].restore(*fit.model.parts()).predict(indices) == pytest.approx(predicted, abs=1e-9)


def test_outer_of_three_modes_trains_without_kernels():
    data = random_data((4, 3, 5))
    fits = [
        train(Architecture({"model": "outer"}), tiny_task(data, precision="float64", engine=e), NullMeter(), l2=1e-2)
        for e in ("fused", "reference")
    ]
    assert isinstance(fits[0].model, FormModel)
    assert fits[0].curve == fits[1].curve
