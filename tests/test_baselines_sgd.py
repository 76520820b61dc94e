"""Biased MF and SVD++ against a naive loop, and against scikit-surprise where that is installed."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from reference import random_data

from automl_cf.cf import data as datasets
from automl_cf.cf.baselines import BASELINES, sgd
from automl_cf.cf.baselines.svdpp import implicit_part, rated_items
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.metrics import scores
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.splits import random_split
from automl_cf.cf.training import Training
from automl_cf.spaces import Architecture

RATE, L2, DIM = 0.03, 0.07, 3
needs_surprise = pytest.mark.skipif(find_spec("surprise") is None, reason="scikit-surprise is not installed")


def fitted(name, data, epochs, seed=0, dim=DIM, rate=RATE, l2=L2, **training):
    """The model after the last epoch, not the best one: patience and validation have no say in it."""
    settings = {"precision": "float64", "patience": 1000, "init_scale": 0.1, **training}
    return BASELINES[name].train(
        Architecture({"model": name, "learning_rate": rate}),
        data,
        Training(max_epochs=epochs, **settings),
        dim=dim,
        l2=l2,
        rng=np.random.default_rng(seed),
        meter=NullMeter(),
    )


def naive(name, data, epochs, seed=0):
    """Per-rating SGD written as the papers have it: the curve of validation RMSEs, and the last predictions."""
    train, rng = data.train, np.random.default_rng(seed)
    (users, items), r = train.indices.T, train.values.astype(np.float64)
    mean = r.mean()
    p, q = (rng.normal(0, 0.1, (n, DIM)) for n in train.shape)
    y = rng.normal(0, 0.1, q.shape) if name == "svdpp" else np.zeros_like(q)
    b, c = np.zeros(len(p)), np.zeros(len(q))
    rated = {u: items[users == u].tolist() for u in range(len(p))}

    def profile(u):
        return p[u] + (sum(y[j] for j in rated[u]) / np.sqrt(len(rated[u])) if rated[u] else 0)

    curve = []
    for _ in range(epochs):
        for n in shuffled(len(r), rng):
            u, i = users[n], items[n]
            about, before = profile(u), q[i].copy()
            error = r[n] - (mean + b[u] + c[i] + before @ about)
            b[u] += RATE * (error - L2 * b[u])
            c[i] += RATE * (error - L2 * c[i])
            p[u] += RATE * (error * before - L2 * p[u])
            q[i] += RATE * (error * about - L2 * before)
            if name == "svdpp":
                for j in rated[u]:
                    y[j] += RATE * (error * before / np.sqrt(len(rated[u])) - L2 * y[j])
        full = [np.array([profile(u) for u in range(len(p))]), q.copy()]
        bias = [b.copy(), c.copy()]
        for mode in range(2):
            cold = train.counts(mode) == 0
            full[mode][cold], bias[mode][cold] = full[mode][~cold].mean(0), bias[mode][~cold].mean()
        u, i = data.valid.indices.T
        prediction = mean + bias[0][u] + bias[1][i] + (full[0][u] * full[1][i]).sum(1)
        curve.append(np.sqrt(np.mean((prediction - data.valid.values) ** 2)))
    return curve


@pytest.mark.parametrize("name", ["biased-mf", "svdpp"])
@pytest.mark.parametrize("seed", range(3))
def test_training_is_the_naive_loop(name, seed):
    data = random_data((7, 6), train=25, valid=12, seed=seed)
    fit = fitted(name, data, epochs=6, seed=seed)
    assert fit.curve == pytest.approx(naive(name, data, 6, seed), abs=1e-9)
    assert fit.rmse == min(fit.curve)
    error = fit.model.predict(data.valid.indices) - data.valid.values
    assert np.sqrt(np.mean(error**2)) == pytest.approx(fit.rmse, abs=1e-12)


def test_the_implicit_feedback_is_of_training_ratings_only():
    data = random_data((7, 6), train=25, valid=12)
    rated, starts = rated_items(data.train)
    for user in range(7):
        own = data.train.indices[data.train.indices[:, 0] == user, 1]
        assert sorted(rated[starts[user] : starts[user + 1]]) == sorted(own)
    y = np.random.default_rng(0).normal(size=(6, 2))
    parts = implicit_part(y, rated, starts)
    assert parts[6].tolist() == [0, 0]  # the cold user
    own = data.train.indices[data.train.indices[:, 0] == 2, 1]
    assert parts[2] == pytest.approx(y[own].sum(0) / np.sqrt(len(own)))


@pytest.mark.parametrize("name", ["biased-mf", "svdpp"])
def test_single_precision_is_near_double(name):
    data = random_data((7, 6), train=25, valid=12)
    double, single = (fitted(name, data, 4, precision=precision).curve for precision in ("float64", "float32"))
    assert single == pytest.approx(double, abs=1e-4)
    assert single != double


@pytest.mark.parametrize("name", ["biased-mf", "svdpp"])
def test_visits_are_the_ratings_of_every_epoch(name):
    data, meter = random_data((7, 6), train=25, valid=12), NullMeter()
    BASELINES[name].train(
        Architecture({"model": name}),
        data,
        Training(max_epochs=3),
        dim=2,
        l2=0.1,
        rng=np.random.default_rng(0),
        meter=meter,
    )
    assert meter.visits == 75


def ml_100k():
    split = random_split(datasets.load("ml-100k").ratings, 1)
    return split, split.for_search()


def surprise_of(name, data, epochs, seed, rate, l2):
    """scikit-surprise's algorithm, before its training and after, and the ratings as it numbers and orders them."""
    import surprise

    users, items = data.train.indices.T
    frame = pd.DataFrame({"user": users, "item": items, "rating": data.train.values.astype(np.float64)})
    trainset = surprise.Dataset.load_from_df(frame, surprise.Reader(rating_scale=(-9, 9))).build_full_trainset()
    how = {"n_factors": 8, "lr_all": rate, "reg_all": l2, "random_state": seed}
    kind = {"biased-mf": surprise.SVD, "svdpp": surprise.SVDpp}[name]
    before, after = (kind(n_epochs=n, **how).fit(trainset) for n in (0, epochs))
    return trainset, before, after


