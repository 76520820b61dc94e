"""`all` among a study's searchers."""

import pandas as pd
from small_runs import PLANTED, small_study

import automl_cf
from automl_cf.errors import AutomlCfError
from automl_cf.searchers import Capabilities, searchers
from automl_cf.suite.every import with_every_searcher


def test_every_searcher_is_in_or_left_out_with_a_reason():
    study = with_every_searcher(small_study(searchers=["random", {"name": "random", "label": "again"}, "all"]))
    names = [entry.name for entry in study.searchers]
    assert names[:2] == ["random", "random"]
    assert sorted([*names[1:], *(left.name for left in study.skipped)]) == searchers.names()
    assert "sif" in names
    assert all(left.name in left.reason for left in study.skipped)


def test_a_label_stands_beside_what_it_is_a_variant_of():
    study = with_every_searcher(small_study(searchers=["all", {"name": "random", "label": "another"}]))
    titles = [entry.title for entry in study.searchers]
    assert titles[0] == "another"
    assert titles.count("random") == 1


def test_what_needs_the_truth_is_left_out_of_real_data(tmp_path, monkeypatch):
    class Knowing(searchers.get("bias-only")):
        capabilities = Capabilities(fixed_proposals=True, needs_truth=True)

    monkeypatch.setitem(searchers._registered, "knowing", Knowing)
    path = tmp_path / "ratings.csv"
    pd.DataFrame({"user": [0, 0, 1, 1] * 3, "item": list(range(12)), "rating": [1.0, 2.0, 3.0, 5.0] * 3}).to_csv(path)
    options = {"index_columns": ["user", "item"], "value_column": "rating"}
    real = with_every_searcher(small_study(searchers=["all"], datasets=[{"name": str(path), "options": options}]))
    assert "knowing" in [left.name for left in real.skipped]
    assert "knowing" in [entry.name for entry in with_every_searcher(small_study(searchers=["all"])).searchers]


def test_a_budget_of_trials_leaves_one_shot_searchers_out():
    study = with_every_searcher(small_study(searchers=["all"], budget={"trials": 2}))
    assert "sif" in [left.name for left in study.skipped]


def test_without_all_nothing_changes():
    study = small_study(searchers=["random"])
    assert with_every_searcher(study) is study


def test_from_python_and_with_the_reasons_in_the_summary(tmp_path, monkeypatch):
    names = ["random", "sif"]
    monkeypatch.setattr(searchers, "names", lambda: names)
    changes = small_study(searchers=["random"], budget={"trials": 2}).model_dump(mode="json")
    del changes["searchers"], changes["skipped"], changes["datasets"], changes["seeds"]
    run = automl_cf.compare(dataset=PLANTED, searchers="all", seeds=[1], out=tmp_path / "run", **changes)
    assert run.cells["searcher"].tolist() == ["random"]
    assert "sif was left out: budget: searcher 'sif' is one-shot" in (run.path / "summary.md").read_text()


def test_what_cannot_be_made_or_loaded_is_left_out_with_the_reason(monkeypatch):
    class Fails(searchers.get("random")):
        def __init__(self, task, options):
            raise KeyError("p")

    def get(name):
        if name == "absent":
            raise AutomlCfError("The searcher 'absent' of package (absent:Absent) cannot be loaded: no module")
        return known(name)

    known = searchers.get
    monkeypatch.setitem(searchers._registered, "fails", Fails)
    monkeypatch.setattr(searchers, "get", get)
    monkeypatch.setattr(searchers, "names", lambda: ["absent", "fails", "random"])
    study = with_every_searcher(small_study(searchers=["all"]))
    assert [entry.name for entry in study.searchers] == ["random"]
    reasons = {left.name: left.reason for left in study.skipped}
    assert "cannot be loaded" in reasons["absent"]
    assert reasons["fails"] == "searcher 'fails' cannot be made: KeyError: 'p'."
