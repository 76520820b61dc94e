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
from scipy.stats import chisquare

from automl_cf.cf.supernet import ArchitectureGradients
from automl_cf.spaces import interaction_space

FLOAT64 = {"precision": "float64", "learning_rate": 0.4, "init_scale": 0.5, "search_l2": 0.3}
LOGITS = np.array([0.5, -1.0, 0.0, 1.2, -0.3])


class Recorder:
    """A supernet that notes the mixtures it is asked about, and whose gradients are those of |alpha - target|^2."""

    def __init__(self, target):
        self.target = target
        self.asked, self.trained = [], []

    def epoch(self):
        return iter([("valid", "train")] * 1000)

    def architecture_gradients(self, alpha, vectors, part, rows):
        assert part == rows
        self.asked.append(alpha)
        return ArchitectureGradients(2 * (alpha - self.target), {})

    def train_batch(self, alpha, vectors, rows):
        assert rows == "train"
        self.trained.append(alpha)

    def rmse(self, alpha, vectors):
        return 0.5


def recorded(best=0, **options):
    """A searcher on a Recorder whose target is one operation."""
    searcher = started("snas", space=interaction_space(units=0), **options)
    searcher.lane.net = Recorder(np.eye(5)[best])
    return searcher


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("part", ["valid", "train"])
def test_gradients_with_the_noise_held_fixed(engine, part, temperature):
    """One pair of batches, restated: a mixture from Gumbel noise, the loss's gradient by finite differences."""
    data, step = random_data(train=60, valid=30), 0.3
    searcher = started(
        "snas",
        problem_of(data, engine=engine, **FLOAT64),
        part=part,
        step=step,
        optimizer="sgd",
        temperature=temperature,
        final_temperature=temperature,
    )
    lane, reference = searcher.lane, started("snas", problem_of(data, **FLOAT64)).lane.net
    lane.alpha = LOGITS.copy()
    logits, vectors = LOGITS.copy(), {name: v.copy() for name, v in lane.vectors.items()}
    noise_rng = np.random.default_rng()
    noise_rng.bit_generator.state = lane.rng.bit_generator.state
    noise = -np.log(-np.log(1.0 - noise_rng.random(5)))  # how NumPy draws Gumbel noise
    valid_rows, train_rows = np.arange(7), np.arange(12)
    ratings, rows = (data.valid, valid_rows) if part == "valid" else (data.train, train_rows)

    def mixture():
        powers = np.exp((logits + noise) / temperature)
        return powers / powers.sum()

    def loss():
        tables = [table.numpy() for table in reference.tables]
        tables = [np.concatenate([table[:-1], table[:-1].mean(axis=0, keepdims=True)]) for table in tables]
        weights = {n: a * reference.predictors[n].numpy() for n, a in zip(OPERATIONS, mixture(), strict=True)}
        prediction = predict(tables, weights, list(vectors.values()), "sigmoid", ratings.indices[rows])
        return np.mean((prediction - ratings.values[rows].astype(np.float64)) ** 2)

    by_alpha, *by_vectors = numeric_gradient(loss, [logits, *vectors.values()])
    lane.batch(valid_rows, train_rows)
    assert (LOGITS - lane.alpha) / step == pytest.approx(by_alpha, abs=1e-8)
    for (name, vector), gradient in zip(vectors.items(), by_vectors, strict=True):
        moved = vector - step * gradient
        assert lane.vectors[name] == pytest.approx(moved / max(1.0, np.linalg.norm(moved) / lane.bounds[name]))
    reference.train_batch(mixture(), lane.vectors, train_rows)
    assert lane.net.rmse(np.ones(5), {}) == pytest.approx(reference.rmse(np.ones(5), {}), abs=1e-7)


def test_cold_mixtures_are_operations_drawn_with_softmax_probabilities():
    searcher = recorded(temperature=1e-3, final_temperature=1e-3, step=1e-300, epochs=20)
    searcher.lane.alpha = LOGITS.copy()
    all_steps(searcher)
    mixtures = np.array(searcher.lane.net.asked)
    assert len(mixtures) == 20_000
    assert np.mean(mixtures.max(axis=1) > 0.999) > 0.97
    assert mixtures.sum(axis=1) == pytest.approx(np.ones(20_000))
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum()
    counts = np.bincount(mixtures.argmax(axis=1), minlength=5)
    assert chisquare(counts, 20_000 * probabilities).pvalue > 1e-3
    assert mixtures.mean(axis=0) == pytest.approx(probabilities, abs=0.02)


def test_the_temperature_decays():
    """Geometrically, from the first epoch to the last: read off the distances of the mixtures' logarithms."""
    searcher = recorded(temperature=1.0, final_temperature=0.25, step=1e-300, epochs=3)
    spreads = []
    for _ in range(3):
        searcher.lane.net.asked.clear()
        searcher.step()
        spreads.append(np.std([np.log(a[0] / a[1]) for a in searcher.lane.net.asked]))
    # The difference of two Gumbel variables is logistic: its standard deviation is pi / sqrt(3).
    assert np.pi / np.sqrt(3) / np.array(spreads) == pytest.approx([1.0, 0.5, 0.25], rel=0.1)


def test_learns_a_target():
    searcher = recorded(best=3, epochs=2)
    assert all_steps(searcher)[-1].architecture["operation"] == OPERATIONS[3]
    assert np.argmax(searcher.lane.alpha) == 3


def test_training_and_gradient_see_the_same_mixture():
    searcher = recorded(epochs=2)
    all_steps(searcher)
    assert [a.tolist() for a in searcher.lane.net.asked] == [a.tolist() for a in searcher.lane.net.trained]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_selects_the_most_probable_operations(k):
    searcher = started("snas", space=interaction_space(units=1, k=k), epochs=3)
    for incumbent in iter(searcher.step, None):
        chosen = {OPERATIONS[i] for i in np.argsort(searcher.lane.alpha)[-k:]}
        found = incumbent.architecture
        assert ({found["operation"]} if k == 1 else set(found["operations"])) == chosen
        assert searcher.space.contains(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_visits(engine):
    problem = problem_of(engine=engine)
    started("snas", problem).step()
    assert problem.meter.visits == 5 * (len(problem.task.data.valid) + len(problem.task.data.train))


@pytest.mark.parametrize("k", [1, 2])
def test_continues_identically(k):
    check_continues_identically(lambda: started("snas", space=interaction_space(units=1, k=k), epochs=6))


def test_divergence_is_a_result():
    assert all(SMALL.contains(step.architecture) for step in check_survives_divergence("snas"))


def test_spaces_without_networks_and_tensors():
    plain = interaction_space(units=0)
    assert all(plain.contains(step.architecture) for step in all_steps(started("snas", space=plain, epochs=2)))
    steps = all_steps(started("snas", tensor_problem(), epochs=2))
    assert all(SMALL.contains(step.architecture) and np.isfinite(step.rmse) for step in steps)
    assert len(steps) == 2
