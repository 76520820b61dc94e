"""The models' formulas against plain ones, and what is common to all forms."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import random_data, tiny_task

from automl_cf.cf.baselines.conv_ncf import conv_ncf_form
from automl_cf.cf.baselines.factorization import anova, fm_form, hofm_form, pairs
from automl_cf.cf.baselines.form import FormModel
from automl_cf.cf.baselines.neural import deep_wide_form, ncf_form
from automl_cf.cf.baselines.operation import operation_form
from automl_cf.cf.baselines.tucker import tucker_form
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import models, train
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture

FORMS = {
    "altgrad": lambda dim, order: operation_form("multiply", dim, order),
    "conv-ncf": lambda dim, order: conv_ncf_form(dim, 3),
    "deep-wide": deep_wide_form,
    "wide": lambda dim, order: deep_wide_form(dim, order, wide=True),
    "fm": fm_form,
    "hofm": hofm_form,
    "ncf": ncf_form,
    "tucker": tucker_form,
}


def drawn(form, order, seed=0, n=5):
    """Random rows (n, width) of every mode, and random weights."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(n, form.width)) for _ in range(order)]
    return rows, {name: rng.normal(size=shape) for name, shape in form.weights.items()}


def scores(form, rows, weights):
    tensors = {name: torch.tensor(weight) for name, weight in weights.items()}
    return form.score([torch.tensor(row) for row in rows], tensors).numpy()


dims, orders, seeds = st.integers(1, 5), st.integers(2, 5), st.integers(0, 99)


@given(dims, orders, seeds)
def test_fm_is_its_sum_over_all_pairs(dim, order, seed):
    form = fm_form(dim, order)
    rows, weights = drawn(form, order, seed)
    for i, score in enumerate(scores(form, rows, weights)):
        expected = weights["w0"][0] + sum(row[i, 0] for row in rows)
        for a, b in itertools.combinations(range(order), 2):
            expected += sum(rows[a][i, 1 + f] * rows[b][i, 1 + f] for f in range(dim))
        assert score == pytest.approx(expected, abs=1e-10)


def enumerated(factors, degree):
    """The ANOVA kernel by its definition: a product for every set of `degree` modes."""
    return sum(
        math.prod(factors[mode][f] for mode in modes)
        for modes in itertools.combinations(range(len(factors)), degree)
        for f in range(len(factors[0]))
    )


@given(dims, st.integers(1, 6), st.integers(1, 6), seeds)
def test_the_anova_kernel_is_its_enumeration(dim, order, degree, seed):
    factors = np.random.default_rng(seed).normal(size=(order, 1, dim))
    found = anova([torch.tensor(factor) for factor in factors], degree).item()
    assert found == pytest.approx(enumerated(factors[:, 0], degree), abs=1e-9)


def test_two_formulas_of_degree_two_agree():
    factors = [torch.randn(4, 3, dtype=torch.float64) for _ in range(5)]
    assert pairs(factors).numpy() == pytest.approx(anova(factors, 2).numpy(), abs=1e-12)


@given(dims, orders, st.integers(2, 4), seeds)
def test_hofm_is_the_sum_of_all_sets_of_modes(dim, order, degree, seed):
    form = hofm_form(dim, order, degree)
    rows, weights = drawn(form, order, seed)
    for i, score in enumerate(scores(form, rows, weights)):
        expected = weights["w0"][0] + sum(row[i, 0] for row in rows)
        for t in range(2, min(degree, order) + 1):
            start = 1 + (t - 2) * dim
            expected += enumerated([row[i, start : start + dim] for row in rows], t)
        assert score == pytest.approx(expected, abs=1e-9)


@given(dims, seeds)
def test_cp_and_tucker_are_their_einsums(dim, seed):
    for order, letters in ((2, "ab"), (3, "abc"), (4, "abcd")):
        form = tucker_form(dim, order)
        rows, weights = drawn(form, order, seed)
        product = ",".join(f"n{letter}" for letter in letters)
        expected = np.einsum(f"{product},{letters}->n", *rows, weights["w"])
        assert scores(form, rows, weights) == pytest.approx(expected, abs=1e-9)
        form = operation_form("multiply", dim, order)
        rows, weights = drawn(form, order, seed)
        expected = np.einsum(",".join(["nf"] * order) + ",f->n", *rows, weights["w"])
        assert scores(form, rows, weights) == pytest.approx(expected, abs=1e-9)


def relu(x):
    return np.where(x > 0, x, 0)


@given(dims, st.integers(2, 3), seeds, st.booleans())
def test_deep_and_wide_is_its_layers(dim, order, seed, wide):
    form = deep_wide_form(dim, order, wide)
    rows, weights = drawn(form, order, seed)
    for i, score in enumerate(scores(form, rows, weights)):
        joined = np.concatenate([row[i, int(wide) :] for row in rows])
        hidden = relu(weights["B"] @ relu(weights["A"] @ joined + weights["a"]) + weights["b"])
        expected = weights["w"] @ hidden + (sum(row[i, 0] for row in rows) if wide else 0)
        assert score == pytest.approx(expected, abs=1e-9)


@given(dims, st.integers(2, 3), seeds)
def test_ncf_is_its_two_parts(dim, order, seed):
    form = ncf_form(dim, order)
    rows, weights = drawn(form, order, seed)
    for i, score in enumerate(scores(form, rows, weights)):
        product = np.prod([row[i] for row in rows], axis=0)
        hidden = relu(weights["A"] @ np.concatenate([row[i] for row in rows]) + weights["a"])
        assert score == pytest.approx(weights["w"][:dim] @ product + weights["w"][dim:] @ hidden, abs=1e-9)


