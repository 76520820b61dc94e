"""From a run to a model to take home, and its predictions, by Python and by the command line."""

import io
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_runs import small_study
from typer.testing import CliRunner

import automl_cf
from automl_cf import PortableModel
from automl_cf.analysis.run import Run
from automl_cf.cf.data import load
from automl_cf.cf.splits import random_split
from automl_cf.cli import app
from automl_cf.errors import InputError
from automl_cf.export import export_run
from automl_cf.suite import run as suite_run

MATRIX = {"name": "planted", "options": {"users": 60, "items": 40, "density": 0.4, "dim": 4, "seed": 3}}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    study = small_study(searchers=["bias-only", "random"], datasets=[MATRIX], seeds=[1, 2], budget={"trials": 4})
    suite_run.start(study, folder)
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def scores(folder):
    found = automl_cf.load(folder).scores
    return found[found["final"]]


def test_the_best_by_mean_validation_is_retrained_whatever_its_test_score(stored):
    model = export_run(stored)
    table = scores(stored)
    best = table.groupby("searcher")["validation"].mean().idxmin()
    own = table[table["searcher"] == best].sort_values("validation").iloc[0]
    assert model.trained["cell"] == own["cell"]
    assert model.architecture.to_json() == own["architecture"]
    assert model.trained["l2"] == own["l2"]


def test_it_is_trained_on_all_ratings_but_the_test_ones(stored):
    model = export_run(stored, searcher="bias-only", seed=2)
    ratings = load("planted", **MATRIX["options"]).ratings
    split = random_split(ratings, 2)
    values = np.concatenate([split.train.values, split.valid.values])
    assert model.mean == pytest.approx(values.mean(dtype=np.float64))
    assert model.trained["ratings"] == len(values) == len(ratings) - len(split.test)
    assert model.trained["cell"] == "planted/d4/bias-only/s2"


def test_export_and_predict_on_the_command_line(stored, tmp_path):
    result = invoke("export", stored, "--out", tmp_path / "model", "--searcher", "random")
    assert result.exit_code == 0, result.output
    assert "random" in result.output
    assert "ratings: " in result.output
    pairs = pd.DataFrame({"user": [0, 5, 999], "item": [3, 2, 1], "note": ["a", "b,c", "d"]})
    for name, write in (("pairs.csv", pairs.to_csv), ("pairs.parquet", pairs.to_parquet)):
        write(tmp_path / name, index=False)
    expected = PortableModel.load(tmp_path / "model").predict(pairs)
    shown = invoke("predict", tmp_path / "model", tmp_path / "pairs.csv")
    assert shown.exit_code == 0, shown.output
    table = pd.read_csv(io.StringIO(shown.stdout))
    np.testing.assert_allclose(table["prediction"], expected, rtol=1e-15)
    assert table["note"].tolist() == pairs["note"].tolist()
    for out in ("scored.csv", "scored.parquet"):
        assert invoke("predict", tmp_path / "model", tmp_path / "pairs.parquet", "--out", tmp_path / out).exit_code == 0
    np.testing.assert_allclose(pd.read_csv(tmp_path / "scored.csv")["prediction"], expected, rtol=1e-15)
    assert pd.read_parquet(tmp_path / "scored.parquet")["prediction"].tolist() == expected.tolist()


def test_a_csv_is_read_as_the_loader_reads_it(tmp_path):
    """Somebody may be called NA; and a line may end with a comma more than its header."""
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.permutation(60)[:50], 6)
    names = np.array(["NA", "None", "null", *"abcdefg"])[users]
    ratings = pd.DataFrame({"user": names, "item": items, "rating": rng.normal(3, 1, 50).round(1)})
    ratings.to_csv(tmp_path / "ratings.csv", index=False)
    study = small_study(datasets=[str(tmp_path / "ratings.csv")], searchers=["bias-only"], budget={"trials": 1})
    suite_run.start(study, tmp_path / "run")
    export_run(tmp_path / "run").save(tmp_path / "model")
    (tmp_path / "pairs.csv").write_text("user,item\nNA,1,\nnull,2,\n,3,\n")
    shown = invoke("predict", tmp_path / "model", tmp_path / "pairs.csv")
    assert shown.exit_code == 0, shown.output
    predicted = pd.read_csv(io.StringIO(shown.stdout), keep_default_na=False)["prediction"]
    expected = PortableModel.load(tmp_path / "model").predict([["NA", 1], ["null", 2], ["nobody", 3]])
    np.testing.assert_allclose(predicted.astype(float), expected, rtol=1e-12)


def test_who_has_fewer_seeds_is_not_exported(stored, monkeypatch):
    class Fewer(Run):
        @classmethod
        def load(cls, path):
            run = Run.load(path)
            gone = (run.scores["searcher"] == "random") & (run.scores["seed"] == 2)
            scores = run.scores[~gone].copy()
            scores.loc[scores["searcher"] == "random", "validation"] = 0.01
            return replace(run, scores=scores)

    monkeypatch.setattr("automl_cf.export.Run", Fewer)
    assert "bias-only" in export_run(stored).trained["cell"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["export", "RUN", "--searcher", "sif"],
            "searcher is 'sif', but .* have bias-only, random",
        ),
        (["export", "RUN", "--dim", "9"], "dim is 9, but the scored cells .* have 4"),
        (["export", "RUN", "--out", "RUN"], "is there already; choose a new or an empty folder"),
        (["export", "nothing"], "is not the folder of a run"),
        (["predict", "nothing", "RUN/scores.csv"], "model.json' cannot be read"),
        (["predict", "MODEL", "nothing.csv"], "'nothing.csv' cannot be read: No such file"),
        (["predict", "MODEL", "RUN/study.json"], "column 'user' is missing|neither a CSV"),
        (["predict", "MODEL", "TAKEN", "--out", "TAKEN"], "is there already; choose another name"),
        (["predict", "MODEL", "RUN/scores.csv", "--out", "x.docx"], "must end in .csv or .parquet"),
        (["predict", "RUN", "RUN/scores.csv"], r"model.json' cannot be read \(No such file"),
        (["predict", "MODEL", "MODEL/model.safetensors"], "neither a CSV|column 'user' is missing"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, message, stored, tmp_path):
    export_run(stored, searcher="bias-only").save(tmp_path / "model")
    (tmp_path / "taken.csv").write_text("user,item\n1,2\n")
    places = {"TAKEN": str(tmp_path / "taken.csv"), "RUN": str(stored), "MODEL": str(tmp_path / "model")}
    for mark, place in places.items():
        arguments = [argument.replace(mark, place) for argument in arguments]
    result = invoke(*arguments)
    assert result.exit_code != 0
    assert result.stderr.count("\n") == 1
    assert re.search(message, result.stderr), result.stderr


def test_changed_data_are_noticed(stored, tmp_path):
    changed = tmp_path / "run"
    shutil.copytree(stored, changed)
    study = (changed / "study.json").read_text()
    (changed / "study.json").write_text(study.replace('"seed": 3', '"seed": 4').replace('"seed":3', '"seed":4'))
    with pytest.raises(InputError, match="no longer the one that"):
        export_run(changed)
