import io
import json

import numpy as np
import pytest
from one_shot import large, problem_of
from reference import numeric_gradient, penalty, planted_split, random_data, tiny_task

from automl_cf.cf.batched import Candidate
from automl_cf.cf.meter import BudgetExhausted, NullMeter
from automl_cf.cf.mlp import MlpTables, layer_shapes, train_mlp, widths_of
from automl_cf.cf.models import models, train, train_all, train_over_grid
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.training import Training
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture

L2, RATE, DIM = 0.3, 0.4, 2
FLOAT64 = {"precision": "float64", "learning_rate": RATE, "init_scale": 0.5, "search_l2": L2}


def mlp(*widths, **more):
    return Architecture({"model": "mlp", **{f"width{i}": width for i, width in enumerate(widths, start=1)}, **more})


def scores(tables, w, layers, indices):
    """w . h_L of every rating, one unit at a time; `layers` are pairs of a matrix and a bias."""
    hidden = [column for mode, table in enumerate(tables) for column in table[indices[:, mode]].T]
    for matrix, bias in layers:
        hidden = [
            1 / (1 + np.exp(-(b + sum(a * x for a, x in zip(row, hidden, strict=True)))))
            for row, b in zip(matrix, bias, strict=True)
        ]
    return sum(a * x for a, x in zip(w, hidden, strict=True))


def with_mean_in_cold_rows(tables):
    """The policy, for data whose last rows are the cold ones."""
    return [np.concatenate([table[:-1], table[:-1].mean(axis=0, keepdims=True)]) for table in tables]


def net_of(widths, data, seed=1):
    return MlpTables(widths, data, Training(**FLOAT64), dim=DIM, l2=L2, rng=np.random.default_rng(seed), device="cpu")


def initial_layers(inputs, widths, rng):
    """Uniform with variance 2 / (inputs + outputs), and biases of 0."""
    layers = []
    for width in widths:
        bound = np.sqrt(6 / (inputs + width))
        layers.append((bound * rng.uniform(-1, 1, (width, inputs)), np.zeros(width)))
        inputs = width
    return layers


@pytest.mark.parametrize(
    ("shape", "widths", "kind"),
    [
        ((6, 5), (), "expected"),
        ((6, 5), (2,), "expected"),
        ((6, 5), (4, 2, 2), "touched"),
        ((4, 3, 5), (2, 4), "unsquared"),
    ],
)
def test_an_epoch_is_adagrad_on_the_formula(shape, widths, kind):
    """Three batches by the protocol: initial values, order, gradients, steps, projection, cold rows, RMSE."""
    data, size = large(random_data(shape)), 8
    end = (0,) if len(widths) < 5 else ()
    fit = train_mlp(
        mlp(*widths, *end),
        data,
        Training(batch_size=size, penalty=kind, **FLOAT64),
        dim=DIM,
        l2=L2,
        rng=np.random.default_rng(3),
        meter=NullMeter(),
        epochs=1,
    )

    rng, inputs = np.random.default_rng(3), DIM * len(shape)
    tables = [rng.normal(0, 0.5, (rows, DIM)) for rows in shape]
    w = rng.normal(size=(*widths[-1:], inputs)[0])
    w /= np.linalg.norm(w)
    layers = initial_layers(inputs, widths, rng)
    parameters = [*tables, w, *(part for layer in layers for part in layer)]
    sums = [np.zeros_like(parameter) for parameter in parameters]
    projected = 0
    for rows in np.split(shuffled(len(data.train), rng), [size, 2 * size]):
        indices, values = data.train.indices[rows], data.train.values[rows].astype(np.float64)

        def objective(indices=indices, values=values, w=w):
            error = scores(tables, w, layers, indices) - values
            return np.mean(error**2) + penalty(kind, tables, indices, data.train.indices, L2)

        for parameter, total, gradient in zip(parameters, sums, numeric_gradient(objective, parameters), strict=True):
            gradient[np.abs(gradient) < 1e-9] = 0  # rows that the batch does not touch
            total += gradient**2
            moved = total > 0
            parameter[moved] -= RATE * gradient[moved] / np.sqrt(total[moved])
        projected += np.linalg.norm(w) > 1
        w /= max(1.0, np.linalg.norm(w))
    prediction = scores(with_mean_in_cold_rows(tables), w, layers, data.valid.indices)
    assert projected
    assert fit.status == "ok"
    assert fit.model.predict(data.valid.indices) == pytest.approx(prediction, abs=1e-6)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean((prediction - data.valid.values) ** 2)), abs=1e-6)
    assert fit.curve == (fit.rmse,)


