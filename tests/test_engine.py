import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from reference import (
    ACTIVATIONS,
    OPERATIONS,
    named,
    network,
    numeric_gradient,
    penalty,
    predict,
    random_data,
    random_networks,
    tiny_task,
)

from automl_cf.cf import interaction
from automl_cf.cf.embeddings import Adagrad, DeviceRatings, Penalty, project_predictor
from automl_cf.cf.interaction import InteractionFunction, operations_of, train_interaction
from automl_cf.cf.meter import BudgetExhausted, NullMeter
from automl_cf.cf.models import l2_grid, train, train_over_grid
from automl_cf.cf.operations import Operation, operations
from automl_cf.cf.problem import Evaluation, Problem
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.training import Fit, Training
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, interaction_space

PENALTIES = ("expected", "touched", "unsquared")
SELECTIONS = [*OPERATIONS, ("multiply", "concat"), ("plus", "min", "max")]
SHAPES = [(6, 5), (4, 3, 5)]

# Every selection with every activation and with every penalty, though not with every pair of them.
COMBINATIONS = [
    (selected, activation, PENALTIES[(i + j) % 3])
    for (i, selected), (j, activation) in itertools.product(enumerate(SELECTIONS), enumerate([None, *ACTIVATIONS]))
]
L2 = 0.3


def selection(selected):
    """The operations as an architecture has them."""
    return {"operation": selected} if isinstance(selected, str) else {"operations": selected}


def names(selected):
    return (selected,) if isinstance(selected, str) else selected


def width(operation, dim, order):
    return dim * order if operation == "concat" else dim


def leaf(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("selected", "activation", "kind"), COMBINATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_objective_and_gradients(shape, selected, activation, kind):
    rng = np.random.default_rng(1)
    order, dim = len(shape), 2
    data = random_data(shape)
    networks = random_networks(rng, order, activation)
    tables = [rng.normal(size=(rows, dim)) for rows in shape]
    predictors = {name: rng.normal(size=width(name, dim, order)) for name in names(selected)}
    rows = rng.permutation(len(data.train))[:7]
    indices, values = data.train.indices[rows], data.train.values[rows].astype(np.float64)

    def objective():
        error = predict(tables, predictors, networks, activation, indices) - values
        return np.mean(error**2) + penalty(kind, tables, indices, data.train.indices, L2)

    architecture = Architecture(selection(selected) | named(networks) | {"activation": activation or "tanh"})
    function = InteractionFunction.of(architecture, order, torch.float64, "cpu")
    train_part = DeviceRatings.of(data.train, "cpu", torch.float64)
    batch = train_part.take(torch.tensor(rows))
    leaves = [leaf(table) for table in tables]
    weights = {name: leaf(w) for name, w in predictors.items()}
    prediction = function.predict(function.transformed(leaves), weights, batch.indices)
    loss = (prediction - batch.values).square().mean() + Penalty(train_part, shape, kind)(leaves, batch, L2)
    assert loss.item() == pytest.approx(objective(), abs=1e-12)
    analytic = torch.autograd.grad(loss, [*leaves, *weights.values()])
    numeric = numeric_gradient(objective, [*tables, *predictors.values()])
    for got, expected in zip(analytic, numeric, strict=True):
        assert got.numpy() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("shape", "selected", "activation", "kind"),
    [(SHAPES[0], *c) for c in COMBINATIONS] + [(SHAPES[1], *c) for c in COMBINATIONS[::5]],
)
def test_an_epoch_is_adagrad_on_the_formula(shape, selected, activation, kind):
    """Three batches by the protocol: initial values, order, gradients, steps, projection, cold rows, RMSE."""
    seed, dim, order, rate, size = 3, 2, len(shape), 0.4, 8
    data = random_data(shape)
    networks = random_networks(np.random.default_rng(7), order, activation)
    activation = activation or "sigmoid"
    fit = train_interaction(
        Architecture(selection(selected) | named(networks) | {"activation": activation}),
        data,
        Training(learning_rate=rate, init_scale=0.5, batch_size=size, penalty=kind, precision="float64"),
        dim=dim,
        l2=L2,
        rng=np.random.default_rng(seed),
        meter=NullMeter(),
        epochs=1,
    )

    rng = np.random.default_rng(seed)
    tables = [rng.normal(0, 0.5, (rows, dim)) for rows in shape]
    before = [table.copy() for table in tables]
    directions = {name: rng.normal(size=width(name, dim, order)) for name in names(selected)}
    predictors = {name: w / np.linalg.norm(w) for name, w in directions.items()}
    parameters = [*tables, *predictors.values()]
    sums = [np.zeros_like(parameter) for parameter in parameters]
    for rows in np.split(shuffled(len(data.train), rng), [size, 2 * size]):
        indices, values = data.train.indices[rows], data.train.values[rows].astype(np.float64)

        def objective(indices=indices, values=values):
            error = predict(tables, predictors, networks, activation, indices) - values
            return np.mean(error**2) + penalty(kind, tables, indices, data.train.indices, L2)

        for parameter, total, gradient in zip(parameters, sums, numeric_gradient(objective, parameters), strict=True):
            total += gradient**2
            moved = total > 0
            parameter[moved] -= rate * gradient[moved] / np.sqrt(total[moved])
        for w in predictors.values():
            w /= max(1.0, np.linalg.norm(w))
    for table, start in zip(tables, before, strict=True):
        assert table[-1].tolist() == start[-1].tolist()  # no rating touches the cold row
        table[-1] = table[:-1].mean(axis=0)

    assert fit.status == "ok"
    for mode, table in enumerate(tables):
        expected = table if networks[mode] is None else network(table, networks[mode], activation)
        assert fit.model.transformed[mode].numpy() == pytest.approx(expected, abs=1e-6)
    for name, w in predictors.items():
        assert fit.model.predictors[name].numpy() == pytest.approx(w, abs=1e-6)
    prediction = predict(tables, predictors, networks, activation, data.valid.indices)
    assert fit.model.predict(data.valid.indices) == pytest.approx(prediction, abs=1e-6)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean((prediction - data.valid.values) ** 2)), abs=1e-6)
    assert fit.curve == (fit.rmse,)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 25), st.integers(0, 100))
