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
    assert "ratings of user, item: " in result.output
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


@pytest.fixture(scope="module")
def of_a_file(tmp_path_factory):
    """A run on a ratings file with columns of its own, users that look like numbers and times; and its model."""
    folder = tmp_path_factory.mktemp("file")
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.permutation(120)[:90], 12)
    names = {"who": [f"{user:03}" for user in users], "what": [f"i{item}" for item in items]}
    times = 86400 * 31 * rng.integers(0, 3, 90)
    pd.DataFrame({**names, "stars": rng.normal(3, 1, 90).round(1), "when": times}).to_csv(folder / "r.csv", index=False)
    options = {"index_columns": ["who", "what"], "value_column": "stars", "time_column": "when"}
    study = small_study(
        datasets=[{"name": str(folder / "r.csv"), "options": options}],
        searchers=["bias-only"],
        dims=[2],
        budget={"trials": 1},
    )
    suite_run.start(study, folder / "run")
    export_run(folder / "run").save(folder / "model")
    return folder


def test_a_models_columns_are_those_of_the_file(of_a_file, tmp_path):
    model = PortableModel.load(of_a_file / "model")
    assert model.columns == ("who", "what", "month")
    shown = invoke("predict", of_a_file / "model", of_a_file / "r.csv")
    assert "column 'month' is missing; the model needs who, what, month" in shown.stderr  # there are times, no months
    ratings = pd.read_csv(of_a_file / "r.csv", dtype=str)
    rows = ratings.assign(month=pd.to_datetime(ratings["when"].astype(int), unit="s").dt.strftime("%Y-%m"))
    rows.to_csv(tmp_path / "rows.csv", index=False, sep=";")
    shown = invoke("predict", of_a_file / "model", tmp_path / "rows.csv")
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == ""  # all names are known, though the users were read as numbers
    table = pd.read_csv(io.StringIO(shown.stdout), dtype=str)
    pd.testing.assert_frame_equal(table[rows.columns], rows)
    expected = model.predict(rows.assign(who=rows["who"].astype(int)))
    np.testing.assert_allclose(table["prediction"].astype(float), expected, rtol=1e-12)


def test_names_that_are_not_known_are_counted(of_a_file, tmp_path):
    (tmp_path / "p.csv").write_text("who,what,month\n1,i2,1970-01\n77,i2,1970-01\n78,,May\n")
    shown = invoke("predict", of_a_file / "model", tmp_path / "p.csv")
    assert shown.exit_code == 0
    notes = re.findall(r"note: (\d) of 3 in '(\w+)' are not known", shown.stderr)
    assert notes == [("2", "who"), ("1", "what"), ("1", "month")]


def test_recommend_on_the_command_line(of_a_file, tmp_path):
    folder = of_a_file / "model"
    model = PortableModel.load(folder)

    def shown(*arguments):
        result = invoke("recommend", folder, *arguments)
        assert result.exit_code == 0, result.output
        return pd.read_csv(io.StringIO(result.stdout)), result.stderr

    table, notes = shown("--users", "1,002", "--users", "zoe", "-n", 3, "--context", "month=1970-02")
    expected = model.recommend([1, 2, "zoe"], 3, context={"month": "1970-02"})
    assert table["what"].tolist() == expected["what"].tolist()
    np.testing.assert_allclose(table["prediction"], expected["prediction"], rtol=1e-12)
    assert table["who"].tolist() == ["1"] * 3 + ["002"] * 3 + ["zoe"] * 3
    assert notes.count("note: ") == 1
    assert "1 of 3 in 'who' are not known" in notes
    table, notes = shown("--n", 20, "--seen", of_a_file / "r.csv")
    ratings = pd.read_csv(of_a_file / "r.csv")
    everything = {(user, item) for user in set(ratings["who"]) for item in set(ratings["what"])}
    left = everything - set(zip(ratings["who"], ratings["what"], strict=True))
    assert set(zip(table["who"], table["what"], strict=True)) == left
    assert "no --context month=" in notes
    for out in ("r.csv", "r.parquet"):
        assert shown_nothing(invoke("recommend", folder, "--users", "1", "--out", tmp_path / out))
    assert pd.read_parquet(tmp_path / "r.parquet")["what"].tolist() == pd.read_csv(tmp_path / "r.csv")["what"].tolist()


def shown_nothing(result):
    return result.exit_code == 0 and result.stdout == ""


