import itertools
import json

import numpy as np
import pytest
from reference import (
    ACTIVATIONS,
    OPERATIONS,
    numeric_gradient,
    penalty,
    predict,
    random_data,
    random_networks,
    tiny_task,
)

from automl_cf.cf.meter import NullMeter
from automl_cf.cf.problem import Problem
from automl_cf.errors import InputError
from automl_cf.spaces import Choice, Space, Vector, interaction_space
from automl_cf.spaces.views.relaxation import relax

L2 = 0.3
RATE = 0.4
SHAPES = [(6, 5), (4, 3, 5)]


def space(order=2, activation="sigmoid", units=2):
    """The interaction space with a network for each mode."""
    networks = [Vector(name, 3 * units + 1, 3.0) for name in "pqr"[:order]]
    return Space("interaction", (Choice("operation", OPERATIONS), *networks), {"activation": activation})


def supernet(data=None, searched=None, meter=None, seed=0, **training):
    settings = {"learning_rate": RATE, "init_scale": 0.5, "search_l2": L2, "precision": "float64"}
    task = tiny_task(data, **(settings | training))
    return Problem(task, meter or NullMeter()).supernet(relax(searched or space()), np.random.SeedSequence(seed))


def state(net):
    """Copies of the tables and the predictors."""
    tables = [table.numpy().copy() for table in net.tables]
    return tables, {name: w.numpy().copy() for name, w in net.predictors.items()}


def with_mean_in_cold_rows(tables):
    """The policy, for data whose last rows are the cold ones."""
    return [np.concatenate([table[:-1], table[:-1].mean(axis=0, keepdims=True)]) for table in tables]


def weighted(predictors, alpha):
    return {name: weight * predictors[name] for name, weight in zip(OPERATIONS, alpha, strict=True)}


def networks_of(rng, order, activation):
    """Random networks, as the supernet and as the formulas take them."""
    networks = random_networks(rng, order, activation)
    return dict(zip("pqr", networks, strict=False)), networks


ALPHAS = [*np.diag([0.7, 1.0, 0.2, 0.5, 0.9]), np.array([0.3, 0.0, 0.0, 0.8, 0.0])]


@pytest.mark.parametrize("part", ["train", "valid"])
@pytest.mark.parametrize(("alpha", "activation"), list(itertools.product(ALPHAS, ACTIVATIONS)))
@pytest.mark.parametrize("shape", SHAPES)
def test_architecture_gradients(shape, alpha, activation, part):
    """By alpha, also where an operation does not speak, and by p, q and r; cold rows stand at the mean."""
    order, rng = len(shape), np.random.default_rng(1)
    data, alpha = random_data(shape), alpha.copy()
    vectors, networks = networks_of(rng, order, activation)
    net = supernet(data, space(order, activation))
    ratings = getattr(data, part)
    rows = np.concatenate([[0], 1 + rng.permutation(len(ratings) - 1)[:6]])
    tables, predictors = state(net)
    tables = with_mean_in_cold_rows(tables)

    def loss():
        prediction = predict(tables, weighted(predictors, alpha), networks, activation, ratings.indices[rows])
        return np.mean((prediction - ratings.values[rows].astype(np.float64)) ** 2)

    gradients = net.architecture_gradients(alpha, vectors, part, rows)
    by_alpha, *by_network = numeric_gradient(loss, [alpha, *networks])
    assert gradients.alpha == pytest.approx(by_alpha, abs=1e-8)
    assert list(gradients.vectors) == list(vectors)
    for got, expected in zip(gradients.vectors.values(), by_network, strict=True):
        assert got == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(
    ("shape", "activation", "kind"),
    [(SHAPES[0], "sigmoid", "expected"), (SHAPES[0], "relu", "touched"), (SHAPES[1], "tanh", "unsquared")],
)
def test_training_steps_on_the_formula(alpha, shape, activation, kind):
    """Two Adagrad steps on the tables and on the predictors that speak; nothing else moves."""
    order, rng = len(shape), np.random.default_rng(1)
    data = random_data(shape)
    vectors, networks = networks_of(rng, order, activation)
    net = supernet(data, space(order, activation), penalty=kind)
    tables, predictors = state(net)
    first = tables[0].copy()
    parameters = [*tables, *predictors.values()]
    sums = [np.zeros_like(parameter) for parameter in parameters]
    for rows in np.split(rng.permutation(16), 2):
        indices, values = data.train.indices[rows], data.train.values[rows].astype(np.float64)

        def objective(indices=indices, values=values):
            prediction = predict(tables, weighted(predictors, alpha), networks, activation, indices)
            regular = penalty(kind, tables, indices, data.train.indices, L2)
            return np.mean((prediction - values) ** 2) + regular

        net.train_batch(alpha, vectors, rows)
        for parameter, total, gradient in zip(parameters, sums, numeric_gradient(objective, parameters), strict=True):
            total += gradient**2
            moved = total > 0
            parameter[moved] -= RATE * gradient[moved] / np.sqrt(total[moved])
        for w in predictors.values():
            w /= max(1.0, np.linalg.norm(w))
    got_tables, got_predictors = state(net)
    for got, expected in zip(got_tables, tables, strict=True):
        assert got == pytest.approx(expected, abs=1e-5)
    for name, weight in zip(OPERATIONS, alpha, strict=True):
        assert got_predictors[name] == pytest.approx(predictors[name], abs=1e-5)
        if weight == 0:
            assert got_predictors[name].tolist() == predictors[name].tolist()
    assert got_tables[0][-1].tolist() == first[-1].tolist()  # no rating touches the cold row

    prediction = predict(
        with_mean_in_cold_rows(tables), weighted(predictors, alpha), networks, activation, data.valid.indices
    )
    rmse = np.sqrt(np.mean((prediction - data.valid.values) ** 2))
    assert net.rmse(alpha, vectors) == pytest.approx(rmse, abs=1e-5)


