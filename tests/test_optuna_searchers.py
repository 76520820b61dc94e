import itertools
import logging

import numpy as np
import optuna
import pytest
from ask_tell import check_replay, check_survives_failures, hashed, in_another_process, minimise, searcher_of
from example_spaces import SPACES

from automl_cf.errors import InputError
from automl_cf.spaces import Choice, Real, Space

SAMPLERS = {
    "optuna-tpe": optuna.samplers.TPESampler,
    "optuna-cmaes": optuna.samplers.CmaEsSampler,
    "optuna-gp": optuna.samplers.GPSampler,
}
SPACE = Space("toy", (Choice("operation", ("plus", "max", "min")), Real("x", -2.0, 2.0), Real("y", 0.0, 4.0)))

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def bowl(architecture):
    """Lowest at max, x = 0.5, y = 3."""
    return (architecture["x"] - 0.5) ** 2 + (architecture["y"] - 3) ** 2 / 4 + (architecture["operation"] != "max")


def holed(architecture):
    """The same, but one in five architectures gives no result."""
    return None if architecture["y"] * 1000 % 5 > 4 else bowl(architecture)


def seed_of(seed):
    return int(np.random.default_rng(np.random.SeedSequence(seed)).integers(2**31 - 1))


@pytest.fixture(autouse=True)
def _verbosity():
    before = optuna.logging.get_verbosity()
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize(
    ("name", "trials", "options", "theirs"),
    [
        ("optuna-tpe", 30, {}, {}),
        ("optuna-tpe", 12, {"startup": 4}, {"n_startup_trials": 4}),
        ("optuna-cmaes", 40, {}, {}),
        ("optuna-cmaes", 30, {"startup": 5, "population": 4}, {"n_startup_trials": 5, "popsize": 4}),
        ("optuna-gp", 12, {}, {}),
        ("optuna-gp", 6, {"startup": 3}, {"n_startup_trials": 3}),
    ],
)
def test_proposals_are_a_plain_studys(name, trials, options, theirs):
    by_optuna = []

    def objective(trial):
        operation = trial.suggest_categorical("operation", range(3))
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        by_optuna.append({"operation": ("plus", "max", "min")[operation], "x": -2 * (1 - x) + 2 * x, "y": 4 * y})
        loss = holed(by_optuna[-1])
        return float("nan") if loss is None else loss

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=SAMPLERS[name](seed=seed_of(3), **theirs))
    study.optimize(objective, trials)
    failed = sum(trial.state is optuna.trial.TrialState.FAIL for trial in study.trials)
    assert 0 < failed < trials / 2
    proposed, _ = minimise(searcher_of(name, SPACE, 3, options), holed, trials)
    assert [dict(architecture) for architecture in proposed] == by_optuna


@pytest.mark.parametrize(
    ("name", "trials"),
    [("optuna-tpe", 35), ("optuna-cmaes", 35), pytest.param("optuna-gp", 14, marks=pytest.mark.slow)],
)
def test_they_learn(name, trials):
    plane = Space("plane", SPACE.parameters[1:])
    searcher = searcher_of(name, plane, options={"startup": 8})
    _, losses = minimise(searcher, lambda architecture: bowl({**architecture, "operation": "max"}), trials)
    assert np.mean(losses[-6:]) < np.mean(losses[:8]) / 2


def test_cmaes_is_random_search_on_choices_only():
    space = Space("choices", (Choice("a", ("x", "y", "z")), Choice("b", (1, 2, 3, 4))))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed_of(0)))
    proposed, _ = minimise(searcher_of("optuna-cmaes", space), hashed, 40)
    for architecture in proposed:
        trial = study.ask()
        a, b = trial.suggest_categorical("a", range(3)), trial.suggest_categorical("b", range(4))
        assert dict(architecture) == {"a": "xyz"[a], "b": 1 + b}


SLOW_SPACES = [
    pytest.param("optuna-gp", name, marks=[pytest.mark.slow] if name.startswith("interaction") else [])
    for name in SPACES
]


@pytest.mark.parametrize(("name", "space"), [*itertools.product(["optuna-tpe", "optuna-cmaes"], SPACES), *SLOW_SPACES])
def test_failures_are_survived(name, space):
    trials, startup = (10, 1) if name == "optuna-gp" else (40, 10)  # a proposal of the Gaussian process takes a second
    check_survives_failures(searcher_of(name, SPACES[space], options={"startup": startup}), trials)


@every_sampler
def test_a_space_of_one_number(name):
    space = Space("line", (Real("x", -1.0, 1.0),))
    _, losses = minimise(searcher_of(name, space, options={"startup": 3}), lambda a: a["x"] ** 2, 7)
    assert min(losses[3:]) < min(losses[:3])


@pytest.mark.parametrize("pending", [1, 3])
@pytest.mark.parametrize(
    ("name", "space", "before", "after"),
    [
        ("optuna-tpe", SPACES["interaction"], 12, 8),
        ("optuna-tpe", SPACES["mixed"], 12, 8),
        ("optuna-cmaes", SPACES["interaction"], 30, 15),
        ("optuna-cmaes", SPACES["mixed"], 30, 15),
        ("optuna-gp", SPACE, 2, 2),
        pytest.param("optuna-gp", SPACES["mixed"], 4, 2, marks=pytest.mark.slow),
    ],
)
def test_a_replayed_log_continues_identically(name, space, before, after, pending):
    check_replay(lambda: searcher_of(name, space, 5, {"startup": 2}), pending, before, after)


def proposals():
    """By name, of every sampler, such that its model speaks."""
    return {
        name: [a.to_json() for a in minimise(searcher_of(name, SPACE, 1, {"startup": 3}), bowl, trials)[0]]
        for name, trials in {"optuna-tpe": 15, "optuna-cmaes": 25, "optuna-gp": 8}.items()
    }


@pytest.mark.slow
def test_the_seed_determines_all_in_another_process():
    assert in_another_process("test_optuna_searchers.proposals()") == proposals()


@every_sampler
def test_optuna_says_nothing_and_keeps_its_verbosity(name):
    records, handler, logger = [], logging.Handler(), logging.getLogger("optuna")
    handler.emit = records.append
    logger.addHandler(handler)
    try:
        optuna.logging.set_verbosity(optuna.logging.INFO)
        minimise(searcher_of(name, SPACES["nas"], options={"startup": 1}), hashed, 5)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
        assert records == []
        optuna.create_study()
        assert len(records) == 1
    finally:
        logger.removeHandler(handler)


@every_sampler
def test_bad_options_are_refused(name):
    with pytest.raises(InputError, match=f"option 'startup' of searcher '{name}' is -1"):
        searcher_of(name, SPACE, options={"startup": -1})
    with pytest.raises(InputError, match=f"searcher '{name}' has no option 'seed'"):
        searcher_of(name, SPACE, options={"seed": 1})


def test_a_population_of_one_is_refused():
    with pytest.raises(InputError, match="option 'population' of searcher 'optuna-cmaes' is 1"):
        searcher_of("optuna-cmaes", SPACE, options={"population": 1})
    assert searcher_of("optuna-cmaes", SPACE, options={"population": None}).options.population is None
