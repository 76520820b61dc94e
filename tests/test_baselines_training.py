"""Each model learns what was made by it; what diverges or is missing is a result or a clear error."""

from dataclasses import replace
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from reference import tiny_task

from automl_cf.cf.baselines import BASELINES
from automl_cf.cf.baselines.conv_ncf import conv_ncf_form
from automl_cf.cf.baselines.factorization import fm_form, hofm_form
from automl_cf.cf.baselines.neural import deep_wide_form, ncf_form
from automl_cf.cf.baselines.operation import operation_form
from automl_cf.cf.baselines.tucker import tucker_form
from automl_cf.cf.bias import BIAS_L2_GRID
from automl_cf.cf.meter import BudgetExhausted, NullMeter
from automl_cf.cf.models import train
from automl_cf.cf.problem import Problem
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import random_split
from automl_cf.cf.training import PAPER_L2_GRID, Training
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture

DIM = 2
LIBRARIES = {"surprise-svd": "surprise", "surprise-svdpp": "surprise", "myfm": "myfm"}
INSTALLED = [name for name in BASELINES if find_spec(LIBRARIES.get(name, "numpy"))]
OPERATION_OF = {"altgrad": "multiply", "cp": "multiply", "conv": "conv", "outer": "outer", "minus": "minus"}


def form_of(name, order):
    if name in OPERATION_OF:
        return operation_form(OPERATION_OF[name], DIM, order)
    if name == "conv-ncf":
        return conv_ncf_form(DIM)
    others = {"fm": fm_form, "hofm": hofm_form, "ncf": ncf_form, "deep-wide": deep_wide_form, "tucker": tucker_form}
    return others.get(name, fm_form)(DIM, order)


def values_of(name, shape, indices, rng):
    """What a random model of that name says, (n,)."""
    if "svdpp" in name:  # users are nothing but what they rated
        u, i = indices.T
        y, q = (rng.normal(size=(shape[1], DIM)) for _ in range(2))
        rated = np.zeros(shape)
        rated[u, i] = 1
        profile = rated @ y / np.sqrt(np.maximum(rated.sum(1), 1))[:, None]
        return (profile[u] * q[i]).sum(1)
    form = form_of(name, len(shape))
    rows = [rng.normal(size=(n, form.width))[indices[:, mode]] for mode, n in enumerate(shape)]
    weights = {key: torch.tensor(rng.normal(size=size)) for key, size in form.weights.items()}
    return form.score([torch.tensor(row) for row in rows], weights).numpy()


@cache
def made_by(name, order):
    """A split of ratings that a random model made, a tenth of their standard deviation being noise."""
    rng = np.random.default_rng(0)
    shape, n = ((60, 50), 2000) if order == 2 else ((25, 20, 12), 3000)
    entries = rng.choice(np.prod(shape), n, replace=False)
    indices = np.stack(np.unravel_index(entries, shape), axis=1)
    values = values_of(name, shape, indices, rng)
    noisy = values / values.std() + 0.1 * rng.normal(size=n)
    return random_split(RatingTensor(indices, noisy.astype(np.float32), shape), 0).for_search()


def best(name, data, grid, rates=(None,), **more):
    """The validation RMSE of a model tuned as its searcher does, more or less."""
    found = []
    for l2 in grid:
        for rate in rates:
            architecture = Architecture({"model": name, **({"learning_rate": rate} if rate else {}), **more})
            task = replace(
                tiny_task(data, batch_size=64, max_epochs=60), dim=8 if name == "deep-wide" else DIM
            )  # of few ReLU units all may die
            found.append(train(architecture, task, NullMeter(), l2=l2).rmse)
    return np.nanmin(found)


# How much better than bias-only a model must be on its own data. minus is a bias model.
MATRIX = ["altgrad", "biased-mf", "conv", "conv-ncf", "deep-wide", "fm", "myfm", "ncf", "outer", "surprise-svd"]
TENSOR = ["cp", "deep-wide", "fm", "hofm", "myfm", "ncf", "tucker"]
CASES = [(name, 2) for name in [*MATRIX, "surprise-svdpp", "svdpp"]] + [(name, 3) for name in TENSOR]


@pytest.mark.parametrize(("name", "order"), [case for case in CASES if case[0] in INSTALLED])
def test_a_model_beats_the_biases_on_data_of_its_own(name, order):
    data = made_by(name, order)
    if name == "myfm":
        mine = best(name, data, (0.0,))
    elif name.startswith("surprise"):
        mine = best(name, data, (0.02,), (0.02,), epochs=60)
    elif name in ("biased-mf", "svdpp"):
        mine = best(name, data, (0.02,), (0.02, 0.01))
    else:
        mine = best(name, data, (3e-4,), (0.2, 0.05))
    assert mine < 0.8 * best("bias-only", data, BIAS_L2_GRID)


