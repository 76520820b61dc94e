"""The predictor on top of an operation: linear, or the MLP of section 4.5.4."""

import itertools
import json
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_shot import all_steps, check_continues_identically, large, problem_of, started
from reference import ENGINES, OPERATIONS, named, numeric_gradient, penalty, random_data, random_networks, tiny_task
from reference import combine as combine_rows
from reference import network as apply_network
from small_runs import counted_events, small_study
from torch import nn

from automl_cf.cf.batched import Candidate, train_batched
from automl_cf.cf.bias import train_bias
from automl_cf.cf.data import plant
from automl_cf.cf.embeddings import initial_predictor, initial_tables
from automl_cf.cf.fused_supernet import FusedSupernet
from automl_cf.cf.interaction import InteractionModel, train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask, train, train_all
from automl_cf.cf.portable import JSON_NAME, PortableModel, _digest, train_on_all
from automl_cf.cf.predictor import LINEAR, MLP, PREDICTORS, predictor_of
from automl_cf.cf.problem import Problem
from automl_cf.cf.splits import random_split
from automl_cf.cf.supernet import Supernet
from automl_cf.cf.training import Training
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, Choice, Space, Vector, interaction_space
from automl_cf.spaces.interaction import PREDICTORS as NAMES
from automl_cf.spaces.tensor import tensor_space
from automl_cf.spaces.views.relaxation import relax
from automl_cf.suite import run

HIDDEN = 10
FLOAT64 = {"precision": "float64", "learning_rate": 0.4, "init_scale": 0.5}


def layers(weights):
    """W, b, a and c of an MLP's flat vector."""
    width = (len(weights) - 1) // HIDDEN - 2
    return np.split(weights, np.cumsum([HIDDEN * width, HIDDEN, HIDDEN]))


def mlp_score(combined, weights):
    """a . relu(W x + b) + c, a unit at a time, for (n, width)."""
    matrix, b, a, (c,) = layers(weights)
    rows = np.split(matrix, HIDDEN)
    return c + sum(a[h] * np.maximum(0.0, combined @ rows[h] + b[h]) for h in range(HIDDEN))


def projected(weights):
    """Each unit's weights, and the output layer's, into the unit ball."""
    matrix, b, a, c = layers(weights)
    rows = [row / max(1.0, np.linalg.norm(row)) for row in np.split(matrix, HIDDEN)]
    return np.concatenate([*rows, b, a / max(1.0, np.linalg.norm(a)), c])


def predict(tables, predictors, alpha, networks, activation, indices):
    """The sum of alpha times the MLPs' scores."""
    rows = [
        table[indices[:, mode]] if vector is None else apply_network(table[indices[:, mode]], vector, activation)
        for mode, (table, vector) in enumerate(zip(tables, networks, strict=True))
    ]
    return sum(
        weight * mlp_score(combine_rows(name, *rows), predictors[name])
        for name, weight in zip(predictors, alpha, strict=True)
    )


def mlp(operation="concat", **values):
    return Architecture({"operation": operation, "predictor": "mlp", **values})


# What a predictor is.


def test_the_names_are_those_of_the_spaces():
    assert tuple(PREDICTORS) == NAMES
    assert predictor_of({}) is LINEAR
    assert [predictor_of({"predictor": name}) for name in NAMES] == [LINEAR, MLP]
    for space in (interaction_space(predictor="mlp"), tensor_space(3, predictor="mlp")):
        assert predictor_of(space.sample(np.random.default_rng(0))) is MLP
    assert "predictor" not in interaction_space().sample(np.random.default_rng(0))


