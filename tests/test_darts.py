import itertools

import numpy as np
import pytest
from one_shot import (
    SMALL,
    all_steps,
    check_continues_identically,
    check_survives_divergence,
    large,
    problem_of,
    started,
    tensor_problem,
)
from reference import ACTIVATIONS, ENGINES, OPERATIONS, numeric_gradient, predict, random_data, random_networks

from automl_cf.cf.supernet import Supernet
from automl_cf.errors import InputError
from automl_cf.searchers._alpha import by_logits, softmax
from automl_cf.spaces import Choice, Space, Vector, interaction_space
from automl_cf.spaces.views.relaxation import relax

FLOAT64 = {"precision": "float64", "learning_rate": 0.4, "init_scale": 0.5, "search_l2": 0.3}
SHAPES = [(6, 5), (4, 3, 5)]


def space(order, activation):
    networks = [Vector(name, 7, 3.0) for name in "pqr"[:order]]
    return Space("interaction", (Choice("operation", OPERATIONS), *networks), {"activation": activation})


def validation_loss(net, alpha, vectors, activation, ratings, rows):
    """The mean squared error of some ratings by the formulas; the last row of each mode is cold."""
    tables = [table.numpy() for table in net.tables]
    tables = [np.concatenate([table[:-1], table[:-1].mean(axis=0, keepdims=True)]) for table in tables]
    predictors = {name: a * net.predictors[name].numpy() for name, a in zip(OPERATIONS, alpha, strict=True)}
    networks = [vectors.get(name) for name in "pqr"[: len(tables)]]
    prediction = predict(tables, predictors, networks, activation, ratings.indices[rows])
    return np.mean((prediction - ratings.values[rows].astype(np.float64)) ** 2)


def after_a_step(net, alpha, vectors, activation, data, valid_rows, train_rows):
    """The unrolled loss, by the training step that there is; the supernet is as it was afterwards."""
    state = net.state_dict()
    net.train_batch(alpha, vectors, train_rows)
    loss = validation_loss(net, alpha, vectors, activation, data.valid, valid_rows)
    net.load_state_dict(*state)
    return loss


@pytest.mark.parametrize("steps", [0, 5])
@pytest.mark.parametrize(
    ("kind", "activation"), list(zip(("expected", "touched", "unsquared"), ACTIVATIONS, strict=True))
)
@pytest.mark.parametrize("shape", SHAPES)
def test_second_order_gradients_are_those_of_the_unrolled_loss(shape, kind, activation, steps):
    """By finite differences through real training steps: the first, and one when Adagrad has slowed down."""
    rng, order = np.random.default_rng(1), len(shape)
    data = large(random_data(shape))
    vectors = dict(zip("pqr", random_networks(rng, order, activation), strict=False))
    relaxation = relax(space(order, activation))
    net = problem_of(data, **FLOAT64, penalty=kind).supernet(relaxation, np.random.SeedSequence(0))
    for _ in range(steps):
        net.train_batch(rng.dirichlet(np.ones(5)), vectors, rng.permutation(20)[:12])
    logits, valid_rows, train_rows = rng.normal(size=5), np.arange(7), rng.permutation(20)[:12]

    def unrolled():
        return after_a_step(net, softmax(logits), vectors, activation, data, valid_rows, train_rows)

    before = net.state_dict()[0]
    gradients = net.unrolled_gradients(softmax(logits), vectors, valid_rows, train_rows)
    by_alpha, *by_vectors = numeric_gradient(unrolled, [logits, *vectors.values()], step=1e-5)
    assert by_logits(softmax(logits), gradients.alpha) == pytest.approx(by_alpha, abs=1e-7)
    assert list(gradients.vectors) == list(vectors)
    for got, expected in zip(gradients.vectors.values(), by_vectors, strict=True):
        assert got == pytest.approx(expected, abs=1e-7)
    assert all((net.state_dict()[0][key] == array).all() for key, array in before.items())

    net.train_batch(softmax(logits), vectors, train_rows)
    assert any(float(w.norm()) == pytest.approx(1.0) for w in net.predictors.values())  # projected in the step
    # Differentiating the step matters: with T held fixed where it leads, the gradient is another.
    fixed = net.architecture_gradients(softmax(logits), vectors, "valid", valid_rows)
    if steps:
        assert np.abs(fixed.alpha - gradients.alpha).max() > 1e-4