def test_the_expected_penalty_is_the_full_one_on_average(batch_size, seed):
    # Any partition into batches, each weighted with its size, is an average over the ratings.
    data = random_data(seed=seed)
    rng = np.random.default_rng(seed)
    tables = [rng.normal(size=(rows, 3)) for rows in data.train.shape]
    part = DeviceRatings.of(data.train, "cpu", torch.float64)
    expected = Penalty(part, data.train.shape, "expected")
    mean = sum(
        len(rows) / len(part) * expected([leaf(t) for t in tables], part.take(rows), L2).item()
        for rows in torch.split(torch.tensor(shuffled(len(part), rng).astype(np.int64)), batch_size)
    )
    touched = sum(np.sum(t[data.train.counts(mode) > 0] ** 2) for mode, t in enumerate(tables))
    assert mean == pytest.approx(L2 / 2 * touched)


def test_adagrad_moves_touched_rows_only():
    rng = np.random.default_rng(0)
    start, frozen = rng.normal(size=(5, 2)), rng.normal(size=3)
    parameters = [leaf(start), leaf(frozen)]
    adagrad = Adagrad(parameters, 0.3)
    value, total = start.copy(), np.zeros((5, 2))
    for touched in ([0, 1], [1, 3], [0]):
        gradient = np.zeros((5, 2))
        gradient[touched] = rng.normal(size=(len(touched), 2))
        adagrad.step([torch.tensor(gradient), None])
        total[touched] += gradient[touched] ** 2
        value[touched] -= 0.3 * gradient[touched] / np.sqrt(total[touched])
    moved, still = (parameter.detach().numpy() for parameter in parameters)
    assert moved == pytest.approx(value, abs=1e-9)
    assert moved[[2, 4]].tolist() == start[[2, 4]].tolist()
    assert still.tolist() == frozen.tolist()


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_predictors_are_projected_onto_the_unit_ball(w):
    projected = torch.tensor(w, dtype=torch.float64)
    project_predictor(projected)
    assert projected.numpy() == pytest.approx(np.array(w) / max(1.0, np.linalg.norm(w)), abs=1e-12)


def test_the_best_state_is_kept():
    # So little data, no penalty and a high rate: validation soon gets worse.
    task = tiny_task(dim=8, learning_rate=0.5, search_l2=0, max_epochs=40, patience=4)
    fit = train(Architecture({"operation": "multiply"}), task, NullMeter())
    assert fit.rmse == min(fit.curve)
    assert fit.best_epoch == np.argmin(fit.curve) + 1
    assert fit.best_epoch < fit.epochs == fit.best_epoch + 4 == len(fit.curve) < 40
    valid = task.data.valid
    error = fit.model.predict(valid.indices) - valid.values
    assert np.sqrt(np.mean(error**2)) == pytest.approx(fit.rmse, rel=1e-5)
    # The same as if training had ended at that epoch, whose state is therefore the one kept.
    shorter = train(Architecture({"operation": "multiply"}), task, NullMeter(), epochs=fit.best_epoch)
    assert shorter.epochs == fit.best_epoch
    assert shorter.model.predict(valid.indices).tolist() == fit.model.predict(valid.indices).tolist()


