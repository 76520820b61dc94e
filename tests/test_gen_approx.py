import json

import numpy as np
import pytest
from one_shot import all_steps, check_continues_identically, check_survives_divergence, large, problem_of, started
from reference import numeric_gradient, penalty, random_data, tiny_task

from automl_cf.cf.approximator import ApproximatorTables, initial_weights, train_approximator
from automl_cf.cf.meter import BudgetExhausted, NullMeter
from automl_cf.cf.models import train, train_over_grid
from automl_cf.cf.problem import Problem
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.supernet import paired_batches
from automl_cf.cf.training import Training
from automl_cf.spaces import Architecture, Choice, Real, Space

SHAPES = [(6, 5), (4, 3, 5)]
L2, RATE, DIM = 0.3, 0.4, 2
FLOAT64 = {"precision": "float64", "learning_rate": RATE, "init_scale": 0.5, "search_l2": L2}


def scores(weights, tables, w, indices):
    """w . (W2 sigmoid(W1 [u; v] + b1) + b2) of every rating."""
    dim, inputs = tables[0].shape[1], tables[0].shape[1] * len(tables)
    hidden = 2 * inputs
    cuts = np.cumsum([hidden * inputs, hidden, dim * hidden])
    w1, b1, w2, b2 = np.split(weights, cuts)
    w1, w2 = w1.reshape(hidden, inputs), w2.reshape(dim, hidden)
    x = np.concatenate([table[indices[:, mode]] for mode, table in enumerate(tables)], axis=1)
    return (1 / (1 + np.exp(-(x @ w1.T + b1))) @ w2.T + b2) @ w


def with_mean_in_cold_rows(tables):
    """The policy, for data whose last rows are the cold ones."""
    return [np.concatenate([table[:-1], table[:-1].mean(axis=0, keepdims=True)]) for table in tables]


def state(net):
    return [table.numpy().copy() for table in net.tables], net.predictors["approximator"].numpy().copy()


def validation_loss(net, weights, data, rows):
    tables, w = state(net)
    prediction = scores(weights, with_mean_in_cold_rows(tables), w, data.valid.indices[rows])
    return np.mean((prediction - data.valid.values[rows].astype(np.float64)) ** 2)


def net_of(data, rng, dim=DIM):
    return ApproximatorTables(data, Training(**FLOAT64), dim=dim, l2=L2, rng=rng, device="cpu")


def random_weights(order, dim=DIM, seed=5):
    rng = np.random.default_rng(seed)
    return initial_weights(dim, order, rng) + rng.normal(0, 0.3, len(initial_weights(dim, order, rng)))


def test_the_number_of_weights():
    """For dimension 8 and matrices: 16 inputs, 32 hidden units, 8 outputs."""
    weights = initial_weights(8, 2, np.random.default_rng(0))
    assert len(weights) == 16 * 32 + 32 + 32 * 8 + 8 == 808
    first, b1, second, b2 = np.split(weights, np.cumsum([16 * 32, 32, 32 * 8]))
    assert not b1.any()
    assert not b2.any()
    assert np.var(first) == pytest.approx(2 / 48, rel=0.15)
    assert np.var(second) == pytest.approx(2 / 40, rel=0.15)


