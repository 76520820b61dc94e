"""Ensembles: greedy selection, their training, and the searcher that makes them of its best trials."""

import numpy as np
import pytest
from ask_tell import check_replay, searcher_of
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import planted_split, tiny_task
from small_runs import counted_events, small_study

from automl_cf.cf.ensemble import EnsembleModel, ensemble, members_of, select
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import train
from automl_cf.cf.portable import PortableModel, train_on_all
from automl_cf.cf.problem import Evaluation
from automl_cf.cf.training import settled
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, interaction_space
from automl_cf.suite import run

MEMBERS = [Architecture({"operation": name}) for name in ("multiply", "plus", "max")]
BOTH = ensemble([*MEMBERS, Architecture({"model": "bias-only", "l2": 1e-3})])
GRID = (0.0, 0.01)


def rmse(weights, predictions, targets):
    return np.sqrt(np.mean((weights @ predictions - targets) ** 2))


def slowly(predictions, targets, size):
    """Greedy selection, one list of numbers after the other."""
    chosen, best = [], (np.inf, [])
    for _ in range(size):
        ways = [[*chosen, i] for i in range(len(predictions))]
        losses = [np.mean((np.mean([predictions[i] for i in way], axis=0) - targets) ** 2) for way in ways]
        chosen = ways[int(np.argmin(losses))]
        if min(losses) < best[0]:
            best = (min(losses), chosen)
    return np.bincount(best[1], minlength=len(predictions)) / len(best[1])


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_selection_is_greedy_with_replacement(seed, models, size):
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=30)
    predictions = targets + rng.normal(size=(models, 30))
    found = select(predictions, targets, size)
    np.testing.assert_allclose(found, slowly(predictions, targets, size), atol=1e-12)
    assert rmse(found, predictions, targets) <= min(rmse(w, predictions, targets) for w in np.eye(models)) + 1e-12


def test_independent_errors_average_out():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=4000)
    predictions = targets + rng.normal(size=(9, 4000))
    assert rmse(select(predictions, targets), predictions, targets) < 0.4  # 1/3 in the limit, 1 for each


@pytest.mark.parametrize("engine", ["reference", "fused", "batched"])
def test_it_predicts_the_weighted_mean_and_is_no_worse_than_its_members(engine):
    task = tiny_task(engine=engine, l2_grid=GRID, learning_rate=0.2)
    fit = train(BOTH, task, NullMeter())
    assert isinstance(fit.model, EnsembleModel)
    indices = task.data.valid.indices
    mean = sum(w * m.predict(indices) for w, m in zip(fit.model.weights, fit.model.models, strict=True))
    np.testing.assert_allclose(fit.model.predict(indices), mean)
    assert sum(fit.model.weights) == pytest.approx(1)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean((mean - task.data.valid.values) ** 2)))
    errors = [np.sqrt(np.mean((m.predict(indices) - task.data.valid.values) ** 2)) for m in fit.model.models]
    assert fit.rmse <= min(errors)
    assert {architecture["l2"] for architecture in fit.model.architectures} <= {0.0, 0.01, 1e-3}
    again = train(BOTH, task, NullMeter())
    assert again.model.predict(indices).tolist() == fit.model.predict(indices).tolist()


def test_members_start_differently_even_if_they_are_equal():
    four = Architecture({**ensemble([MEMBERS[0]] * 4), "weights": [0.25] * 4})
    fit = train(four, tiny_task(l2_grid=(0.0,), learning_rate=0.2), NullMeter())
    indices = planted_split().valid.indices
    assert len({tuple(model.predict(indices)) for model in fit.model.models}) == 4


def test_what_was_chosen_can_be_trained_on_all_and_taken_home(tmp_path):
    task = tiny_task(l2_grid=GRID, learning_rate=0.2)
    fit = train(BOTH, task, NullMeter())
    architecture = settled(BOTH, fit)
    assert architecture["weights"] == tuple(fit.model.weights)
    assert settled(MEMBERS[0], fit.__class__("ok", 1.0, 0.0, 1, 1)) == MEMBERS[0]
    model = train_on_all(architecture, planted_split().train, task, l2=0.0, epochs=fit.best_epoch)
    assert model.model.weights == fit.model.weights  # nothing is chosen on the ratings that it was trained on
    model.save(tmp_path / "model")
    pairs = planted_split().valid.indices
    assert PortableModel.load(tmp_path / "model").predict(pairs).tolist() == model.predict(pairs).tolist()