@needs_surprise
@pytest.mark.parametrize("name", ["biased-mf", "svdpp"])
def test_the_kernels_do_what_scikit_surprise_does(name):
    """From its initial values and in its order, all its parameters come out."""
    data = random_data((9, 8), train=60, valid=12)
    seen = pd.DataFrame(data.train.indices).drop_duplicates().index.to_numpy()  # it takes a pair once
    data = type(data)(data.train.take(seen), data.valid, 0.0, 1.0, "")
    trainset, before, after = surprise_of(name, data, 5, 3, 0.02, 0.05)
    triples = list(trainset.all_ratings())
    pairs = np.array([triple[:2] for triple in triples], np.uint32)
    values = np.array([triple[2] for triple in triples])
    biases, factors = (before.bu.copy(), before.bi.copy()), (before.pu.copy(), before.qi.copy())
    order = np.arange(len(values), dtype=np.uint32)
    start = (order, pairs, values, float(trainset.global_mean), biases, factors)
    if name == "svdpp":
        implicit = before.yj.copy()
        rated = np.array([item for user in range(trainset.n_users) for item, _ in trainset.ur[user]], np.uint32)
        starts = np.cumsum([0, *(len(trainset.ur[user]) for user in range(trainset.n_users))]).astype(np.uint32)
        for _ in range(5):
            sgd.svdpp_epoch(*start, implicit, rated, starts, 0.02, 0.05)
        assert implicit == pytest.approx(after.yj, abs=1e-12)
    else:
        for _ in range(5):
            sgd.biased_mf_epoch(*start, 0.02, 0.05)
    for ours, theirs in zip((*biases, *factors), (after.bu, after.bi, after.pu, after.qi), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-12)


@needs_surprise
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outside", "epochs", "rate"),
    [("biased-mf", "surprise-svd", 20, 0.005), ("svdpp", "surprise-svdpp", 15, 0.007)],
)
def test_ml_100k_as_by_scikit_surprise(name, outside, epochs, rate):
    """With its default settings, the mean test RMSE over three seeds: initial values and order differ."""
    split, data = ml_100k()
    means = {}
    for model in (name, outside):
        found = []
        for seed in range(3):
            fit = BASELINES[model].train(
                Architecture({"model": model, "learning_rate": rate, "epochs": epochs}),
                data,
                Training(max_epochs=epochs, patience=1000),
                dim=8,
                l2=0.02,
                rng=np.random.default_rng(seed),
                meter=NullMeter(),
            )
            assert fit.best_epoch == epochs  # so that the best state is the last one
            prediction = data.in_data_units(fit.model.predict(split.test.indices))
            found.append(scores(prediction, split.test, split.train, split.value_std).rmse_std)
        means[model] = np.mean(found)
    assert means[name] == pytest.approx(means[outside], abs=0.003)