def test_a_name_may_have_a_comma_and_quotes(tmp_path):
    rng = np.random.default_rng(0)
    users = ['Ann, "the 1st"', "bob", "cat", "dee"]
    ratings = pd.DataFrame([(user, item, rng.normal()) for user in users for item in "abcde"])
    ratings.set_axis(["user", "item", "rating"], axis=1).to_csv(tmp_path / "r.csv", index=False)
    study = small_study(datasets=[str(tmp_path / "r.csv")], searchers=["bias-only"], budget={"trials": 1})
    suite_run.start(study, tmp_path / "run")
    export_run(tmp_path / "run").save(tmp_path / "model")
    result = invoke("recommend", tmp_path / "model", "--users", '"Ann, ""the 1st""",bob', "--n", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    assert pd.read_csv(io.StringIO(result.stdout))["user"].tolist() == users[:2]


def test_a_file_with_a_constant_column_is_refused_by_data_show_and_compare(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("user,item,month,rating\n" + "".join(f"u{k % 3},i{k},may,{k % 5}\n" for k in range(9)))
    columns = ["--data-option", "index_columns=user,item,month"]
    options = ["--searchers", "bias-only", "--trials", "1", "--backend", "inline", "--out", tmp_path / "run"]
    for command in (["data", "show", path, *columns], ["compare", "--dataset", path, *columns, *options]):
        result = invoke(*command)
        assert result.exit_code == 2
        assert "column 'month' is 'may' for all ratings, but an index of a tensor must differ; leave it out" in (
            " ".join(result.stderr.split())
        )


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("how", ["gone", "empty", "half", "longer", "a folder"])
def test_a_model_that_was_tampered_with_is_one_sentence(of_a_file, tmp_path, name, how):
    shutil.copytree(of_a_file / "model", tmp_path / "model")
    file = tmp_path / "model" / name
    content = file.read_bytes()
    file.unlink()
    if how == "a folder":
        file.mkdir()
    elif how != "gone":
        file.write_bytes({"empty": b"", "half": content[: len(content) // 2], "longer": content + b" x"}[how])
    for command in (["predict", of_a_file / "r.csv"], ["recommend", "--users", "1"]):
        result = invoke(command[0], tmp_path / "model", *command[1:])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert re.search(f"model/{name}' (cannot be read|is not JSON|was changed)", result.stderr), result.stderr


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
        (["predict", "MODEL", "nothing.csv"], r"nothing.csv: the file cannot be read \(No such file"),
        (["predict", "MODEL", "RUN/study.json"], "column 'user' is missing|cannot be read as a table"),
        (["predict", "MODEL", "PREDICTED"], "has a column 'prediction' already; leave it out or rename it"),
        (["predict", "MODEL", "TAKEN", "--out", "TAKEN"], "is there already; choose another name"),
        (["predict", "MODEL", "RUN/scores.csv", "--out", "x.docx"], "must end in .csv or .parquet"),
        (["predict", "RUN", "RUN/scores.csv"], r"model.json' cannot be read \(No such file"),
        (["predict", "MODEL", "MODEL/model.safetensors"], "is neither a text in UTF-8 nor|column 'user' is missing"),
        (["predict", "MODEL", "TAKEN", "--out", "RUN/no/p.csv"], "no/p.csv' cannot be written: "),
        (["recommend", "MODEL", "--users", "1", "--n", "0"], "n is 0, but must be an integer of at least 1"),
        (["recommend", "MODEL", "--users", ","], "--users is ',', but must be names, separated by commas"),
        (["recommend", "MODEL", "--context", "month=3"], "context has 'month', but must be absent, since this model"),
        (["recommend", "MODEL", "--context", "month"], "--context is 'month', but must be column=name"),
        (["recommend", "MODEL", "--context", "a=1", "--context", "a=2"], "--context gives 'a' twice"),
        (["recommend", "MODEL", "--seen", "nothing.csv"], r"nothing.csv: the file cannot be read \(No such file"),
        (["recommend", "MODEL", "--seen", "OTHER"], "column 'user' is missing; the model needs user, item"),
        (["recommend", "MODEL", "--out", "TAKEN"], "is there already; choose another name"),
        (["recommend", "RUN"], r"model.json' cannot be read \(No such file"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, message, stored, tmp_path):
    export_run(stored, searcher="bias-only").save(tmp_path / "model")
    (tmp_path / "taken.csv").write_text("user,item\n1,2\n")
    (tmp_path / "predicted.csv").write_text("user,item,prediction\n1,2,3\n")
    (tmp_path / "other.csv").write_text("who,item\n1,2\n")
    places = {
        "OTHER": str(tmp_path / "other.csv"),
        "PREDICTED": str(tmp_path / "predicted.csv"),
        "TAKEN": str(tmp_path / "taken.csv"),
        "RUN": str(stored),
        "MODEL": str(tmp_path / "model"),
    }
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