@pytest.mark.parametrize("engine", ENGINES)
def test_an_epoch_of_first_order(engine):
    """Each pair of batches, restated: gradients at T as it stands, by finite differences; then a training step."""
    data, step = random_data(train=60, valid=30), 0.3
    problem = problem_of(data, engine=engine, **FLOAT64)
    searcher = started("darts", problem, order=1, step=step, optimizer="sgd")
    net = problem_of(data, **FLOAT64).supernet(relax(SMALL), np.random.SeedSequence(0).spawn(2)[0])
    logits, vectors = searcher.lane.alpha.copy(), {n: v.copy() for n, v in searcher.lane.vectors.items()}
    bound = relax(SMALL).vectors[0][2]
    for valid_rows, train_rows in net.epoch():

        def loss(logits=logits, valid_rows=valid_rows):
            return validation_loss(net, softmax(logits), vectors, "sigmoid", data.valid, valid_rows)

        by_alpha, *by_vectors = numeric_gradient(loss, [logits, *vectors.values()])
        logits -= step * by_alpha
        for vector, gradient in zip(vectors.values(), by_vectors, strict=True):
            vector -= step * gradient
            vector /= max(1.0, np.linalg.norm(vector) / bound)
        net.train_batch(softmax(logits), vectors, train_rows)
    incumbent = searcher.step()
    assert searcher.lane.alpha == pytest.approx(logits, abs=1e-7)
    for name, vector in vectors.items():
        assert searcher.lane.vectors[name] == pytest.approx(vector, abs=1e-7)
    best = int(np.argmax(logits))
    assert incumbent.architecture["operation"] == OPERATIONS[best]
    assert incumbent.rmse == pytest.approx(net.rmse(np.eye(5)[best], vectors), abs=1e-7)


def test_an_epoch_of_second_order():
    data, step = random_data(train=60, valid=30), 0.3
    searcher = started("darts", problem_of(data, **FLOAT64), order=2, step=step, optimizer="sgd")
    net = problem_of(data, **FLOAT64).supernet(relax(SMALL), np.random.SeedSequence(0).spawn(2)[0])
    logits, vectors = searcher.lane.alpha.copy(), {n: v.copy() for n, v in searcher.lane.vectors.items()}
    for valid_rows, train_rows in net.epoch():

        def unrolled(logits=logits, valid_rows=valid_rows, train_rows=train_rows):
            return after_a_step(net, softmax(logits), vectors, "sigmoid", data, valid_rows, train_rows)

        by_alpha, *by_vectors = numeric_gradient(unrolled, [logits, *vectors.values()], step=1e-5)
        logits -= step * by_alpha
        for vector, gradient in zip(vectors.values(), by_vectors, strict=True):
            vector -= step * gradient
        net.train_batch(softmax(logits), vectors, train_rows)
    searcher.step()
    assert searcher.lane.alpha == pytest.approx(logits, abs=1e-6)
    for name, vector in vectors.items():
        assert searcher.lane.vectors[name] == pytest.approx(vector, abs=1e-6)


def test_softmax():
    logits = np.array([0.3, -1.2, 2.0])
    assert softmax(logits) == pytest.approx(np.exp(logits) / np.exp(logits).sum())
    assert softmax(np.array([1e4, 0.0])).tolist() == [1.0, 0.0]
    weights = np.array([0.5, -2.0, 1.0])
    (numeric,) = numeric_gradient(lambda: weights @ softmax(logits), [logits])
    assert by_logits(softmax(logits), weights) == pytest.approx(numeric, abs=1e-9)


def test_second_order_runs_on_pytorch_whatever_the_engine():
    searchers = [started("darts", problem_of(engine=engine), epochs=2, order=2) for engine in ENGINES]
    assert all(isinstance(searcher.lane.net, Supernet) for searcher in searchers)
    assert all_steps(searchers[0]) == all_steps(searchers[1])
    assert not isinstance(started("darts", problem_of(engine="fused"), order=1).lane.net, Supernet)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("order", [1, 2])
def test_selects_the_operations_of_largest_alpha(k, order):
    searcher = started("darts", space=interaction_space(units=1, k=k), order=order, epochs=2)
    for incumbent in iter(searcher.step, None):
        chosen = {OPERATIONS[i] for i in np.argsort(searcher.lane.alpha)[-k:]}
        found = incumbent.architecture
        assert ({found["operation"]} if k == 1 else set(found["operations"])) == chosen
        assert searcher.space.contains(found)


def test_visits():
    """First order: each rating of both parts by each operation; second: training ratings twice more."""
    for order, engine in itertools.product((1, 2), ENGINES):
        problem = problem_of(engine=engine)
        train, valid = len(problem.task.data.train), len(problem.task.data.valid)
        started("darts", problem, order=order).step()
        assert problem.meter.visits == 5 * (valid + train) + (order - 1) * 2 * 5 * train


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("k", [1, 2])
def test_continues_identically(order, k):
    check_continues_identically(lambda: started("darts", space=interaction_space(units=1, k=k), order=order, epochs=6))


@pytest.mark.parametrize("order", [1, 2])
def test_divergence_is_a_result(order):
    steps = check_survives_divergence("darts", order=order)
    assert all(SMALL.contains(step.architecture) for step in steps)


@pytest.mark.parametrize("order", [1, 2])
def test_spaces_without_networks_and_tensors(order):
    plain = interaction_space(units=0)
    steps = all_steps(started("darts", space=plain, order=order, epochs=2))
    assert all(plain.contains(step.architecture) for step in steps)
    steps = all_steps(started("darts", tensor_problem(), order=order, epochs=2))
    assert all(SMALL.contains(step.architecture) and np.isfinite(step.rmse) for step in steps)
    assert len(steps) == 2


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="option 'order' of searcher 'darts' is 3"):
        started("darts", order=3)
