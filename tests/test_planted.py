import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_cf.cf.data import load, plant
from automl_cf.cf.data.planted import element_wise
from automl_cf.cf.splits import random_split
from automl_cf.errors import InputError
from automl_cf.spaces import interaction_space

OPERATIONS = ["multiply", "plus", "min", "max", "concat"]
SMALL = {"users": 30, "items": 20, "dim": 3, "density": 0.5}

ACTIVATIONS = {
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
}


def network(x, parameters, activation):
    """The element-wise network by its formula, one number at a time."""
    units = (len(parameters) - 1) // 3
    total = parameters[3 * units]
    for h in range(units):
        hidden = ACTIVATIONS[activation](parameters[h] * x + parameters[units + h])
        total += parameters[2 * units + h] * hidden
    return total


def combine(operation, u, v):
    match operation:
        case "multiply":
            return [a * b for a, b in zip(u, v, strict=True)]
        case "plus":
            return [a + b for a, b in zip(u, v, strict=True)]
        case "min":
            return [min(a, b) for a, b in zip(u, v, strict=True)]
        case "max":
            return [max(a, b) for a, b in zip(u, v, strict=True)]
        case "concat":
            return [*u, *v]


def signal(truth, user, item):
    """The signal of one entry, before it is standardised, by a loop."""
    arch = truth.architecture
    sides = []
    for name, row in (("p", truth.embeddings[0][user]), ("q", truth.embeddings[1][item])):
        sides.append([network(x, arch[name], arch["activation"]) if name in arch else x for x in row.tolist()])
    return math.fsum(w * f for w, f in zip(truth.w.tolist(), combine(arch["operation"], *sides), strict=True))


@given(
    st.sampled_from([4, 7, 16, 19]).flatmap(lambda n: st.lists(st.floats(-3, 3), min_size=n, max_size=n)),
    st.lists(st.floats(-5, 5), min_size=1, max_size=4),
    st.sampled_from(sorted(ACTIVATIONS)),
)
def test_element_wise_networks_by_a_loop(parameters, xs, activation):
    got = element_wise(np.array(xs), parameters, activation)
    assert got.tolist() == pytest.approx([network(x, parameters, activation) for x in xs], abs=1e-9)


@pytest.mark.parametrize("networks", [{}, {"p": "identity", "q": "identity"}, {"q": "identity", "activation": "tanh"}])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_ratings_by_a_loop(operation, networks):
    dataset = plant(operation=operation, noise=0.0, seed=3, **SMALL, **networks)
    ratings, truth = dataset.ratings, dataset.truth
    raw = np.array([signal(truth, user, item) for user, item in ratings.indices.tolist()])
    assert (truth.mean, truth.std) == pytest.approx((raw.mean(), raw.std()))
    assert ratings.values == pytest.approx((raw - raw.mean()) / raw.std(), rel=1e-5, abs=1e-5)
    assert truth.noise_free(ratings.indices) == pytest.approx((raw - raw.mean()) / raw.std(), abs=1e-9)


def test_the_planted_architecture():
    arch = plant(operation="max", seed=1, **SMALL).truth.architecture
    assert interaction_space().contains(arch)
    assert np.linalg.norm(arch["p"]) == pytest.approx(3.0)
    assert arch["p"] != arch["q"]
    bare = plant(operation="max", seed=1, p="identity", q="identity", **SMALL).truth.architecture
    assert bare.to_json() == {"operation": "max"}
    given = [0.5, -1.0, 2.0, 0.1]
    assert plant(p=given, seed=1, **SMALL).truth.architecture["p"] == tuple(given)
    narrow = plant(units=2, norm_bound=1.0, activation="tanh", **SMALL).truth.architecture
    assert interaction_space(units=2, norm_bound=1.0, activation="tanh").contains(narrow)


@pytest.mark.parametrize("operation", ["multiply", "min", "max"])
@pytest.mark.parametrize("seed", range(5))
def test_drawn_networks_make_a_signal_that_no_sum_can_make(operation, seed):
    # Two-way analysis of variance over the whole table: what is left is what plus and concat cannot express.
    truth = plant(operation=operation, seed=seed).truth
    users, items = (len(table) for table in truth.embeddings)
    table = truth.noise_free(np.argwhere(np.ones((users, items)))).reshape(users, items)
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    assert rest.var() / table.var() > {"multiply": 0.8, "min": 0.1, "max": 0.1}[operation]
    assert truth.std > 0.5


@settings(max_examples=25)
@given(
    st.sampled_from(OPERATIONS),
    st.integers(0, 1000),
    st.floats(0.1, 1.0),
    st.integers(8, 40),
    st.integers(8, 40),
)
def test_sizes_density_and_standardised_signal(operation, seed, density, users, items):
    dataset = plant(operation=operation, users=users, items=items, dim=2, density=density, seed=seed, units=2)
    ratings = dataset.ratings
    assert ratings.shape == (users, items)
    assert len(ratings) == round(density * users * items)
    assert len({tuple(index) for index in ratings.indices.tolist()}) == len(ratings)
    free = dataset.truth.noise_free(ratings.indices)
    assert (free.mean(), free.std()) == pytest.approx((0, 1), abs=1e-9)


