"""Both bridges to Ray Tune: its search algorithms in our studies, our searchers in its experiments."""

import math

import numpy as np
import pytest
from ray import tune
from ray.tune.search import Searcher
from ray.tune.search.hyperopt import HyperOptSearch
from ray.tune.search.optuna import OptunaSearch

from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.searchers import SearchTask, build
from automl_cf.spaces import Choice, Real, Space, interaction_space
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.views.tune import from_tune, tune_space
from automl_cf.tune import TuneSearch

SPACE = Space("toy", (Choice("operation", ("plus", "max")), Real("x", -2.0, 2.0)))


def loss(architecture):
    """A bowl whose bottom lies at max and x = 0.5; some of it is no result."""
    x, plus = architecture["x"], architecture["operation"] == "plus"
    return None if abs(x) > 1.9 else (x - 0.5) ** 2 + plus


def evaluation(architecture):
    value = loss(architecture)
    return Evaluation("failed", None) if value is None else Evaluation("ok", value)


@pytest.mark.parametrize("name", ["tune-hyperopt", "tune-optuna"])
def test_proposals_are_tunes_own(name):
    task = SearchTask(SPACE, 2, (0.0,), np.random.SeedSequence(3))
    searcher = build(name, task, {"n_initial_points": 5} if name == "tune-hyperopt" else {})
    seed = int(np.random.default_rng(np.random.SeedSequence(3)).integers(2**31 - 1))
    if name == "tune-hyperopt":
        by_tune = HyperOptSearch(tune_space(SPACE), "loss", "min", random_state_seed=seed, n_initial_points=5)
    else:
        by_tune = OptunaSearch(tune_space(SPACE), "loss", "min", seed=seed)
    losses = []
    for number in range(25):
        (proposal,) = searcher.ask()
        assert proposal.architecture == from_tune(SPACE, by_tune.suggest(f"trial-{number}"))
        searcher.tell(proposal.id, evaluation(proposal.architecture))
        value = loss(proposal.architecture)
        if value is None:
            by_tune.on_trial_complete(f"trial-{number}", error=True)
        else:
            by_tune.on_trial_complete(f"trial-{number}", {"loss": value})
            losses.append(value)
    assert np.mean(losses[-8:]) < np.mean(losses[:8])


def test_our_proposals_reach_tune_and_its_results_reach_us():
    ours = build("evolution", SearchTask(SPACE, 2, (0.0,), np.random.SeedSequence(1)), {})
    bridge = TuneSearch("evolution", SPACE, metric="score", mode="max", seed=1)
    for number in range(40):
        (proposal,) = ours.ask()
        config = bridge.suggest(str(number))
        assert Architecture.from_json(config) == proposal.architecture
        ours.tell(proposal.id, evaluation(proposal.architecture))
        value = loss(proposal.architecture)
        if number % 3 and value is None:
            bridge.on_trial_complete(str(number), error=True)
        else:
            bridge.on_trial_complete(str(number), {"score": math.nan if value is None else -value})


def test_a_saved_search_goes_on_identically(tmp_path):
    bridge, again = (TuneSearch("random", SPACE, metric="loss", seed=2) for _ in range(2))
    for number in range(5):
        bridge.suggest(str(number))
    bridge.on_trial_complete("3", {"loss": 1.0})
    bridge.save(str(tmp_path / "state"))
    again.restore(str(tmp_path / "state"))
    again.on_trial_complete("4", {"loss": 2.0})
    assert [again.suggest(str(n)) for n in (5, 6)] == [bridge.suggest(str(n)) for n in (5, 6)]


def test_an_exhausted_search_and_lower_fidelities():
    bridge = TuneSearch("bias-only", SPACE, metric="loss")
    assert bridge.suggest("a") == {"model": "bias-only"}
    assert bridge.suggest("b") == Searcher.FINISHED
    limited = TuneSearch("successive-halving", SPACE, metric="loss", max_epochs=9).suggest("a")
    assert 1 <= limited["epochs"] < 9


def test_what_tune_cannot_drive_is_refused():
    with pytest.raises(InputError, match="trains a supernet of its own"):
        TuneSearch("sif", interaction_space(), "loss")
    assert not TuneSearch("random", SPACE, "loss").set_search_properties("loss", "min", {"x": tune.uniform(0, 1)})


@pytest.mark.slow
def test_a_plain_tune_experiment(tmp_path):
    def trainable(config):
        tune.report({"loss": (config["x"] - 0.5) ** 2 + (config["operation"] == "plus")})

    search = TuneSearch("evolution", SPACE, metric="loss", seed=4)
    results = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(metric="loss", mode="min", search_alg=search, num_samples=12),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert len(results) == 12
    assert not results.errors
    assert results.get_best_result().metrics["loss"] == min(result.metrics["loss"] for result in results)
    log = search._searcher.state_dict()["log"]
    told = sorted(entry["evaluation"]["rmse"] for entry in log if "tell" in entry)
    assert told == pytest.approx(sorted(result.metrics["loss"] for result in results))