@given(st.integers(1, 9), st.integers(0, 6), st.integers(1, 3), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_scores_are_the_formulas_also_of_stacks(width, n, stacks, seed):
    rng = np.random.default_rng(seed)
    combined = rng.normal(size=(stacks, n, width))
    for predictor, score in ((LINEAR, lambda x, w: x @ w), (MLP, mlp_score)):
        weights = rng.normal(size=(stacks, predictor.size(width)))
        of_stack = predictor.score(torch.tensor(combined), torch.tensor(weights))
        assert of_stack.shape == (stacks, n)
        for x, w, together in zip(combined, weights, of_stack, strict=True):
            alone = predictor.score(torch.tensor(x), torch.tensor(w))
            assert alone.numpy() == pytest.approx(score(x, w), abs=1e-12)
            assert together.numpy() == pytest.approx(alone.numpy(), abs=1e-12)
            scaled = predictor.score(torch.tensor(x), predictor.scaled(torch.tensor(w), -0.7))
            assert scaled.numpy() == pytest.approx(-0.7 * score(x, w), abs=1e-12)


@given(st.integers(1, 9), st.integers(1, 3), st.floats(0.01, 3), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_projection(width, stacks, scale, seed):
    weights = scale * np.random.default_rng(seed).normal(size=(stacks, MLP.size(width)))
    got = torch.tensor(weights)
    MLP.project(got)
    for row, w in zip(got.numpy(), weights, strict=True):
        assert row == pytest.approx(projected(w), abs=1e-12)
    again = got.clone()
    MLP.project(again)
    assert torch.allclose(again, got, atol=1e-15)


@given(st.integers(1, 9), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_every_linear_predictor_of_norm_1_is_an_mlp(width, seed):
    """Two units, w and -w; the norm of the output weights allows to write it."""
    rng = np.random.default_rng(seed)
    w, x = rng.normal(size=width), torch.tensor(rng.normal(size=(7, width)))
    w /= np.linalg.norm(w)
    matrix = np.concatenate([np.tile(np.concatenate([w, -w]), HIDDEN // 2)])
    weights = np.concatenate([matrix, np.zeros(HIDDEN), np.tile([0.2, -0.2], HIDDEN // 2), [0.0]])
    assert projected(weights) == pytest.approx(weights, abs=1e-15)
    assert MLP.score(x, torch.tensor(weights)).numpy() == pytest.approx(x.numpy() @ w, abs=1e-12)


@pytest.mark.parametrize("width", [1, 2, 8, 33])
def test_initial_values(width):
    training = Training(precision="float64")
    w = LINEAR.initial(width, training, np.random.default_rng(3), "cpu")
    direction = np.random.default_rng(3).normal(size=width)
    assert w.numpy() == pytest.approx(direction / np.linalg.norm(direction))
    assert torch.equal(w, initial_predictor(width, training, np.random.default_rng(3), "cpu"))
    drawn = [MLP.initial(width, training, np.random.default_rng(seed), "cpu").numpy() for seed in range(200)]
    assert {len(w) for w in drawn} == {MLP.size(width)} == {width * HIDDEN + 2 * HIDDEN + 1}
    for w in drawn:
        assert projected(w) == pytest.approx(w, abs=1e-15)
        _, b, _, c = layers(w)
        assert not b.any()
        assert not c.any()
    bound = np.sqrt(6 / (width + HIDDEN))
    matrices = np.array([layers(w)[0] for w in drawn])
    assert np.abs(matrices).max() <= bound
    if bound**2 * width <= 1:  # nothing to project
        assert matrices.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)


# Training.


def a_fit(engine, architecture, data, training, seed=0, l2=0.0, dim=2):
    """One training on an engine."""
    task = TrainingTask(
        data, training.model_copy(update={"engine": engine}), dim, np.random.SeedSequence(seed), device="cpu"
    )
    return train(architecture, task, NullMeter(), l2=l2)


class TorchMlp(nn.Module):
    """The model as one would write it in PyTorch: concat under a three-layer MLP."""

    def __init__(self, tables, weights):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding.from_pretrained(table.clone(), freeze=False) for table in tables)
        matrix, b, a, c = map(torch.tensor, layers(weights.numpy().copy()))
        self.mlp = nn.Sequential(nn.Linear(len(matrix) // HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)).double()
        with torch.no_grad():
            for parameter, value in zip(self.mlp.parameters(), (matrix, b, a, c), strict=True):
                parameter.copy_(value.view_as(parameter))

    def forward(self, indices):
        rows = [embedding(index) for embedding, index in zip(self.embeddings, indices.T, strict=True)]
        return self.mlp(torch.cat(rows, 1)).squeeze(1)

    def project(self):
        with torch.no_grad():
            first, second = self.mlp[0].weight, self.mlp[2].weight
            for row in (*first, *second):
                row /= max(1.0, float(row.norm()))


@pytest.mark.parametrize("engine", ["reference", "fused", "batched"])
@pytest.mark.parametrize("epochs", [1, 6])
def test_steps_are_those_of_a_module_of_torch(engine, epochs):
    data = large(random_data())
    training = Training(batch_size=0, max_epochs=epochs, patience=100, **FLOAT64)
    rng = np.random.default_rng(np.random.SeedSequence(0))
    tables = initial_tables(data.train.shape, 2, training, rng, "cpu")
    module = TorchMlp(tables, MLP.initial(4, training, rng, "cpu"))
    optimizer = torch.optim.Adagrad(module.parameters(), lr=training.learning_rate, eps=1e-10)
    warm = torch.tensor(data.valid.indices[(data.valid.indices < np.array(data.valid.shape) - 1).all(1)])
    target = torch.tensor(data.train.values.astype(np.float64))
    best, predicted = np.inf, None
    fit = a_fit(engine, mlp(), data, training)
    for rmse in fit.curve:
        optimizer.zero_grad()
        (module(torch.tensor(data.train.indices)) - target).square().mean().backward()
        optimizer.step()
        module.project()
        if rmse < best:
            best, predicted = rmse, module(warm).detach().numpy()
    assert len(fit.curve) == epochs
    assert fit.model.predict(warm.numpy()) == pytest.approx(predicted, abs=1e-9)
    if epochs > 1:  # both bounds are reached
        assert any(torch.isclose(module.mlp[0].weight.norm(dim=1), torch.tensor(1.0).double()))
        assert float(module.mlp[2].weight.detach().norm()) == pytest.approx(1.0)


@st.composite
def candidates(draw, order):
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    selected = draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=3, unique=True))
    values = {"operations": tuple(selected)} if len(selected) > 1 else {"operation": selected[0]}
    networks = random_networks(rng, order, draw(st.sampled_from([None, "tanh"])))
    predictor = draw(st.sampled_from([{}, {"predictor": "linear"}, {"predictor": "mlp"}, {"predictor": "mlp"}]))
    return Candidate(
        Architecture(values | named(networks) | {"activation": "tanh"} | predictor),
        draw(st.sampled_from([0.0, 0.1])),
        np.random.SeedSequence(draw(st.integers(0, 1))),
    )


@given(st.data(), st.sampled_from([(6, 5), (4, 3, 5)]), st.sampled_from([0, 7]))
@settings(deadline=None, max_examples=15, derandomize=True)
def test_a_batch_of_both_predictors_is_trained_as_if_alone(drawn, shape, batch_size):
    chosen = drawn.draw(st.lists(candidates(len(shape)), min_size=1, max_size=6))
    data = random_data(shape)
    training = Training(batch_size=batch_size, max_epochs=4, patience=1, **FLOAT64)
    fits = train_batched(chosen, data, training, dim=2, meter=NullMeter())
    everywhere = np.argwhere(np.ones(shape))
    for fit, one in zip(fits, chosen, strict=True):
        rng = np.random.default_rng(one.seed)
        alone = train_interaction(one.architecture, data, training, dim=2, l2=one.l2, rng=rng, meter=NullMeter())
        assert fit.curve == pytest.approx(alone.curve, abs=1e-9)
        assert fit.model.predict(everywhere) == pytest.approx(alone.model.predict(everywhere), abs=1e-9)
        sizes = [{name: len(w) for name, w in model.predictors.items()} for model in (fit.model, alone.model)]
        assert sizes[0] == sizes[1]


def test_linear_by_name_is_linear_without():
    data = random_data()
    training = Training(max_epochs=3)
    for engine in ("reference", "batched"):
        plain, by_name = (
            a_fit(engine, Architecture({"operation": "concat", **values}), data, training)
            for values in ({}, {"predictor": "linear"})
        )
        assert plain.curve == by_name.curve
        assert a_fit(engine, mlp(), data, training).curve != plain.curve


@cache
def planted():
    """Products of embeddings with little noise, which no bias model can tell."""
    return random_split(plant(users=60, items=40, dim=3, density=0.6, noise=0.2, seed=1).ratings, seed=0).for_search()


@pytest.mark.parametrize(("operation", "engine"), [("multiply", "fused"), ("concat", "batched")])
def test_it_beats_the_bias_model_on_planted_data(operation, engine):
    """Also on concat, which is a bias model itself under a linear predictor."""
    training = Training(batch_size=128, max_epochs=40, patience=10, engine=engine)
    bias = min(train_bias(planted(), training, l2=l2, meter=NullMeter()).rmse for l2 in (0.01, 0.03, 0.1, 0.3))
    task = TrainingTask(planted(), training, 4, np.random.SeedSequence(0))
    grid = [Candidate(mlp(operation), l2, np.random.SeedSequence(0)) for l2 in (3e-3, 1e-2)]
    fits = train_all(grid, task, NullMeter())
    assert min(fit.rmse for fit in fits) < 0.9 * bias


# The supernet, and the searchers on it.


def space(order, activation="tanh"):
    networks = [Vector(name, 7, 3.0) for name in "pqr"[:order]]
    constants = {"activation": activation, "predictor": "mlp"}
    return Space("interaction", (Choice("operation", OPERATIONS), *networks), constants)


def state(net):
    tables = [table.numpy().copy() for table in net.tables]
    return tables, {name: w.numpy().copy() for name, w in net.predictors.items()}


def with_mean_in_cold_rows(tables):
    """The policy, for data whose last rows are the cold ones."""
    return [np.concatenate([table[:-1], table[:-1].mean(axis=0, keepdims=True)]) for table in tables]


def trained_net(shape, l2=0.3):
    """A supernet a few steps on, the data, networks, and a mixture of operations, one of them silent."""
    rng, order = np.random.default_rng(1), len(shape)
    data = large(random_data(shape))
    networks = random_networks(rng, order, "tanh")
    vectors = dict(zip("pqr", networks, strict=False))
    net = problem_of(data, **FLOAT64, search_l2=l2).supernet(relax(space(order)), np.random.SeedSequence(0))
    for _ in range(4):
        net.train_batch(rng.dirichlet(np.ones(5)), vectors, rng.permutation(20)[:12])
    return net, data, vectors, networks, np.array([0.7, 0.0, 0.2, -0.5, 0.9])


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5)])
def test_alpha_weighs_the_scores(shape):
    """Gradients on a batch are those of the formula; a supernet's RMSE is the formula's, too."""
    net, data, vectors, networks, alpha = trained_net(shape)
    tables, predictors = state(net)
    tables, rows = with_mean_in_cold_rows(tables), np.arange(7)
    assert {name: len(w) for name, w in predictors.items()} == {
        name: MLP.size(2 * len(shape) if name == "concat" else 2) for name in OPERATIONS
    }

    def error(of):
        predicted = predict(tables, predictors, alpha, networks, "tanh", data.valid.indices[of])
        return np.mean((predicted - data.valid.values[of].astype(np.float64)) ** 2)

    gradients = net.architecture_gradients(alpha, vectors, "valid", rows)
    by_alpha, *by_network = numeric_gradient(lambda: error(rows), [alpha, *networks], step=1e-5)
    assert gradients.alpha == pytest.approx(by_alpha, abs=1e-7)
    for got, expected in zip(gradients.vectors.values(), by_network, strict=True):
        assert got == pytest.approx(expected, abs=1e-7)
    assert net.rmse(alpha, vectors) == pytest.approx(np.sqrt(error(slice(None))), abs=1e-12)


def test_a_training_step_of_the_supernet_is_adagrads_on_the_formula():
    net, data, vectors, networks, alpha = trained_net((6, 5))
    tables, predictors = state(net)
    sums = [net.state_dict()[0][f"adagrad{i}"] for i in range(7)]
    parameters, rows = [*tables, *predictors.values()], np.arange(3, 15)
    indices, values = data.train.indices[rows], data.train.values[rows].astype(np.float64)

    def objective():
        predicted = predict(tables, predictors, alpha, networks, "tanh", indices)
        return np.mean((predicted - values) ** 2) + penalty("expected", tables, indices, data.train.indices, 0.3)

    for parameter, total, gradient in zip(parameters, sums, numeric_gradient(objective, parameters, 1e-6), strict=True):
        total += gradient**2
        moved = total > 0
        parameter[moved] -= 0.4 * gradient[moved] / np.sqrt(total[moved])
    net.train_batch(alpha, vectors, rows)
    got_tables, got_predictors = state(net)
    for table, expected in zip(got_tables, tables, strict=True):
        assert table == pytest.approx(expected, abs=1e-6)
    silent = "plus"
    for name in OPERATIONS:
        expected = predictors[name] if name == silent else projected(predictors[name])
        assert got_predictors[name] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5)])
def test_second_order_gradients_are_those_of_the_unrolled_loss(shape):
    net, data, vectors, networks, alpha = trained_net(shape)
    alpha[1] = 0.4
    valid_rows, train_rows = np.arange(7), np.arange(3, 15)

    def unrolled():
        before = net.state_dict()
        net.train_batch(alpha, vectors, train_rows)
        tables, predictors = state(net)
        net.load_state_dict(*before)
        indices, values = data.valid.indices[valid_rows], data.valid.values[valid_rows].astype(np.float64)
        predicted = predict(with_mean_in_cold_rows(tables), predictors, alpha, networks, "tanh", indices)
        return np.mean((predicted - values) ** 2)

    gradients = net.unrolled_gradients(alpha, vectors, valid_rows, train_rows)
    by_alpha, *by_network = numeric_gradient(unrolled, [alpha, *networks], step=1e-6)
    assert gradients.alpha == pytest.approx(by_alpha, abs=1e-6)
    for got, expected in zip(gradients.vectors.values(), by_network, strict=True):
        assert got == pytest.approx(expected, abs=1e-6)


SMALL = interaction_space(units=1, predictor="mlp")
ONE_SHOT = [
    ("sif", {}),
    ("sif-robust", {}),
    ("sif-no-auto", {}),
    ("snas", {}),
    *itertools.product(["nasp", "darts"], [{"order": 1}, {"order": 2}]),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "options"), ONE_SHOT)