@pytest.mark.parametrize("engine", ["reference", "fused", "batched"])
def test_without_a_layer_it_is_concat(engine):
    task = tiny_task(engine=engine, precision="float64")
    linear, concat = (train(a, task, NullMeter()) for a in (mlp(0), Architecture({"operation": "concat"})))
    assert linear.curve == pytest.approx(concat.curve, abs=1e-9)
    assert linear.best_epoch == concat.best_epoch
    indices = task.data.valid.indices
    assert linear.model.predict(indices) == pytest.approx(concat.model.predict(indices), abs=1e-9)


@pytest.mark.parametrize("engine", ["fused", "batched"])
def test_it_is_trained_on_pytorch_whatever_the_engine(engine):
    """And by `train_all` as one by one, whatever else is among the candidates."""
    architectures = [mlp(4, 2, 0), mlp(16, 16, 16, 16, 16), Architecture({"operation": "plus"})]
    task, reference = tiny_task(engine=engine), tiny_task()
    fits = train_all([Candidate(a, 1e-3, task.seed) for a in architectures], task, NullMeter())
    for architecture, fit in zip(architectures[:2], fits, strict=False):
        assert fit.status == "ok"
        assert fit.curve == train(architecture, reference, NullMeter()).curve


def test_training_follows_the_protocol():
    task = tiny_task(max_epochs=60, patience=2, learning_rate=0.5, l2_grid=(0.0, 1e-3))
    meter = NullMeter()
    fit = train(mlp(8, 4, 0), task, meter)
    assert fit.rmse == min(fit.curve) == fit.curve[fit.best_epoch - 1]
    assert fit.best_epoch < fit.epochs == len(fit.curve) < 60
    assert meter.visits == fit.epochs * len(task.data.train)
    assert train(mlp(8, 4, 0), task, NullMeter()).curve == fit.curve
    assert len(train(mlp(8, 4, 0), task, NullMeter(), epochs=2).curve) == 2
    assert train(mlp(8, 4, 0, l2=0.5), task, NullMeter()).l2 == 0.5
    best, _ = train_over_grid(mlp(8, 4, 0), task, NullMeter())
    assert best.status == "ok"

    class Spent(NullMeter):
        def check(self):
            raise BudgetExhausted("seconds")

    with pytest.raises(BudgetExhausted):
        train(mlp(8, 0), task, Spent())