def test_minus_is_a_bias_model():
    data = made_by("minus", 2)
    bias = best("bias-only", data, BIAS_L2_GRID)
    assert bias < 0.2
    assert best("minus", data, PAPER_L2_GRID) == pytest.approx(bias, abs=0.02)


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "myfm"])  # which has no learning rate
def test_a_learning_rate_too_high_diverges(name):
    order = 3 if name in ("cp", "tucker", "hofm") else 2
    task = tiny_task(made_by("fm", order), batch_size=64)
    architecture = Architecture({"model": name, "learning_rate": 1e30})
    fit = train(architecture, task, NullMeter())
    assert (fit.status, fit.model) == ("diverged", None)
    assert np.isnan(fit.rmse)
    assert Problem(task, NullMeter()).evaluate(architecture).status == "diverged"


@pytest.mark.parametrize("name", INSTALLED)
def test_the_seed_determines_all(name):
    data = made_by("fm", 3 if name in ("cp", "tucker", "hofm") else 2)
    architecture = Architecture({"model": name})
    fits = [train(architecture, tiny_task(data, seed=s, max_epochs=2), NullMeter()) for s in (5, 5, 6)]
    assert fits[0].curve == fits[1].curve
    assert fits[0].curve != fits[2].curve


@pytest.mark.parametrize("name", INSTALLED)
def test_an_exhausted_budget_ends_a_training(name):
    class Spent(NullMeter):
        def check(self):
            raise BudgetExhausted("visits")

    order = 3 if name in ("cp", "tucker", "hofm") else 2
    with pytest.raises(BudgetExhausted):
        train(Architecture({"model": name}), tiny_task(made_by("fm", order)), Spent())


@pytest.mark.parametrize("name", [name for name in INSTALLED if name in LIBRARIES])
def test_outside_models_are_read_out_whole(name):
    """Stored, they predict the same; and their cold rows are treated as everybody's are."""
    data = made_by("fm", 2)
    shape = tuple(n + 1 for n in data.train.shape)  # one row more in each mode: it is cold
    data = replace(data, train=RatingTensor(data.train.indices, data.train.values, shape))
    fit = train(Architecture({"model": name}), tiny_task(data), NullMeter())
    again = BASELINES[name].restore(*fit.model.parts())
    assert again.predict(data.valid.indices).tolist() == fit.model.predict(data.valid.indices).tolist()
    user, everyone = shape[0] - 1, np.flatnonzero(data.train.counts(0))
    mean = fit.model.predict(np.array([[u, 0] for u in everyone])).mean()
    assert fit.model.predict(np.array([[user, 0]])) == pytest.approx([mean])


@pytest.mark.skipif(find_spec("surprise") is None, reason="scikit-surprise is not installed")
@pytest.mark.parametrize("name", ["surprise-svd", "surprise-svdpp"])
def test_surprise_models_predict_as_surprise_does(name, monkeypatch):
    import surprise

    fitted, kind = [], {"surprise-svd": "SVD", "surprise-svdpp": "SVDpp"}[name]
    original = getattr(surprise, kind)

    class Spied(original):
        def fit(self, trainset):
            fitted.append(self)
            return super().fit(trainset)

    monkeypatch.setattr(surprise, kind, Spied)
    data = made_by("fm", 2)
    model = train(Architecture({"model": name}), tiny_task(data), NullMeter()).model
    theirs = [fitted[0].predict(u, i, clip=False).est for u, i in data.valid.indices.tolist()]
    assert model.predict(data.valid.indices) == pytest.approx(np.array(theirs), abs=1e-9)


@pytest.mark.skipif(find_spec("myfm") is None, reason="myFM is not installed")
@pytest.mark.parametrize("order", [2, 3])
def test_myfm_predicts_as_myfm_does(order):
    from automl_cf.cf.baselines.outside import SampledFm, _myfm
    from automl_cf.cf.bias import one_hot

    data = made_by("fm", order)
    regressor = _myfm().MyFMGibbsRegressor(rank=DIM, random_seed=1)
    regressor.fit(one_hot(data.train), data.train.values.astype(float), n_iter=20, n_kept_samples=5)
    model = SampledFm.of(regressor.predictor_.samples, data.train)
    assert len(model.w0) == 5
    theirs = regressor.predict(one_hot(data.valid))
    assert model.predict(data.valid.indices) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_named_with_the_extra(name, monkeypatch):
    monkeypatch.setattr("automl_cf.cf.baselines.outside.find_spec", lambda module: None)
    package = {"surprise": "scikit-surprise", "myfm": "myfm"}[LIBRARIES[name]]
    with pytest.raises(InputError, match=rf"'{name}' needs the package {package}: pip install .*\[baselines\]"):
        train(Architecture({"model": name}), tiny_task(), NullMeter())


def test_they_are_trained_by_the_studys_protocol():
    data = made_by("fm", 2)
    fit = train(Architecture({"model": "fm"}), tiny_task(data, max_epochs=3, patience=3), NullMeter(), epochs=2)
    assert (fit.epochs, len(fit.curve)) == (2, 2)
    meter = NullMeter()
    train(Architecture({"model": "fm"}), tiny_task(data, max_epochs=3, patience=3), meter)
    assert meter.visits == 3 * len(data.train)
    assert Training().learning_rate == 0.2  # the first that the searchers try