def test_every_one_shot_searcher(name, options, engine):
    steps = all_steps(started(name, problem_of(engine=engine), space=SMALL, epochs=2, **options))
    assert len(steps) == (10 if name == "sif-robust" else 2)  # which has a lane per operation
    for step in steps:
        assert step.architecture["predictor"] == "mlp"
        assert np.isfinite(step.rmse)


def test_a_search_continues_identically():
    check_continues_identically(lambda: started("sif", problem_of(engine="fused"), space=SMALL, epochs=6))


def test_the_fused_engine_leaves_the_mlp_to_pytorch():
    problem = problem_of(engine="fused")
    kinds = [type(problem.supernet(relax(s), np.random.SeedSequence(0))) for s in (SMALL, interaction_space(units=1))]
    assert kinds == [Supernet, FusedSupernet]
    curves = [train(mlp("max"), tiny_task(engine=engine, precision="float64"), NullMeter()).curve for engine in ENGINES]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("training", [{}, {"engine": "batched"}])
def test_a_study_end_to_end(training, tmp_path):
    few = {"max_epochs": 4, "batch_size": 256, "l2_grid": [0.0, 1e-4], **training}
    study = small_study(
        searchers=["random", "sif-robust"],
        space={"options": {"predictor": "mlp"}},
        budget={"trials": 2, "visits": 50_000},
        scoring={"points": 1},
        training=few,
    )
    run.start(study, tmp_path / "run")
    events = counted_events(tmp_path / "run")
    scores = [event for event in events if event["kind"] == "score"]
    assert {event["cell"] for event in scores} == {cell.id for cell in study.cells()}
    assert all(np.isfinite(event["rmse"]) for event in scores)
    found = [event["architecture"] for event in events if event["kind"] in ("trial", "incumbent")]
    assert {architecture["predictor"] for architecture in found} == {"mlp"}
    assert not [event for event in events if event["kind"] == "cell_failed"]