def test_initial_predictors_are_directions():
    net = supernet()
    assert {name: len(w) for name, w in net.predictors.items()} == dict.fromkeys(OPERATIONS, 2) | {"concat": 4}
    assert [float(w.norm()) for w in net.predictors.values()] == pytest.approx([1.0] * 5)


@pytest.mark.parametrize(
    ("train", "valid", "batch_size"),
    [
        (20, 10, 8),
        (100, 10, 15),
        (100, 7, 5),
        (100, 100, 30),
        (64, 9, 32),
        (20, 9, 0),
        (20, 1, 3),
        (5, 50, 2),
    ],
)
def test_an_epoch_goes_through_both_parts(train, valid, batch_size):
    net = supernet(random_data((9, 9), train, valid), batch_size=batch_size)
    pairs = list(net.epoch())
    size = batch_size or train
    assert len(pairs) == -(-train // size)
    trained = np.concatenate([rows for _, rows in pairs]).tolist()
    assert sorted(trained) == list(range(train))
    assert [len(rows) for _, rows in pairs[:-1]] == [size] * (len(pairs) - 1)
    validated = np.concatenate([rows for rows, _ in pairs]).tolist()
    assert min(len(rows) for rows, _ in pairs) >= 1
    assert sorted(validated[:valid]) == list(range(valid))
    if valid >= len(pairs):
        assert len(validated) == valid
        sizes = [len(rows) for rows, _ in pairs]
        assert max(sizes) - min(sizes) <= 1
    assert trained != np.concatenate([rows for _, rows in net.epoch()]).tolist()


def test_visits():
    meter = NullMeter()
    net = supernet(meter=meter)
    vectors, _ = networks_of(np.random.default_rng(0), 2, "sigmoid")
    net.architecture_gradients(ALPHAS[0], vectors, "valid", np.arange(7))
    assert meter.visits == 7 * 5  # all operations are evaluated
    net.train_batch(ALPHAS[-1], vectors, np.arange(10))
    assert meter.visits == 7 * 5 + 10 * 2  # those that speak
    net.rmse(ALPHAS[0], vectors)
    assert meter.visits == 55


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_state_round_trip(precision):
    vectors, _ = networks_of(np.random.default_rng(0), 2, "sigmoid")

    def advance(net):
        for valid_rows, train_rows in net.epoch():
            net.architecture_gradients(ALPHAS[1], vectors, "valid", valid_rows)
            net.train_batch(ALPHAS[1], vectors, train_rows)
        return net.rmse(ALPHAS[1], vectors)

    net = supernet(precision=precision)
    advance(net)
    arrays, rng_state = net.state_dict()
    rng_state = json.loads(json.dumps(rng_state))
    expected = [advance(net), advance(net)]
    again = supernet(precision=precision, seed=1)
    again.load_state_dict(arrays, rng_state)
    assert [advance(again), advance(again)] == expected
    assert supernet(seed=1).rmse(ALPHAS[1], vectors) != supernet(seed=0).rmse(ALPHAS[1], vectors)


def test_a_space_without_networks():
    net = supernet(searched=interaction_space(units=0))
    gradients = net.architecture_gradients(ALPHAS[0], {}, "valid", np.arange(5))
    assert gradients.alpha.shape == (5,)
    assert gradients.vectors == {}
    net.train_batch(ALPHAS[0], {}, np.arange(5))
    assert np.isfinite(net.rmse(ALPHAS[0], {}))


def test_a_network_for_the_items_only():
    searched = Space("items", (Choice("operation", OPERATIONS), Vector("q", 7, 3.0)), {"activation": "tanh"})
    data, rng = random_data(), np.random.default_rng(0)
    q = rng.normal(size=7)
    net = supernet(data, searched)
    tables, predictors = state(net)
    alpha = ALPHAS[2].copy()

    def loss():
        indices = data.train.indices[:5]
        prediction = predict(tables, weighted(predictors, alpha), [None, q], "tanh", indices)
        return np.mean((prediction - data.train.values[:5].astype(np.float64)) ** 2)

    gradients = net.architecture_gradients(alpha, {"q": q}, "train", np.arange(5))
    assert gradients.vectors["q"] == pytest.approx(numeric_gradient(loss, [q])[0], abs=1e-8)


@pytest.mark.parametrize("name", ["r", "weights"])
def test_vectors_that_are_no_network_are_refused(name):
    searched = Space("odd", (Choice("operation", OPERATIONS), Vector(name, 7, 3.0)), {})
    with pytest.raises(InputError, match=f"space 'odd' has the vector '{name}', but .* 2 modes are p, q"):
        supernet(searched=searched)