def test_training_ends_at_max_epochs():
    fit = train(Architecture({"operation": "plus"}), tiny_task(max_epochs=3, learning_rate=0.01), NullMeter())
    assert (fit.epochs, len(fit.curve)) == (3, 3)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_divergence_is_a_result(operation):
    task = tiny_task(learning_rate=1e30, batch_size=8)
    fit = train(Architecture({"operation": operation}), task, NullMeter())
    assert fit.status == "diverged"
    assert np.isnan(fit.rmse)
    assert fit.model is None
    evaluation = Problem(task, NullMeter()).evaluate(Architecture({"operation": operation}))
    assert (evaluation.status, evaluation.rmse, evaluation.loss) == ("diverged", None, np.inf)
    assert Evaluation.from_json(evaluation.to_json()).to_json() == evaluation.to_json()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_seed_determines_all(precision):
    architecture = interaction_space().sample(np.random.default_rng(0))
    one, two, other = (
        train(architecture, tiny_task(seed=seed, precision=precision), NullMeter()) for seed in (5, 5, 6)
    )
    assert one.curve == two.curve
    assert all(map(torch.equal, one.model.transformed, two.model.transformed))
    assert one.curve[0] != other.curve[0]


def test_all_architectures_start_from_the_same_embeddings():
    fits = [
        train(Architecture({"operation": name}), tiny_task(learning_rate=1e-12), NullMeter(), epochs=1)
        for name in OPERATIONS
    ]
    for fit in fits[1:]:
        assert all(map(torch.allclose, fit.model.transformed, fits[0].model.transformed))


def test_visits():
    task = tiny_task()
    for selected, per_epoch in (("plus", 1), (("plus", "min", "max"), 3)):
        meter = NullMeter()
        fit = train(Architecture(selection(selected)), task, meter)
        assert meter.visits == fit.epochs * per_epoch * len(task.data.train)


def test_several_operations_have_a_predictor_each():
    task = tiny_task()
    fit = train(Architecture({"operations": ("multiply", "concat")}), task, NullMeter())
    assert {name: tuple(w.shape) for name, w in fit.model.predictors.items()} == {
        "multiply": (2,),
        "concat": (4,),
    }
    assert all(w.norm() <= 1 + 1e-6 for w in fit.model.predictors.values())


def test_prediction_in_chunks(monkeypatch):
    data = random_data()
    fit = train(Architecture({"operation": "max"}), tiny_task(data), NullMeter())
    whole = fit.model.predict(data.train.indices)
    assert whole.dtype == np.float64
    monkeypatch.setattr(interaction, "_PREDICT_CHUNK", 3)
    assert fit.model.predict(data.train.indices).tolist() == whole.tolist()
    assert fit.model.predict(data.train.indices[:0]).shape == (0,)


def test_an_operation_of_ones_own(monkeypatch):
    monkeypatch.setitem(
        operations._registered,
        "minus",
        Operation("minus", lambda parts: parts[0] - parts[1], lambda dim, order: dim),
    )
    fit = train(Architecture({"operation": "minus"}), tiny_task(), NullMeter())
    assert fit.status == "ok"


# What contains what. The data are any tables; the claims are about predictions, w . O(u, v).


def engine_score(operation, u, v, w):
    function = InteractionFunction((operation,), (None, None), "sigmoid")
    everyone = torch.arange(len(u))
    tables = [torch.tensor(u), torch.tensor(v)]
    return function.predict(tables, {operation: torch.tensor(w)}, [everyone, everyone]).numpy()


@pytest.fixture
def uvw():
    rng = np.random.default_rng(0)
    w = rng.normal(size=3)
    return rng.normal(size=(50, 3)), rng.normal(size=(50, 3)), w / np.linalg.norm(w)


def test_plus_and_concat_are_one_class(uvw):
    """w . (u + v) = [w; w] . [u; v], and [a; b] . [u; v] = w . (u a/w + v b/w): both are b_u + b_v.

    The norms agree, too: with [w; w] / sqrt(2) and tables times sqrt(2) the predictor stays in the unit ball.
    """
    u, v, w = uvw
    plus = engine_score("plus", u, v, w)
    tied = np.concatenate([w, w]) / np.sqrt(2)
    assert np.linalg.norm(tied) == pytest.approx(1)
    assert engine_score("concat", u * np.sqrt(2), v * np.sqrt(2), tied) == pytest.approx(plus)
    a, b = np.array([0.5, -0.1, 0.3]), np.array([0.2, 0.6, -0.4])
    concat = engine_score("concat", u, v, np.concatenate([a, b]))
    assert engine_score("plus", u * a / w, v * b / w, w) == pytest.approx(concat)