def test_the_kept_model_is_the_best_epochs():
    """Not the last one's, and it can be stored and read."""
    task = tiny_task(max_epochs=60, patience=2, learning_rate=0.5)
    fit = train(mlp(8, 4, 0), task, NullMeter())
    valid = task.data.valid
    kept = fit.model.predict(valid.indices)
    assert np.sqrt(np.mean((kept - valid.values) ** 2)) == pytest.approx(fit.rmse, abs=1e-6)
    assert kept.dtype == np.float64
    arrays, values = fit.model.parts()
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again = models.get("mlp").restore(dict(stored), json.loads(json.dumps(values)))
    assert again.predict(valid.indices).tolist() == kept.tolist()
    assert fit.model.predict(valid.indices[:0]).shape == (0,)


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5)])
@pytest.mark.parametrize("widths", [(), (4,), (2, 8, 4, 2, 16)])
def test_predictions_are_the_formula_and_stay(shape, widths):
    data = random_data(shape, train=40)
    net = net_of(widths, data)
    for _ in range(3):
        net.train_batch(np.arange(30))
    tables, w = [table.detach().numpy() for table in net.tables], net.predictors["mlp"].detach().numpy()
    shapes = layer_shapes(DIM * len(shape), widths)
    cuts = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    parts = np.split(net.weights.detach().numpy(), cuts)[:-1]
    assert len(net.weights) == (cuts[-1] if widths else 0)
    arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    layers = list(zip(arrays[::2], arrays[1::2], strict=True))
    expected = scores(with_mean_in_cold_rows(tables), w, layers, data.valid.indices)
    model = net.frozen()
    assert model.predict(data.valid.indices) == pytest.approx(expected, abs=1e-12)
    assert net.rmse() == pytest.approx(np.sqrt(np.mean((expected - data.valid.values) ** 2)), abs=1e-12)
    net.train_batch(np.arange(30))
    assert model.predict(data.valid.indices) == pytest.approx(expected, abs=1e-12)
    assert net.frozen().predict(data.valid.indices) != pytest.approx(expected, abs=1e-4)


def test_divergence_in_training_is_a_result():
    for widths in ((0,), (4, 0), (2, 2, 2, 2, 2)):
        evaluation = problem_of(learning_rate=1e30).evaluate(mlp(*widths))
        assert evaluation.status == "diverged"
        assert evaluation.rmse is None


def test_it_finds_an_interaction_where_biases_cannot():
    """Products have no additive part, so biases and `concat` explain nothing of them."""
    split = planted_split(users=60, items=40, density=0.7, operation="multiply", noise=0.1)
    task = tiny_task(split.for_search(), max_epochs=60, learning_rate=0.2)
    best = {
        name: min(fit.rmse for fit in (train(a, task, NullMeter(), l2=l2) for l2 in (1e-3, 1e-2)))
        for name, a in {"bias": Architecture({"model": "bias-only"}), "linear": mlp(0), "mlp": mlp(16, 16, 0)}.items()
    }
    assert best["mlp"] < 0.7 * min(best["bias"], best["linear"])


@pytest.mark.parametrize(
    ("values", "widths"),
    [
        ({"width1": 0}, ()),
        ({"width1": 16, "width2": 0, "l2": 0.1}, (16,)),
        ({"width1": 2, "width2": 4, "width3": 8, "width4": 16, "width5": 2}, (2, 4, 8, 16, 2)),
        ({"width1": 2, "width2": 4, "width3": 8, "width4": 16, "width5": 0}, (2, 4, 8, 16)),
    ],
)
def test_widths(values, widths):
    assert widths_of(Architecture({"model": "mlp", **values})) == widths


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ({}, "no width"),
        ({"width1": 3, "width2": 0}, "width1 3, width2 0"),
        ({"width1": -2}, "width1 -2"),
        ({"width1": "8"}, "width1 '8'"),
        ({"width1": 8.0, "width2": 0}, r"width1 8\.0, width2 0"),
        ({"width1": False}, "width1 False"),
        ({"width1": [2, 4]}, r"width1 \(2, 4\)"),
        ({"width1": 8}, "width1 8"),
        ({"width1": 0, "width2": 4}, "width1 0, width2 4"),
        ({"width2": 4}, "width2 4"),
        ({f"width{i}": 2 for i in range(1, 7)}, "width1 2, .*, width6 2"),
        ({"width1": 0, "activation": "relu"}, "width1 0, activation 'relu'"),
    ],
)
def test_widths_outside_the_space_are_refused(values, listed):
    message = (
        f"^an architecture with model 'mlp' has {listed}, but must have width1, width2 and so on, each one of "
        "0, 2, 4, 8, 16, until one is 0 or it has 5, and nothing else.$"
    )
    architecture = Architecture({"model": "mlp", **values})
    with pytest.raises(InputError, match=message):
        widths_of(architecture)
    evaluation = problem_of().evaluate(architecture)
    assert evaluation.status == "invalid"
    assert "an architecture with model 'mlp' has" in evaluation.error
