import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ACTIVATIONS, network, numeric_gradient

from automl_cf.cf.elementwise import apply_network, near_identity, project_to_ball

finite = st.floats(-10, 10)


def tensor(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("shape", [(4, 3), (7,), (2, 3, 2)])
def test_value_and_gradients(activation, units, shape):
    rng = np.random.default_rng(units)
    table, vector = rng.normal(size=shape), rng.normal(size=3 * units + 1)
    weights = rng.normal(size=shape)  # of the outputs, so that a scalar remains
    inputs = [tensor(table), tensor(vector)]
    output = apply_network(*inputs, activation)
    assert output.shape == shape
    assert output.detach().numpy() == pytest.approx(network(table, vector, activation), abs=1e-12)
    analytic = torch.autograd.grad((output * torch.tensor(weights)).sum(), inputs)
    numeric = numeric_gradient(lambda: np.sum(weights * network(table, vector, activation)), [table, vector])
    for got, expected in zip(analytic, numeric, strict=True):
        assert got.numpy() == pytest.approx(expected, abs=1e-7)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=8), st.floats(0.1, 5), st.integers(0, 2**32 - 1))
def test_ball_projection_is_the_nearest_point(z, bound, seed):
    z = np.array(z)
    projected = project_to_ball(z, bound)
    norm = np.linalg.norm(z)
    assert np.linalg.norm(projected) <= bound * (1 + 1e-12)
    assert projected == pytest.approx(z if norm <= bound else z * (bound / norm), abs=1e-12)
    other = np.random.default_rng(seed).normal(size=z.shape)  # any other point of the ball is no nearer
    other *= bound / max(bound, np.linalg.norm(other))
    assert np.linalg.norm(z - projected) <= np.linalg.norm(z - other) + 1e-12


def test_inside_the_ball_nothing_moves():
    z = np.array([0.1, -0.2])  # the z / ||z|| that the paper prints would move it onto the sphere
    assert project_to_ball(z, 1.0).tolist() == z.tolist()


ODD = [(activation, units) for activation in ACTIVATIONS for units in range(1, 21)]
ODD.remove(("relu", 1))  # a network of one rectifier cannot be odd


@pytest.mark.parametrize(("activation", "units"), ODD)
def test_near_identity(activation, units):
    vector = near_identity(units, activation, bound=10.0)
    x = np.linspace(-3, 3, 61)
    y = network(x, vector, activation)
    assert y + y[::-1] == pytest.approx(np.zeros(61), abs=1e-12)
    near_zero = np.array([-1e-4, 1e-4])
    assert network(near_zero, vector, activation) / near_zero == pytest.approx([1, 1], abs=1e-6)


@settings(deadline=None)
@given(st.sampled_from(ACTIVATIONS), st.integers(1, 20), st.floats(0.1, 10))
def test_near_identity_lies_inside_the_ball(activation, units, bound):
    vector = near_identity(units, activation, bound)
    assert vector.shape == (3 * units + 1,)
    assert np.linalg.norm(vector) < bound
    if units > 1:  # where the ball is too small for slope 1, it is as steep as 0.95 of the radius allows
        steepest = {"sigmoid": 0.25, "tanh": 1.0, "relu": 0.5}[activation] * (0.95 * bound) ** 2 / 2
        slope = network(np.array([1e-4]), vector, activation)[0] / 1e-4
        assert slope == pytest.approx(min(1, steepest), rel=1e-6)


def test_the_default_bound_allows_slope_one():
    assert network(np.array([1e-4]), near_identity(5, "sigmoid", 3.0), "sigmoid")[0] / 1e-4 == pytest.approx(1)