@pytest.mark.parametrize(("shape", "kind"), [(SHAPES[0], "expected"), (SHAPES[0], "unsquared"), (SHAPES[1], "touched")])
def test_an_epoch_is_adagrad_on_the_formula(shape, kind):
    """Three batches by the protocol: initial values, order, gradients, steps, projection, cold rows, RMSE."""
    data, size, order = random_data(shape), 8, len(shape)
    weights = random_weights(order)
    fit = train_approximator(
        Architecture({"model": "approximator", "weights": weights}),
        data,
        Training(batch_size=size, penalty=kind, **FLOAT64),
        dim=DIM,
        l2=L2,
        rng=np.random.default_rng(3),
        meter=NullMeter(),
        epochs=1,
    )

    rng = np.random.default_rng(3)
    tables = [rng.normal(0, 0.5, (rows, DIM)) for rows in shape]
    w = rng.normal(size=DIM)
    w /= np.linalg.norm(w)
    parameters = [*tables, w]
    sums = [np.zeros_like(parameter) for parameter in parameters]
    for rows in np.split(shuffled(len(data.train), rng), [size, 2 * size]):
        indices, values = data.train.indices[rows], data.train.values[rows].astype(np.float64)

        def objective(indices=indices, values=values, w=w):
            error = scores(weights, tables, w, indices) - values
            return np.mean(error**2) + penalty(kind, tables, indices, data.train.indices, L2)

        for parameter, total, gradient in zip(parameters, sums, numeric_gradient(objective, parameters), strict=True):
            total += gradient**2
            moved = total > 0
            parameter[moved] -= RATE * gradient[moved] / np.sqrt(total[moved])
        w /= max(1.0, np.linalg.norm(w))
    prediction = scores(weights, with_mean_in_cold_rows(tables), w, data.valid.indices)
    assert fit.status == "ok"
    assert fit.model.predict(data.valid.indices) == pytest.approx(prediction, abs=1e-6)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean((prediction - data.valid.values) ** 2)), abs=1e-6)
    assert fit.curve == (fit.rmse,)


def test_training_follows_the_protocol():
    task = tiny_task(max_epochs=30, patience=2, learning_rate=0.5, l2_grid=(0.0, 1e-3))
    architecture = Architecture({"model": "approximator", "weights": random_weights(2)})
    architecture = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    meter = NullMeter()
    fit = train(architecture, task, meter)
    assert fit.rmse == min(fit.curve) == fit.curve[fit.best_epoch - 1]
    assert fit.epochs == len(fit.curve) < 30
    assert meter.visits == fit.epochs * len(task.data.train)
    valid = task.data.valid
    kept = np.sqrt(np.mean((fit.model.predict(valid.indices) - valid.values) ** 2))
    assert kept == pytest.approx(fit.rmse, abs=1e-6)  # the best epoch's state, not the last one's
    assert fit.model.predict(valid.indices[:0]).shape == (0,)
    assert train(architecture, task, NullMeter()).curve == fit.curve
    assert len(train(architecture, task, NullMeter(), epochs=2).curve) == 2
    best, _ = train_over_grid(architecture, task, NullMeter())
    assert best.status == "ok"

    class Spent(NullMeter):
        def check(self):
            raise BudgetExhausted("seconds")

    with pytest.raises(BudgetExhausted):
        train(architecture, task, Spent())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (None, "must have 'weights', a list of 58 numbers for 2 modes of dimension 2, but has None"),
        ([0.5] * 7, "a list of 58 numbers .* but has 7 values"),
        (["a"] * 58, "a list of 58 numbers"),
        (0.5, r"a list of 58 numbers .* but has 0\.5"),
    ],
)
def test_weights_that_do_not_fit_are_invalid(weights, message):
    evaluation = problem_of().evaluate(Architecture({"model": "approximator", "weights": weights}))
    assert evaluation.status == "invalid"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(evaluation.error)


def test_divergence_in_training_is_a_result():
    weights = tuple(1e30 * random_weights(2))
    evaluation = problem_of(learning_rate=1e30).evaluate(Architecture({"model": "approximator", "weights": weights}))
    assert evaluation.status == "diverged"
    assert evaluation.rmse is None