# Storing, and refusing.


def taken_home(architecture=None, engine="fused"):
    values = {"p": [0.3, -0.4, 0.1, 0.2], "activation": "tanh"}
    task = tiny_task(engine=engine)
    ratings = random_data().train
    return train_on_all(architecture or mlp(**values), ratings, task, l2=1e-3, epochs=3)


@pytest.mark.parametrize("engine", ["fused", "reference", "batched"])
def test_a_stored_model_predicts_the_same_bits(engine, tmp_path):
    several = Architecture({"operations": ("max", "concat"), "predictor": "mlp"})
    for number, model in enumerate([taken_home(engine=engine), taken_home(several, engine)]):
        model.save(tmp_path / str(number))
        loaded = PortableModel.load(tmp_path / str(number))
        indices = np.argwhere(np.ones((7, 6)))
        expected = model.model.predict(indices)
        assert len(set(expected)) > 5
        assert loaded.model.predict(indices).tolist() == expected.tolist()
        assert loaded.model.parts()[1]["predictor"] == "mlp"


def test_a_stored_model_that_names_no_predictor_is_linear():
    fit = a_fit("reference", Architecture({"operation": "concat"}), random_data(), Training(max_epochs=2, **FLOAT64))
    arrays, values = fit.model.parts()
    assert values == {"operations": ["concat"]}
    restored = InteractionModel.restore(arrays, values)
    indices = random_data().valid.indices
    tables = [arrays["table0"][indices[:, 0]], arrays["table1"][indices[:, 1]]]
    expected = np.concatenate(tables, axis=1) @ arrays["predictor.concat"]
    assert restored.predict(indices) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("values", [{}, {"predictor": "linear"}, {"predictor": "no-such"}])