def test_noise():
    dataset = plant(users=200, items=200, noise=0.1, seed=0)
    error = dataset.ratings.values - dataset.truth.noise_free(dataset.ratings.indices)
    # 8,000 draws: the standard deviation of the estimate is 0.1 / sqrt(16,000).
    assert error.std() == pytest.approx(0.1, abs=4 * 0.1 / math.sqrt(2 * len(error)))
    assert error.mean() == pytest.approx(0.0, abs=4 * 0.1 / math.sqrt(len(error)))


def test_observed_entries_are_spread_evenly():
    ratings = plant(users=50, items=40, density=0.5, seed=0).ratings
    for mode, share in ((0, 20), (1, 25)):
        counts = ratings.counts(mode)
        assert counts.mean() == share
        assert abs(counts - share).max() < 5 * math.sqrt(share / 2)


def test_noise_free_targets_of_a_split():
    dataset = plant(**SMALL, noise=0.2)
    split = random_split(dataset.ratings, 0)
    by_entry = {
        tuple(index): value
        for index, value in zip(
            dataset.ratings.indices.tolist(), dataset.truth.noise_free(dataset.ratings.indices), strict=True
        )
    }
    targets = dataset.truth.noise_free(split.test.indices)
    assert targets.tolist() == pytest.approx([by_entry[tuple(index)] for index in split.test.indices.tolist()])


def test_all_is_determined_by_the_seed():
    one, two, other = (plant(seed=seed, **SMALL) for seed in (5, 5, 6))
    assert one.sha256 == two.sha256
    assert one.truth.architecture == two.truth.architecture
    assert one.sha256 != other.sha256
    assert one.truth.architecture != other.truth.architecture


def test_one_option_leaves_the_other_draws_alone():
    base, noisy, denser, least = (
        plant(seed=5, **(SMALL | change)) for change in ({}, {"noise": 0.5}, {"density": 0.7}, {"operation": "min"})
    )
    for other in (noisy, denser, least):
        assert other.truth.architecture["p"] == base.truth.architecture["p"]
        assert other.truth.embeddings[1].tolist() == base.truth.embeddings[1].tolist()
        assert other.truth.w.tolist() == base.truth.w.tolist()
    assert noisy.ratings.indices.tolist() == base.ratings.indices.tolist()
    more_users = plant(seed=5, **(SMALL | {"users": 40}))
    assert more_users.truth.embeddings[1].tolist() == base.truth.embeddings[1].tolist()
    assert more_users.truth.embeddings[0][:30].tolist() == base.truth.embeddings[0].tolist()


def test_given_weights():
    w = [0.1, -0.2, 0.3]
    assert plant(w=w, **SMALL).truth.w.tolist() == w
    drawn = plant(operation="concat", **SMALL).truth.w
    assert drawn.shape == (6,)
    assert np.linalg.norm(drawn) == pytest.approx(1.0)


def test_load_by_name():
    dataset = load("planted", operation="min", seed=2, p=[1, 0, 1, 0], **SMALL)
    assert dataset.name == "planted"
    assert dataset.sha256 == plant(operation="min", seed=2, p=[1, 0, 1, 0], **SMALL).sha256
    assert dataset.truth.architecture["operation"] == "min"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation": "multiplyy"}, r"operation is 'multiplyy'.*Did you mean 'multiply'\?"),
        ({"activation": "sigmoidal"}, r"activation is 'sigmoidal'.*Did you mean 'sigmoid'\?"),
        ({"operation": 3}, "operation is 3, but must be one of multiply, plus"),
        ({"users": 1}, "users is 1, but must be an integer of at least 2"),
        ({"items": 2.5}, "items is 2.5, but must be an integer"),
        ({"dim": 0}, "dim is 0"),
        ({"units": "five"}, "units is 'five'"),
        ({"seed": -1}, "seed is -1, but must be an integer of at least 0"),
        ({"density": 0}, "density is 0, but must be a positive number of at most 1"),
        ({"density": 1.5}, "density is 1.5"),
        ({"noise": -0.1}, "noise is -0.1, but must be a number of at least 0"),
        ({"noise": math.nan}, "noise is nan"),
        ({"scale": "big"}, "scale is 'big', but must be a positive number"),
        ({"norm_bound": math.inf}, "norm_bound is inf"),
        ({"p": [1.0, 2.0]}, "p has 2 numbers, but must have 3 times the units plus 1"),
        ({"q": [1.0, math.nan, 0.0, 0.0]}, "q is .*, but must be a list of finite numbers"),
        ({"q": "identical"}, r"q is 'identical', but must be one of identity\. Did you mean 'identity'\?"),
        ({"q": 3}, "q is 3, but must be a list of finite numbers"),
        ({"w": [1.0]}, "w has 1 numbers, but must have 4"),
        ({"w": ["a", 1, 2, 3]}, "w is .*, but must be a list of finite numbers"),
        ({"w": [0.0, 0.0, 0.0, 0.0]}, "the signal is constant"),
        ({"p": [0.0] * 4}, "the signal is constant"),
        ({"users": 2, "items": 2}, "density 0.2 of 2 x 2 entries makes 1 ratings, but must make at least 5"),
        ({"colour": "red"}, "an option is 'colour', but must be one of operation, p, q"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        load("planted", **options)