def biases(u, v, w):
    """The two numbers b_u and b_v that all of plus's prediction consists of."""
    return u @ w, v @ w


def test_multiply_expresses_plus(uvw):
    """Two coordinates, one of them constant in each mode: w (b_u, 1) * (1, b_v) = b_u + b_v, w = (1, 1).

    With ||w|| <= 1 the varying coordinates are scaled by sqrt(2). So multiply at dimension 2 contains plus at
    any dimension.
    """
    u, v, w = uvw
    b_u, b_v = biases(u, v, w)
    one, w_two = np.ones(50), np.full(2, np.sqrt(0.5))
    scaled = np.stack([np.sqrt(2) * b_u, one], 1), np.stack([one, np.sqrt(2) * b_v], 1)
    assert engine_score("multiply", *scaled, w_two) == pytest.approx(engine_score("plus", u, v, w))


@pytest.mark.parametrize(("operation", "saturated"), [("min", 1e3), ("max", -1e3)])
def test_min_and_max_express_plus(uvw, operation, saturated):
    """Two coordinates, one of them saturated in each mode: min((b_u, M), (M, b_v)) = (b_u, b_v), M large."""
    u, v, w = uvw
    b_u, b_v = biases(u, v, w)
    full, w_two = np.full(50, saturated), np.full(2, np.sqrt(0.5))
    scaled = np.stack([np.sqrt(2) * b_u, full], 1), np.stack([full, np.sqrt(2) * b_v], 1)
    assert engine_score(operation, *scaled, w_two) == pytest.approx(engine_score("plus", u, v, w))


def test_min_and_max_are_one_class(uvw):
    """w * min(u, v) = -w * max(-u, -v), with the same norms and hence the same objective."""
    u, v, w = uvw
    assert engine_score("min", u, v, w) == pytest.approx(engine_score("max", -u, -v, -w))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_only_plus_and_concat_are_additive(uvw, operation):
    """What plus can express is additive: f(u, v) - f(u, v') - f(u', v) + f(u', v') = 0."""
    u, v, w = uvw
    w = np.concatenate([w, w]) if operation == "concat" else w
    crossed = sum(
        sign * engine_score(operation, one, other, w)
        for sign, one, other in (
            (1, u[:25], v[:25]),
            (-1, u[:25], v[25:]),
            (-1, u[25:], v[:25]),
            (1, u[25:], v[25:]),
        )
    )
    assert np.allclose(crossed, 0) == (operation in ("plus", "concat"))


# The problem that a searcher sees, and what may go wrong in it.


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"operation": "multiplyy"}, r"Unknown operation 'multiplyy'\. Did you mean 'multiply'\?"),
        ({"operations": ("plus", "time")}, "Unknown operation 'time'"),
        ({"p": (1.0, 1.0, 1.0, 1.0)}, "Unknown operation 'None'"),
        (
            {"operation": "plus", "activation": "sigmoidal"},
            "activation is 'sigmoidal'.*Did you mean 'sigmoid'",
        ),
        ({"operation": "plus", "q": (1.0, 2.0, 3.0)}, r"network q has shape \(3,\), but must have 3 numbers"),
        ({"operation": "plus", "p": (1.0,)}, r"network p has shape \(1,\)"),
        ({"model": "bias"}, "Unknown model 'bias'"),
    ],
)
def test_an_architecture_that_makes_no_sense(architecture, message):
    with pytest.raises(InputError, match=message):
        train(Architecture(architecture), tiny_task(), NullMeter())
    evaluation = Problem(tiny_task(), NullMeter()).evaluate(Architecture(architecture))
    assert (evaluation.status, evaluation.rmse) == ("invalid", None)
    assert evaluation.error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "out-of-memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out-of-memory"),
        (RuntimeError("shapes differ"), "failed"),
        (FloatingPointError("overflow"), "failed"),
        (np.linalg.LinAlgError("singular"), "failed"),
    ],
)
def test_what_goes_wrong_is_a_result(monkeypatch, error, status):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("automl_cf.cf.problem.train", fail)
    evaluation = Problem(tiny_task(), NullMeter()).evaluate(Architecture({"operation": "plus"}))
    assert (evaluation.status, evaluation.rmse) == (status, None)
    assert type(error).__name__ in evaluation.error


class SpentMeter(NullMeter):
    """A budget of so many visits."""

    def __init__(self, budget):
        super().__init__()
        self.budget = budget

    def check(self):
        if self.visits > self.budget:
            raise BudgetExhausted("visits")