def test_visits_are_those_of_all_trainings():
    meter, single = NullMeter(), NullMeter()
    task = tiny_task(l2_grid=(0.0,), patience=100)
    train(ensemble([MEMBERS[0], MEMBERS[1]]), task, meter)
    train(MEMBERS[0], task, single, l2=0.0)
    assert meter.visits == 2 * single.visits > 0


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"model": "ensemble"}, "'members' of model 'ensemble' is None"),
        ({"model": "ensemble", "members": []}, "'members' of model 'ensemble' is"),
        ({"model": "ensemble", "members": ["{"]}, "must be an architecture as JSON"),
        ({"model": "ensemble", "members": [3]}, "must be an architecture as JSON|an architecture is 3"),
        (dict(ensemble([BOTH])), "is an ensemble itself"),
        ({**ensemble(MEMBERS), "weights": [1.0]}, "'weights' of model 'ensemble' must be 3 numbers"),
    ],
)
def test_what_is_no_ensemble_is_refused(architecture, message):
    with pytest.raises(InputError, match=message):
        train(Architecture(architecture), tiny_task(l2_grid=(0.0,)), NullMeter())


def test_ensembles_follow_trials_whose_number_doubles():
    searcher = searcher_of(
        "ensemble", interaction_space(units=1), options={"searcher": "random", "first": 4, "size": 3}
    )
    losses, ensembles = {}, []
    for number in range(30):
        (proposal,) = searcher.ask()
        if proposal.architecture.get("model") == "ensemble":
            best = sorted(losses, key=losses.__getitem__)[:3]
            assert members_of(proposal.architecture) == best
            ensembles.append(number)
            searcher.tell(proposal.id, Evaluation("ok", 0.1))
        else:
            assert interaction_space(units=1).contains(proposal.architecture)
            loss = float(np.random.default_rng(number).random()) + 1
            losses[proposal.architecture] = loss
            failed = number == 2
            searcher.tell(proposal.id, Evaluation("failed", None) if failed else Evaluation("ok", loss))
            if failed:
                del losses[proposal.architecture]
    assert ensembles == [4, 9, 18]  # after 4, 8 and 16 trials of the inner searcher


def test_a_finite_inner_search_ends_with_one():
    space = interaction_space(["multiply", "plus"], units=0)
    searcher = searcher_of("ensemble", space, options={"searcher": "random", "first": 50})
    searcher.inner.propose = lambda number: space.decode([0.3 * number]) if number < 3 else None
    proposed = []
    while asked := searcher.ask():
        proposed.append(asked[0].architecture)
        searcher.tell(asked[0].id, Evaluation("ok", 1.0))
    assert len(proposed) == 4
    assert members_of(proposed[-1]) == proposed[:3]


def test_a_replayed_log_continues_identically():
    check_replay(
        lambda: searcher_of("ensemble", interaction_space(units=1), options={"first": 4}), 1, before=7, after=8
    )


def test_one_shot_searchers_and_baselines_cannot_be_inside():
    for name in ("sif", "bias-only"):
        with pytest.raises(InputError, match=f"option 'searcher' is '{name}', but it must propose points"):
            searcher_of("ensemble", interaction_space(units=1), options={"searcher": name})


def test_a_study_scores_what_it_found(tmp_path):
    searcher = {"name": "ensemble", "options": {"first": 3, "size": 2}}
    scoring = {"points": 1, "top_k": 5}  # every trial
    run.start(small_study(searchers=[searcher], budget={"trials": 5}, scoring=scoring), tmp_path / "run")
    events = counted_events(tmp_path / "run")
    kinds = [event["architecture"].get("model") for event in events if event["kind"] == "trial"]
    assert kinds == [None, None, None, "ensemble", None]
    assert any(event["architecture"].get("model") == "ensemble" for event in events if event["kind"] == "score")
