"""The baselines as entries of a study."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from small_runs import small_study

from automl_cf.analysis.run import Run
from automl_cf.cf.baselines import BASELINES
from automl_cf.cf.baselines.biased_mf import SGD_L2_GRID
from automl_cf.errors import InputError
from automl_cf.searchers import SearchTask, build, searchers
from automl_cf.spaces import interaction_space, nas_space
from automl_cf.suite import run as suite_run

LIBRARIES = {"surprise-svd": "surprise", "surprise-svdpp": "surprise", "myfm": "myfm"}
INSTALLED = [name for name in BASELINES if find_spec(LIBRARIES.get(name, "numpy"))]
TENSORS_ONLY = ["cp", "hofm", "tucker"]
MATRICES_ONLY = ["altgrad", "biased-mf", "conv-ncf", "outer", "surprise-svd", "surprise-svdpp", "svdpp"]
GRID = (0.0, 1e-4, 1e-2)


def searcher_of(name, order=None, **options):
    right = 3 if name in TENSORS_ONLY else 2
    return build(name, SearchTask(interaction_space(), order or right, GRID, np.random.SeedSequence(0)), options)


def proposed(searcher):
    found = [dict(proposal.architecture) for proposal in searcher.ask(1000)]
    assert searcher.ask() == []
    return found


def test_every_model_is_a_searcher_of_the_same_name():
    assert set(BASELINES) <= set(searchers.names())
    for name in BASELINES:
        kind = searchers.get(name)
        assert kind.capabilities.fixed_proposals
        assert not kind.capabilities.one_shot
        assert kind.__doc__.partition("\n")[0].endswith(".")


def test_each_learning_rate_is_tried_with_each_l2_of_the_study():
    found = proposed(searcher_of("ncf"))
    assert [(a["l2"], a["learning_rate"]) for a in found] == [(l2, r) for l2 in (1e-2, 1e-4, 0.0) for r in (0.2, 0.05)]
    assert {a["model"] for a in found} == {"ncf"}
    found = proposed(searcher_of("ncf", learning_rates=[0.1], l2_grid=[1e-3, 1e-2]))
    assert found == [{"model": "ncf", "learning_rate": 0.1, "l2": l2} for l2 in (1e-2, 1e-3)]


@pytest.mark.parametrize("name", ["biased-mf", "svdpp"])
def test_sgd_has_grids_of_its_own(name):
    found = proposed(searcher_of(name))
    assert {a["l2"] for a in found} == set(SGD_L2_GRID)
    assert len(found) == 3 * len(SGD_L2_GRID)


def test_settings_of_single_models():
    assert all(a["wide"] for a in proposed(searcher_of("deep-wide", wide=True)))
    assert not any("wide" in a for a in proposed(searcher_of("deep-wide")))
    if "surprise-svd" in INSTALLED:
        found = proposed(searcher_of("surprise-svd", epochs=[7, 9]))
        assert {a["epochs"] for a in found} == {7, 9}
    if "myfm" in INSTALLED:
        assert proposed(searcher_of("myfm", iterations=30)) == [{"model": "myfm", "iterations": 30}]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fm", {"learning_rates": [0.1, 0]}, r"option 'learning_rates\.1' of searcher 'fm' is 0"),
        ("fm", {"l2_grid": [-1]}, r"option 'l2_grid\.0' of searcher 'fm' is -1"),
        ("fm", {"rates": [1]}, r"searcher 'fm' has no option 'rates'; it has learning_rates, l2_grid"),
        ("deep-wide", {"wide": "yes, please"}, "option 'wide' of searcher 'deep-wide' is 'yes, please'"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        searcher_of(name, **options)


@pytest.mark.parametrize("name", BASELINES)
def test_each_says_for_which_data_it_is(name):
    refused = {2: TENSORS_ONLY, 3: MATRICES_ONLY}
    for order, names in refused.items():
        if name in names:
            with pytest.raises(InputError, match=f"searcher '{name}' cannot search data with {order} modes"):
                searcher_of(name, order)
        elif name in INSTALLED:
            assert searcher_of(name, order).ask()


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_noticed_before_anything_runs(name, monkeypatch):
    monkeypatch.setattr("automl_cf.cf.baselines.outside.find_spec", lambda module: None)
    with pytest.raises(InputError, match=rf"searcher '{name}' needs the package .*\[baselines\]"):
        small_study(searchers=[name]).check()


def of_two_trials(folder, names, **changes):
    suite_run.start(small_study(searchers=names, budget={"trials": 2}, **changes), folder)
    run = Run.load(folder)
    assert set(run.scores["searcher"]) == set(names)
    assert (run.scores["status"] == "ok").all()
    assert np.isfinite(run.scores["rmse"]).all()
    assert (run.trials.groupby("searcher").size() == [1 if name == "myfm" else 2 for name in sorted(names)]).all()


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_all_for_matrices_run_in_a_study(tmp_path, engine):
    names = [name for name in INSTALLED if name not in TENSORS_ONLY]
    of_two_trials(tmp_path / "run", names, training={"max_epochs": 3, "l2_grid": [1e-4], "engine": engine})


def test_all_for_tensors_run_in_a_study(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 12, (400, 3)), columns=["user", "item", "time"]).drop_duplicates()
    frame["rating"] = rng.normal(size=len(frame))
    frame.to_csv(tmp_path / "ratings.csv", index=False)
    options = {"index_columns": ["user", "item", "time"], "value_column": "rating"}
    of_two_trials(
        tmp_path / "run",
        [name for name in INSTALLED if name not in MATRICES_ONLY],
        datasets=[{"name": str(tmp_path / "ratings.csv"), "options": options}],
        training={"max_epochs": 3, "l2_grid": [1e-4], "engine": "reference"},
    )


@pytest.mark.parametrize(
    ("name", "option"), [("fm", "learning_rates"), ("fm", "l2_grid"), ("biased-mf", "learning_rates")]
)
def test_a_grid_of_nothing_is_refused(name, option):
    task = SearchTask(interaction_space(units=1), 2, (0.0,), np.random.SeedSequence(0))
    with pytest.raises(InputError, match=f"option '{option}.*' of searcher '{name}' is .*at least 1 item"):
        build(name, task, {option: []})


def test_single_op_needs_operations():
    task = SearchTask(nas_space(), 2, (0.0,), np.random.SeedSequence(0))
    with pytest.raises(InputError, match="'single-op' needs a space of operations, but 'nas' has none"):
        build("single-op", task, {})