def test_the_budgets_end_is_no_failure():
    task = tiny_task(learning_rate=0.01)
    meter = SpentMeter(2 * len(task.data.train))
    with pytest.raises(BudgetExhausted):
        Problem(task, meter).evaluate(Architecture({"operation": "plus"}))
    assert meter.visits == 3 * len(task.data.train)  # noticed between epochs


def test_evaluation_is_a_training_at_the_search_l2():
    task = tiny_task(search_l2=0.05)
    architecture = Architecture({"operation": "multiply"})
    evaluation = Problem(task, NullMeter()).evaluate(architecture)
    fit = train(architecture, task, NullMeter(), l2=0.05)
    assert evaluation.rmse == fit.rmse == evaluation.loss
    assert evaluation.curve == fit.curve
    assert Evaluation.from_json(evaluation.to_json()) == evaluation
    shorter = Problem(task, NullMeter()).evaluate(architecture, epochs=2)
    assert shorter.curve == fit.curve[:2]


def test_operations_of():
    assert operations_of(Architecture({"operation": "min"})) == ("min",)
    assert operations_of(Architecture({"operations": ["min", "max"]})) == ("min", "max")


# The final retraining over the grid of l2.


def test_training_over_the_grid(monkeypatch):
    rmse = {0.0: 0.9, 1e-3: 0.7, 1e-2: 0.8}

    def pretend(candidates, task, meter):
        return [Fit("diverged" if np.isnan(rmse[c.l2]) else "ok", rmse[c.l2], c.l2, 1, 1) for c in candidates]

    monkeypatch.setattr("automl_cf.cf.models.train_all", pretend)
    task = tiny_task(l2_grid=tuple(rmse))

    def best():
        fit, at_edge = train_over_grid(Architecture({"operation": "plus"}), task, NullMeter())
        return fit.l2, at_edge

    assert best() == (1e-3, False)
    rmse[0.0] = 0.5
    assert best() == (0.0, False)  # nothing lies beyond 0
    rmse[1e-2] = 0.4
    assert best() == (1e-2, True)
    rmse[1e-2] = float("nan")
    assert best() == (0.0, False)
    rmse |= dict.fromkeys(rmse, float("nan"))
    assert train_over_grid(Architecture({"operation": "plus"}), task, NullMeter())[0].status == "diverged"


def test_the_lower_edge_of_a_grid_without_zero(monkeypatch):
    monkeypatch.setattr("automl_cf.cf.models.train", lambda a, task, meter, l2: Fit("ok", l2, l2, 1, 1))
    assert train_over_grid(Architecture({"operation": "plus"}), tiny_task(l2_grid=(1, 2)), NullMeter())[1]
    assert not train_over_grid(Architecture({"operation": "plus"}), tiny_task(l2_grid=(1,)), NullMeter())[1]


def test_an_architectures_own_l2():
    task = tiny_task(search_l2=0.0, l2_grid=(0.1, 0.2))
    own, other = (Architecture({"operation": "plus", "l2": l2}) for l2 in (0.05, 0.5))
    assert l2_grid(own, task.training) == (0.05,)
    assert train(own, task, NullMeter(), l2=0.1).l2 == 0.05
    assert train(own, task, NullMeter()).rmse != train(other, task, NullMeter()).rmse
    fit, at_edge = train_over_grid(own, task, NullMeter())
    assert (fit.l2, at_edge) == (0.05, False)


def test_a_penalty_shrinks_the_embeddings():
    small, large = (
        sum(
            table.square().sum().item()
            for table in train(
                Architecture({"operation": "multiply"}), tiny_task(patience=8), NullMeter(), l2=l2
            ).model.transformed
        )
        for l2 in (0.0, 1.0)
    )
    assert large < small


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0},
        {"learning_rate": float("inf")},
        {"init_scale": float("nan")},
        {"batch_size": -1},
        {"patience": 0},
        {"search_l2": -1e-5},
        {"search_l2": float("inf")},
        {"l2_grid": ()},
        {"l2_grid": (-1.0,)},
        {"l2_grid": (float("inf"),)},
        {"penalty": "squared"},
        {"learningrate": 0.1},
    ],
)
def test_a_training_that_makes_no_sense(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        Training(**options)


def test_the_grid_is_put_in_order():
    assert Training(l2_grid=(1e-2, 0, 1e-3, 1e-2)).l2_grid == (0, 1e-3, 1e-2)


def test_null_meter():
    meter = NullMeter()
    meter.visit(3)
    meter.visit(4)
    with meter.timed("train"):
        meter.check()
    assert meter.visits == 7