@given(st.integers(1, 9), seeds)
def test_conv_ncf_is_its_layers(dim, seed):
    form = conv_ncf_form(dim, channels=2)
    rows, weights = drawn(form, 2, seed, n=2)
    for i, score in enumerate(scores(form, rows, weights)):
        maps, layer = {(a, b): [rows[0][i, a] * rows[1][i, b]] for a in range(dim) for b in range(dim)}, 0
        while len(maps) > 1:
            kernel, bias = weights[f"kernel{layer}"], weights[f"bias{layer}"]
            size, empty = math.isqrt(len(maps)), [0.0] * len(maps[0, 0])
            maps = {
                (a, b): relu(
                    kernel
                    @ np.concatenate([maps.get((2 * a + c, 2 * b + d), empty) for c in range(2) for d in range(2)])
                    + bias
                )
                for a in range(-(-size // 2))
                for b in range(-(-size // 2))
            }
            layer += 1
        assert score == pytest.approx(weights["w"] @ np.array(maps[0, 0]), abs=1e-9)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_reach_everything(name):
    form = FORMS[name](4, 2)
    rows, weights = drawn(form, 2, n=200)
    leaves = [torch.tensor(x, requires_grad=True) for x in (*rows, *weights.values())]
    named = dict(zip(weights, leaves[2:], strict=True))
    gradients = torch.autograd.grad(form.score(leaves[:2], named).square().sum(), leaves)
    assert all((gradient != 0).any() for gradient in gradients)


@pytest.mark.parametrize("name", ["fm", "wide"])
def test_linear_terms_start_at_zero_and_cold_rows_have_the_mean(name):
    model = {"fm": {"model": "fm"}, "wide": {"model": "deep-wide", "wide": True}}[name]
    data = random_data((6, 5))
    fit = train(Architecture(model | {"learning_rate": 1e-12}), tiny_task(data, max_epochs=1), NullMeter())
    for table in fit.model.tables:
        assert table[:, 0].abs().max() < 1e-9
    fit = train(Architecture(model), tiny_task(data, max_epochs=3), NullMeter())
    for table in fit.model.tables:
        assert table[-1].numpy() == pytest.approx(table[:-1].numpy().mean(axis=0), abs=1e-6)


@pytest.mark.parametrize("name", ["altgrad", "ncf", "tucker", "deep-wide", "conv-ncf"])
def test_predictors_stay_in_the_unit_ball(name):
    fit = train(Architecture({"model": name, "learning_rate": 1.0}), tiny_task(), NullMeter())
    assert fit.model.weights["w"].norm() <= 1 + 1e-6


@pytest.mark.parametrize(
    "name", ["altgrad", "ncf", "fm", "deep-wide", "conv-ncf", "tucker", "hofm", "conv", "svdpp", "biased-mf"]
)
def test_a_stored_model_predicts_the_same(name):
    task = tiny_task()
    fit = train(Architecture({"model": name}), task, NullMeter())
    arrays, values = fit.model.parts()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    again = models.get(name).restore(
        {key: array.copy() for key, array in arrays.items()}, json.loads(json.dumps(values))
    )
    indices = task.data.valid.indices
    assert again.predict(indices).tolist() == fit.model.predict(indices).tolist()
    assert again.parts()[1] == values


def test_a_stored_altgrad_of_the_fused_engine_predicts_the_same():
    task = tiny_task(engine="fused")
    fit = train(Architecture({"model": "altgrad"}), task, NullMeter())
    again = models.get("altgrad").restore(*fit.model.parts())
    indices = task.data.valid.indices
    assert again.predict(indices) == pytest.approx(fit.model.predict(indices), abs=1e-6)


def test_many_ratings_are_scored_in_chunks(monkeypatch):
    task = tiny_task()
    model = train(Architecture({"model": "ncf"}), task, NullMeter()).model
    indices = task.data.train.indices
    whole = model.predict(indices)
    monkeypatch.setattr("automl_cf.cf.baselines.form._NUMBERS_AT_ONCE", 100)
    assert isinstance(model, FormModel)
    assert model.predict(indices) == pytest.approx(whole, abs=1e-6)
    assert model.predict(indices[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"model": "fm", "learning_rate": 0}, "'learning_rate' of model 'fm' is 0, but must be a number above 0"),
        ({"model": "fm", "learning_rate": "fast"}, "'learning_rate' of model 'fm' is 'fast'"),
        ({"model": "biased-mf", "learning_rate": True}, "'learning_rate' of model 'biased-mf' is True"),
        ({"model": "hofm", "degree": 1}, "'degree' of model 'hofm' is 1, but must be a whole number of at least 2"),
        ({"model": "deep-wide", "wide": 1}, "'wide' of model 'deep-wide' is 1, but must be true or false"),
        ({"model": "conv-ncf", "channels": 0}, "'channels' of model 'conv-ncf' is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(architecture, message):
    with pytest.raises(InputError, match=message):
        train(Architecture(architecture), tiny_task(), NullMeter())


@pytest.mark.parametrize("name", ["biased-mf", "svdpp", "conv-ncf"])
def test_models_of_matrices_refuse_tensors(name):
    with pytest.raises(InputError, match=f"model '{name}' is for data with 2 modes, but these have 3"):
        train(Architecture({"model": name}), tiny_task(random_data((4, 3, 5))), NullMeter())
