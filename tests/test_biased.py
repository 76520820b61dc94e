"""Interaction functions on top of a bias model."""

from dataclasses import replace

import numpy as np
import pytest
from reference import planted_split, tiny_task
from small_runs import counted_events, small_study

from automl_cf.cf.batched import Candidate
from automl_cf.cf.bias import BIAS_L2_GRID, train_bias
from automl_cf.cf.biased import rest_of
from automl_cf.cf.ensemble import ensemble, members_of
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import models, train, train_all, train_over_grid
from automl_cf.cf.portable import take_home
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData, random_split
from automl_cf.cf.training import settled
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, interaction_space
from automl_cf.spaces.tensor import tensor_space
from automl_cf.suite import run

PLAIN = Architecture({"operation": "multiply"})
BIASED = Architecture({"operation": "multiply", "bias": True})
NETWORKS = {"p": [0.3, -0.4, 0.1, 0.2, 0.5, -0.2, 0.05], "q": [0.3, 0.4, 0.1, 0.2, 0.5, 0.2, 0.05]}


def data():
    return planted_split().for_search()


def best_bias():
    fits = [train_bias(data(), tiny_task(data()).training, l2=l2, meter=NullMeter()) for l2 in BIAS_L2_GRID]
    return min(fits, key=lambda fit: fit.rmse)


def by_hand():
    """What the bias model leaves, computed here."""
    bias = best_bias().model

    def rest(part):
        values = [y - bias.mean - sum(b[i] for b, i in zip(bias.biases, rows, strict=True)) for rows, y in part]
        return np.array(values, dtype=np.float32)

    parts = (data().train, data().valid)
    left = [
        RatingTensor(p.indices, rest(zip(p.indices.tolist(), p.values.tolist(), strict=True)), p.shape) for p in parts
    ]
    return SearchData(*left, 0.0, 1.0, "")


@pytest.mark.parametrize("engine", ["reference", "fused", "batched"])
def test_it_is_the_bias_model_and_what_is_fitted_to_the_rest(engine):
    task = tiny_task(data(), engine=engine, max_epochs=5, precision="float64")
    fit = train(BIASED, task, NullMeter(), l2=1e-4)
    inner = train(PLAIN, replace(task, data=by_hand()), NullMeter(), l2=1e-4)
    indices = data().valid.indices
    expected = best_bias().model.predict(indices) + inner.model.predict(indices)
    assert np.allclose(fit.model.predict(indices), expected, atol=1e-6)
    error = np.sqrt(np.mean((expected - data().valid.values) ** 2))
    assert fit.rmse == pytest.approx(error, abs=1e-6)


def test_it_helps_where_there_are_biases():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(80, 2)), rng.normal(size=(60, 2))
    cells = np.argwhere(rng.random((80, 60)) < 0.5)
    own, other = rng.normal(size=80) * 2, rng.normal(size=60) * 2
    values = own[cells[:, 0]] + other[cells[:, 1]] + (users[cells[:, 0]] * items[cells[:, 1]]).sum(1)
    split = random_split(RatingTensor(cells, values.astype(np.float32), (80, 60)), 0)
    task = tiny_task(split.for_search(), dim=2, max_epochs=100, batch_size=256)
    with_bias, without = (train_over_grid(a, task, NullMeter())[0].rmse for a in (BIASED, PLAIN))
    assert with_bias < 0.7 * without


def test_one_bias_model_serves_all_architectures_of_the_same_data():
    task = tiny_task(data())
    assert rest_of(task.data, task.training, True, NullMeter()) is rest_of(task.data, task.training, True, NullMeter())
    other = rest_of(task.data, task.training, 1e-2, NullMeter())
    assert other.l2 == 1e-2
    assert rest_of(task.data, task.training, True, NullMeter()).l2 == best_bias().l2


def test_candidates_with_and_without_are_trained_together_on_the_batched_engine():
    task = tiny_task(data(), engine="batched", max_epochs=3, precision="float64")
    seed = np.random.SeedSequence(5)
    candidates = [Candidate(a, l2, seed) for a in (BIASED, PLAIN) for l2 in (0.0, 1e-3)]
    together = train_all(candidates, task, NullMeter())
    alone = [train_all([candidate], task, NullMeter())[0] for candidate in candidates]
    assert [fit.rmse for fit in together] == pytest.approx([fit.rmse for fit in alone], abs=1e-9)
    assert together[0].rmse != pytest.approx(together[2].rmse, abs=1e-4)


def test_the_l2_of_the_bias_model_is_settled_for_the_training_on_all_ratings():
    task = tiny_task(data(), max_epochs=3)
    fit = train(BIASED, task, NullMeter())
    assert settled(BIASED, fit) == Architecture({"operation": "multiply", "bias": best_bias().l2})
    ratings = planted_split().train
    assert take_home(BIASED, ratings, task).architecture["bias"] == best_bias().l2
    library = ensemble([BIASED, PLAIN])
    members = members_of(take_home(library, ratings, task).architecture)
    assert {member["bias"] for member in members if "bias" in member} <= {best_bias().l2}


def test_stored_parts_make_the_same_model():
    fit = train(Architecture({**BIASED, **NETWORKS}), tiny_task(data()), NullMeter())
    restored = models.get("interaction").restore(*fit.model.parts())
    indices = data().valid.indices
    assert restored.predict(indices).tolist() == fit.model.predict(indices).tolist()


@pytest.mark.parametrize("bias", [False, "yes", -1.0])
def test_a_bias_that_makes_no_sense_is_refused(bias):
    with pytest.raises(InputError, match=r"bias is .* must be true, or the l2"):
        train(Architecture({"operation": "multiply", "bias": bias}), tiny_task(data()), NullMeter())


@pytest.mark.parametrize("make", [interaction_space, tensor_space])
def test_all_of_a_space_have_it(make):
    assert make(bias=True, units=1).sample(np.random.default_rng(0))["bias"] is True
    assert "bias" not in make(units=1).sample(np.random.default_rng(0))
    with pytest.raises(InputError, match="bias 1, but it must be true or false"):
        make(bias=1)


def test_searchers_of_both_kinds_search_it(tmp_path):
    space = {"options": {"bias": True, "units": 1}}
    study = small_study(searchers=["random", "sif", "darts"], space=space)
    run.start(study, tmp_path / "run")
    found = [e["architecture"]["bias"] for e in counted_events(tmp_path / "run") if e["kind"] == "incumbent"]
    assert found
    assert set(found) == {True}