@pytest.mark.parametrize("steps", [0, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_hypergradient_is_that_of_the_unrolled_loss(shape, steps):
    """By finite differences through real training steps: the first, and one when Adagrad has slowed down."""
    rng, data = np.random.default_rng(1), large(random_data(shape))
    weights, net = random_weights(len(shape)), net_of(data, rng)
    for _ in range(steps):
        net.train_batch(weights, rng.permutation(20)[:12])
    valid_rows, train_rows = np.arange(7), rng.permutation(20)[:12]

    def unrolled():
        before = net.state_dict()
        net.train_batch(weights, train_rows)
        loss = validation_loss(net, weights, data, valid_rows)
        net.load_state_dict(before)
        return loss

    (expected,) = numeric_gradient(unrolled, [weights], step=1e-5)
    got = net.unrolled_gradient(weights, valid_rows, train_rows)
    assert got == pytest.approx(expected, abs=1e-7)
    (fixed,) = numeric_gradient(lambda: validation_loss(net, weights, data, valid_rows), [weights], step=1e-5)
    assert net.gradient(weights, valid_rows) == pytest.approx(fixed, abs=1e-7)
    assert np.abs(got - fixed).max() > 1e-3
    if steps:
        net.train_batch(weights, train_rows)
        assert np.linalg.norm(state(net)[1]) == pytest.approx(1.0)  # projected in the step


@pytest.mark.parametrize("order", [1, 2])
def test_an_epoch_restated(order):
    data, step = random_data(train=60, valid=30), 0.3
    problem = Problem(tiny_task(data, dim=1, **FLOAT64), NullMeter())
    searcher = started("gen-approx", problem, order=order, step=step)
    net = net_of(data, np.random.default_rng(np.random.SeedSequence(0).spawn(1)[0]), dim=1)
    rng = np.random.default_rng(np.random.SeedSequence(0))
    weights = initial_weights(1, 2, rng)
    assert searcher.weights.tolist() == weights.tolist()
    for valid_rows, train_rows in paired_batches(60, 30, 32, rng):

        def loss(weights=weights, valid_rows=valid_rows, train_rows=train_rows):
            before = net.state_dict()
            if order == 2:
                net.train_batch(weights, train_rows)
            found = validation_loss(net, weights, data, valid_rows)
            net.load_state_dict(before)
            return found

        weights -= step * numeric_gradient(loss, [weights], step=1e-5)[0]
        net.train_batch(weights, train_rows)
    incumbent = searcher.step()
    assert incumbent.architecture["model"] == "approximator"
    assert incumbent.architecture["weights"] == pytest.approx(weights, abs=1e-6)
    everything = np.arange(30)
    assert incumbent.rmse == pytest.approx(np.sqrt(validation_loss(net, weights, data, everything)), abs=1e-6)


@pytest.mark.parametrize("order", [1, 2])
def test_visits(order):
    problem = problem_of()
    train, valid = len(problem.task.data.train), len(problem.task.data.valid)
    started("gen-approx", problem, order=order).step()
    assert problem.meter.visits == valid + train * (1 if order == 1 else 3)


def test_its_architecture_can_be_trained():
    """Also in a study on the fused engine, and for any space: it proposes a model of its own."""
    odd = Space("odd", (Choice("predictor", ("linear", "mlp")), Real("rate", 0.0, 1.0)), {})
    problem = problem_of(engine="fused")
    incumbent = started("gen-approx", problem, odd).step()
    evaluation = problem.evaluate(incumbent.architecture)
    assert evaluation.status == "ok"
    assert evaluation.rmse == problem_of(engine="reference").evaluate(incumbent.architecture).rmse


@pytest.mark.parametrize("order", [1, 2])
def test_continues_identically(order):
    check_continues_identically(lambda: started("gen-approx", order=order, epochs=6, optimizer="adagrad"))


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("order", [1, 2])
def test_divergence_is_a_result(order, optimizer):
    check_survives_divergence("gen-approx", order=order, optimizer=optimizer)


def test_search_of_a_tensor():
    steps = all_steps(started("gen-approx", problem_of(random_data((5, 4, 6), 60, 30)), epochs=2))
    assert all(np.isfinite(step.rmse) for step in steps)
    assert len(steps) == 2
    assert len(steps[0].architecture["weights"]) == 6 * 12 + 12 + 12 * 2 + 2