def test_a_stored_model_of_another_predictor_is_refused(values, tmp_path):
    taken_home().save(tmp_path / "model")
    path = tmp_path / "model" / JSON_NAME
    record = json.loads(path.read_text()) | {"values": {"operations": ["concat"], **values}}
    path.write_text(json.dumps(record | {"digest": _digest(record)}))
    with pytest.raises(InputError, match=r"does not hold a model|predictor is 'no-such'"):
        PortableModel.load(tmp_path / "model")


def test_an_unknown_predictor_is_refused():
    message = r"^predictor is 'mpl', but must be one of linear, mlp\. Did you mean 'mlp'\?$"
    odd = Architecture({"operation": "max", "predictor": "mpl"})
    for engine in ("reference", "fused", "batched"):
        with pytest.raises(InputError, match=message):
            train(odd, tiny_task(engine=engine), NullMeter())
        evaluation = Problem(tiny_task(engine=engine), NullMeter()).evaluate(odd)
        assert (evaluation.status, evaluation.rmse) == ("invalid", None)
        relaxation = relax(Space("odd", (Choice("operation", OPERATIONS),), {"predictor": "mpl"}))
        with pytest.raises(InputError, match=message):
            problem_of(engine=engine).supernet(relaxation, np.random.SeedSequence(0))
    with pytest.raises(InputError, match=r"has predictor 'mpl', but it must be one of linear, mlp\.$"):
        interaction_space(predictor="mpl")
