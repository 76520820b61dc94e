import numpy as np
import pytest
from one_shot import (
    SMALL,
    all_steps,
    check_continues_identically,
    check_survives_divergence,
    problem_of,
    started,
    tensor_problem,
)
from reference import ENGINES, OPERATIONS, numeric_gradient, predict, random_data

from automl_cf.cf.supernet import Supernet
from automl_cf.spaces import interaction_space
from automl_cf.spaces.views.relaxation import relax

FLOAT64 = {"precision": "float64", "learning_rate": 0.4, "init_scale": 0.5, "search_l2": 0.3}


def validation_loss(net, alpha, data, rows):
    """By the formulas, without networks; the last row of each mode is cold."""
    tables = [table.numpy() for table in net.tables]
    tables = [np.concatenate([table[:-1], table[:-1].mean(axis=0, keepdims=True)]) for table in tables]
    predictors = {name: a * net.predictors[name].numpy() for name, a in zip(OPERATIONS, alpha, strict=True)}
    prediction = predict(tables, predictors, [None, None], "sigmoid", data.valid.indices[rows])
    return np.mean((prediction - data.valid.values[rows].astype(np.float64)) ** 2)


def largest(alpha, k):
    """prox_C1, or prox_Ck, for an alpha that is not negative and has no ties."""
    return np.where(alpha >= np.sort(alpha)[-k], alpha, 0.0)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize(("engine", "order"), [*((engine, 1) for engine in ENGINES), ("fused", 2)])
def test_algorithm_1(engine, order, k):
    """Its steps, restated, with gradients by finite differences of the validation loss after a training step."""
    data, step, space = random_data(train=60, valid=30), 0.3, interaction_space(units=1, k=k)
    searcher = started("nasp", problem_of(data, engine=engine, **FLOAT64), space, order=order, step=step)
    net = problem_of(data, **FLOAT64).supernet(relax(space), np.random.SeedSequence(0).spawn(2)[0])
    alpha = searcher.lane.alpha.copy()
    if order == 2:  # by then every predictor has been trained: a first step is none that could be differentiated
        for each in (net, searcher.lane.net):
            each.train_batch(np.ones(5), {}, np.arange(60))
    for valid_rows, train_rows in net.epoch():
        discrete, state = largest(alpha, k), net.state_dict()  # step 3

        def ahead(weights, discrete=discrete, train_rows=train_rows, state=state):
            net.load_state_dict(*state)
            net.train_batch(weights, {}, train_rows)

        def held_fixed(discrete=discrete, valid_rows=valid_rows):
            return validation_loss(net, discrete, data, valid_rows)

        def unrolled(discrete=discrete, valid_rows=valid_rows, ahead=ahead):
            ahead(discrete)
            return validation_loss(net, discrete, data, valid_rows)

        ahead(discrete)
        (gradient,) = numeric_gradient(held_fixed if order == 1 else unrolled, [discrete], step=1e-5)
        alpha = np.clip(alpha - step * gradient, 0.0, 1.0)  # step 4
        net.load_state_dict(*state)
        net.train_batch(largest(alpha, k), {}, train_rows)  # steps 5 and 6
    incumbent = searcher.step()
    assert searcher.lane.alpha == pytest.approx(alpha, abs=1e-6)
    assert incumbent.rmse == pytest.approx(net.rmse(largest(alpha, k), {}), abs=1e-6)
    chosen = tuple(OPERATIONS[i] for i in np.flatnonzero(largest(alpha, k)))
    assert dict(incumbent.architecture) == {
        **({"operation": chosen[0]} if k == 1 else {"operations": chosen}),
        "activation": "sigmoid",
    }


def test_its_architecture_can_be_trained():
    problem = problem_of()
    assert problem.evaluate(started("nasp", problem).step().architecture).status == "ok"


@pytest.mark.parametrize(("order", "engine"), [(1, "reference"), (1, "fused"), (2, "fused")])
def test_visits(order, engine):
    """Validation ratings by every operation; training ratings by the selected one in the step and the step ahead.

    Of second order, the step ahead and its derivative are by every operation.
    """
    problem = problem_of(engine=engine)
    train, valid = len(problem.task.data.train), len(problem.task.data.valid)
    searcher = started("nasp", problem, order=order)
    searcher.step()
    assert problem.meter.visits == 5 * valid + train + (train if order == 1 else 2 * 5 * train)
    assert isinstance(searcher.lane.net, Supernet) == (engine == "reference" or order == 2)


def test_an_alpha_of_nothing_but_zeros_is_drawn_anew():
    searcher = started("nasp", step=1e6)
    for incumbent in iter(searcher.step, None):
        assert searcher.lane.alpha.any()
        assert incumbent.architecture["operation"] in OPERATIONS


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("k", [1, 2])
def test_continues_identically(order, k):
    check_continues_identically(lambda: started("nasp", space=interaction_space(units=1, k=k), order=order, epochs=6))


@pytest.mark.parametrize("order", [1, 2])
def test_divergence_is_a_result(order):
    check_survives_divergence("nasp", order=order)


@pytest.mark.parametrize("order", [1, 2])
def test_spaces_without_networks_and_tensors(order):
    plain = interaction_space(units=0)
    with_networks, without = (all_steps(started("nasp", space=s, order=order, epochs=2)) for s in (SMALL, plain))
    assert [step.rmse for step in with_networks] == [step.rmse for step in without]
    assert all(plain.contains(step.architecture) for step in without)
    steps = all_steps(started("nasp", tensor_problem(), order=order, epochs=2))
    assert all(np.isfinite(step.rmse) for step in steps)
    assert len(steps) == 2
