import numpy as np
import pytest
from reference import planted_split, random_data, tiny_task

from automl_cf.cf.bias import BIAS_L2_GRID, train_bias
from automl_cf.cf.data import plant
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import l2_grid, train, train_over_grid
from automl_cf.cf.splits import random_split
from automl_cf.cf.training import Training
from automl_cf.spaces import Architecture

BIAS_ONLY = Architecture({"model": "bias-only"})


def fitted(data, l2):
    return train_bias(data, Training(), l2=l2, meter=NullMeter())


def dense_ridge(data, l2):
    """The normal equations of mean squared error + l2/2 ||b||^2, solved densely; one array per mode."""
    train = data.train
    design = np.concatenate([np.eye(n)[train.indices[:, mode]] for mode, n in enumerate(train.shape)], axis=1)
    left = 2 / len(train) * design.T @ design + l2 * np.eye(design.shape[1])
    right = 2 / len(train) * design.T @ train.values.astype(np.float64)
    return np.split(np.linalg.lstsq(left, right, rcond=None)[0], np.cumsum(train.shape)[:-1])


@pytest.mark.parametrize("shape", [(6, 5), (20, 30), (5, 4, 6)])
@pytest.mark.parametrize("l2", [1e-6, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("seed", range(3))
def test_biases_by_a_dense_solve(shape, l2, seed):
    data = random_data(shape, train=60, valid=20, seed=seed)
    fit = fitted(data, l2)
    expected = dense_ridge(data, l2)
    for mode, bias in enumerate(expected):
        warm = data.train.counts(mode) > 0
        if l2 > 1e-6:  # below that the biases are fixed only up to constants that cancel
            assert fit.model.biases[mode][warm] == pytest.approx(bias[warm], abs=1e-5)
            assert fit.model.biases[mode][~warm] == pytest.approx(np.full((~warm).sum(), bias[warm].mean()), abs=1e-5)
    on_training = sum(bias[data.train.indices[:, mode]] for mode, bias in enumerate(expected))
    assert fit.model.predict(data.train.indices) == pytest.approx(on_training, abs=1e-4)


def test_cold_rows_have_the_mean_bias():
    data = random_data()  # its last rows are cold, and so is all of its first validation rating
    fit = fitted(data, 1e-2)
    for bias in fit.model.biases:
        assert bias[-1] == pytest.approx(bias[:-1].mean())
    mean = sum(bias[:-1].mean() for bias in fit.model.biases)
    assert fit.model.predict(data.valid.indices[:1]) == pytest.approx([mean])


def test_validation_rmse():
    data = random_data()
    fit = fitted(data, 1e-2)
    error = fit.model.predict(data.valid.indices) - data.valid.values
    assert fit.status == "ok"
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(error**2)))
    assert fit.l2 == 1e-2


def test_a_large_l2_predicts_the_mean():
    data = planted_split().for_search()
    fit = fitted(data, 1e6)
    assert fit.model.predict(data.valid.indices) == pytest.approx(np.zeros(len(data.valid)), abs=1e-5)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(data.valid.values.astype(np.float64) ** 2)))


@pytest.mark.parametrize(("operation", "recovered"), [("plus", True), ("concat", True), ("multiply", False)])
def test_additive_data_are_recovered(operation, recovered):
    sizes = {"users": 40, "items": 30, "dim": 3, "density": 0.5}
    ratings = plant(operation=operation, p="identity", q="identity", noise=0.0, **sizes).ratings
    rmse = fitted(random_split(ratings, 0).for_search(), 1e-9).rmse
    assert (rmse < 1e-3) == recovered
    assert (rmse > 0.8) == (not recovered)


def test_visits_are_passes_over_the_training_part():
    data = planted_split().for_search()
    meter = NullMeter()
    fit = train_bias(data, Training(), l2=1e-3, meter=meter)
    assert meter.visits == fit.epochs * len(data.train)
    assert 1 < fit.epochs < 100


def test_no_seed_in_it():
    task, other = tiny_task(seed=0), tiny_task(seed=1)
    assert train(BIAS_ONLY, task, NullMeter()).rmse == train(BIAS_ONLY, other, NullMeter()).rmse


def test_a_grid_of_its_own():
    task = tiny_task(l2_grid=(0.0,))
    assert l2_grid(BIAS_ONLY, task.training) == BIAS_L2_GRID
    fit, _ = train_over_grid(BIAS_ONLY, task, NullMeter())
    assert fit.l2 in BIAS_L2_GRID
    assert fit.rmse == min(train(BIAS_ONLY, task, NullMeter(), l2).rmse for l2 in BIAS_L2_GRID)
