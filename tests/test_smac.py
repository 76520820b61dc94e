import gc
import logging
import tempfile

import numpy as np
import pytest
from ask_tell import check_replay, check_survives_failures, hashed, in_another_process, minimise, searcher_of
from example_spaces import SPACES

import automl_cf.searchers.smac as module
from automl_cf.errors import InputError
from automl_cf.spaces import Choice, Int, Real, Space


def test_a_missing_smac_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package smac: pip install 'automl-cf\[smac\]'"):
        searcher_of("smac", SPACES["interaction"])


ConfigSpace = pytest.importorskip("ConfigSpace", reason="the extra smac is not installed")
smac = pytest.importorskip("smac", reason="the extra smac is not installed")

from scipy import stats  # noqa: E402

from automl_cf.spaces.views.configspace import configuration_space, from_configuration  # noqa: E402

TOY = Space("toy", (Choice("operation", ("plus", "max", "min")), Real("x", -2.0, 2.0)))


def bowl(architecture):
    return 1 + (architecture["x"] - 0.5) ** 2 + (architecture["operation"] != "max")


# The view.


def drawn(space, n=300):
    made = configuration_space(space)
    made.seed(1)
    return made.sample_configuration(n)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_active_is_what_exists(space):
    for configuration in drawn(space):
        architecture = from_configuration(space, configuration)
        assert space.contains(architecture)
        exists = {c.name for p in space.searched if p.name in architecture for c in p.coordinates()}
        assert set(configuration) == exists


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_hyperparameters_are_the_coordinates(space):
    made = configuration_space(space)
    assert sorted(made) == sorted(coordinate.name for coordinate in space.coordinates)
    operation = next(iter(space.searched))
    values = [from_configuration(space, configuration)[operation.name] for configuration in drawn(space)]
    assert stats.chisquare([values.count(value) for value in set(values)]).pvalue > 1e-3


def test_conditions_of_several_parents_and_on_numbers():
    space = Space(
        "conditional",
        (
            Choice("a", ("x", "y", "z")),
            Choice("b", (1, 2, 3), when=("a", ("x", "y"))),
            Real("both", 0.0, 1.0, when=("a", ("x",)), unless=("b", (2, 3))),
            Choice("same", (4, 5), when=("a", ("x", "y")), unless=("a", ("y",))),
            Int("n", 1, 4),
            Real("of_n", 0.0, 1.0, when=("n", (2, 3))),
        ),
    )
    seen = set()
    for configuration in drawn(space):
        architecture = from_configuration(space, configuration)
        assert space.contains(architecture)
        assert set(configuration) == {*architecture, "of_n"}  # active always: a number decides
        seen.add(frozenset(architecture))
    assert len(seen) == 4 * 2  # z, y, x with b = 1, x with another; and of_n or not


# The searcher.


def test_proposals_are_those_of_smacs_own_loop(tmp_path):
    """The last of them by its model: a quarter of the trials is the initial design."""
    by_smac, trials = [], 8

    def target(config, seed=0):
        x = config["x"]
        by_smac.append({"operation": ("plus", "max", "min")[config["operation"]], "x": -2 * (1 - x) + 2 * x})
        return bowl(by_smac[-1])

    scenario = smac.Scenario(
        ConfigSpace.ConfigurationSpace(space={"operation": list(range(3)), "x": (0.0, 1.0)}),
        output_directory=tmp_path,
        deterministic=True,
        n_trials=trials,
        seed=int(np.random.default_rng(np.random.SeedSequence(3)).integers(2**31 - 1)),
    )
    facade = smac.HyperparameterOptimizationFacade(scenario, target, logging_level=False)
    module.in_order(facade._acquisition_maximizer._local_search)
    facade.optimize()
    proposed, _ = minimise(searcher_of("smac", TOY, 3, {"trials": trials}), bowl, trials)
    assert [dict(architecture) for architecture in proposed] == by_smac


@pytest.mark.slow
def test_it_learns():
    _, losses = minimise(searcher_of("smac", TOY, options={"trials": 20}), bowl, 25)
    assert np.mean(losses[-8:]) < np.mean(losses[:5])


@pytest.mark.parametrize(
    "space", ["mixed", *(pytest.param(name, marks=pytest.mark.slow) for name in ("interaction", "nas"))]
)
def test_failures_are_survived(space):
    check_survives_failures(searcher_of("smac", SPACES[space], options={"trials": 8}), 9)


def test_a_finite_space_is_exhausted():
    space = Space("choices", (Choice("a", (1, 2, 3)), Choice("b", (True, False))))
    searcher = searcher_of("smac", space, options={"trials": 8})
    proposed, _ = minimise(searcher, lambda architecture: float(architecture["a"]), 6)
    assert len(set(proposed)) == 6
    assert searcher.ask() == []
    assert searcher.ask() == []


@pytest.mark.parametrize("pending", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_replayed_log_continues_identically(pending):
    check_replay(lambda: searcher_of("smac", TOY, 5, {"trials": 8}), pending, before=3, after=3)


def proposals():
    proposed, _ = minimise(searcher_of("smac", SPACES["mixed"], 1, {"trials": 8}), hashed, 14)
    return [architecture.to_json() for architecture in proposed]


@pytest.mark.slow
def test_the_seed_determines_all_in_another_process():
    assert in_another_process("test_smac.proposals()") == proposals()


def test_nothing_stays_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    handlers, state = list(logging.root.handlers), np.random.get_state()[1].tolist()
    searcher = searcher_of("smac", TOY, options={"trials": 8})
    minimise(searcher, hashed, 4)
    (folder,) = tmp_path.iterdir()
    assert any(folder.rglob("*.json"))
    assert (logging.root.handlers, np.random.get_state()[1].tolist()) == (handlers, state)
    del searcher
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="option 'trials' of searcher 'smac' is 0"):
        searcher_of("smac", TOY, options={"trials": 0})
