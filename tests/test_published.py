"""The published numbers are the paper's, and a run stands beside those that it is comparable with."""

import inspect
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from stored_runs import Found, StoredRun
from typer.testing import CliRunner, Result

import automl_cf
from automl_cf.analysis.markdown import bullets, table
from automl_cf.analysis.published import (
    METRICS,
    SETTINGS,
    published_markdown,
    published_values,
    side_by_side,
    write_published,
)
from automl_cf.analysis.run import Run
from automl_cf.cf.data import datasets
from automl_cf.cli import app
from automl_cf.cli.studies import shipped
from automl_cf.errors import InputError
from automl_cf.searchers import searchers
from automl_cf.spaces.interaction import PREDICTORS, interaction_space

ROOT = Path(__file__).resolve().parent.parent

TABLE_3 = {
    "AltGrad": ["0.867", "0.267", "0.377", "0.156", "0.220"],
    "FM": ["0.845", "0.286", "0.391", "0.176", "0.249"],
    "Deep&Wide": ["0.861", "0.273", "0.378", "0.163", "0.227"],
    "NCF": ["0.851", "0.279", "0.386", "0.172", "0.236"],
    "SIF(no-auto)": ["0.846", "0.284", "0.390", "0.175", "0.250"],
    "SIF": ["0.839", "0.295", "0.405", "0.190", "0.259"],
}
T_975 = {2: 12.706204736, 3: 4.302652730}  # Student's quantiles by the number of seeds, from a printed table

SIF = {1: 0.80, 2: 0.82, 3: 0.84}  # mean 0.82, sd 0.02
ALTGRAD = {1: 0.86, 2: 0.88}  # mean 0.87, sd 0.02 / sqrt(2)


def ranking(base: float) -> dict[str, Any]:
    return {"ranking": {f"{name}@{k}": base + k / 100 for name in ("hit", "ndcg", "recall") for k in (5, 10)}}


@pytest.fixture
def stored(tmp_path: Path) -> StoredRun:
    run = StoredRun(tmp_path / "run")
    for seed, error in SIF.items():
        found = [Found(1, 0.9), Found(100, error, 20 + seed, score=ranking(0.2 + seed / 100))]
        run.cell("ml-100k", 8, "sif", seed, found, end=200)
        run.cell("ml-100k", 8, "bias-only", seed, [Found(1, 0.85)], end=1)
    for seed, error in ALTGRAD.items():
        run.cell("ml-100k", 8, "altgrad", seed, [Found(1, error, 24.4)], end=1)
    run.cell("ml-100k", 8, "altgrad", 3, [Found(1, 0.1)], end=1, last="cell_failed")
    return run


def rows_of(run: StoredRun, searcher: str) -> pd.DataFrame:
    rows = side_by_side(Run.load(run.write()))
    return rows[rows["searcher"] == searcher].set_index(["place", "metric"])


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_of(result: Result) -> str:
    """The one line that a refused command prints."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


# --- what is published ---


def test_table_3_is_the_papers() -> None:
    values = published_values()
    of_it = values[values["place"] == "Table 3"]
    found = of_it.pivot(index="method", columns="metric", values="printed")
    assert found.shape == (6, 5)
    assert found[["rmse_std", "hit@5", "hit@10", "ndcg@5", "ndcg@10"]].T.to_dict("list") == TABLE_3
    assert set(of_it["dataset"]) == {"ml-100k"}
    assert of_it["dim"].isna().all()  # not stated there


@pytest.mark.parametrize(
    ("place", "columns", "value"),
    [
        ("Table 4", {"dataset": "ml-100k", "method": "SIF", "dim": 8, "metric": "seconds"}, "159.8"),
        ("Table 4", {"dataset": "ml-1m", "method": "AltGrad"}, "313.7"),
        ("Table 5", {"k": 1, "dim": 8, "found": "max"}, "0.8450"),
        ("Table 5", {"k": 4, "dim": 4, "found": "concat + max + multiply + plus"}, "0.8433"),
        ("Table 6", {"activation": "tanh", "units": 5, "dim": 4}, "0.8991"),
        ("Table 6", {"activation": "relu", "units": 10, "dim": 8}, "0.8370"),
        ("Table 6", {"activation": "sigmoid", "units": 20, "dim": 4}, "0.8399"),
        ("Table 7", {"predictor": "linear", "dim": 2, "found": "min"}, "0.8389"),
        ("Table 7", {"predictor": "mlp", "dim": 16, "found": "multiply"}, "0.8413"),
    ],
)
def test_numbers_of_the_other_tables(place: str, columns: dict[str, Any], value: str) -> None:
    values = published_values()
    chosen = values["place"] == place
    for column, wanted in columns.items():
        chosen &= values[column] == wanted
    assert values.loc[chosen, "printed"].tolist() == [value]


def test_every_number_of_a_table_is_there() -> None:
    """By how many there are and their sums, added up from the paper's text."""
    by_place = published_values().groupby("place")["value"]
    assert by_place.size().to_dict() == {"Table 3": 30, "Table 4": 12, "Table 5": 10, "Table 6": 30, "Table 7": 8}
    sums = {"Table 3": 11.593, "Table 4": 2837.8, "Table 5": 8.438, "Table 6": 25.227, "Table 7": 6.7434}
    assert by_place.sum().to_dict() == pytest.approx(sums, abs=1e-9)


def test_every_entry_is_valid() -> None:
    values = published_values()
    key = ["place", "dataset", "method", *SETTINGS, "dim", "metric"]
    assert not values.duplicated(key).any()
    assert set(values["dataset"]) <= set(datasets.names())
    assert set(values["searcher"]) <= set(searchers.names())
    assert set(values["metric"]) <= set(METRICS)
    assert set(values["predictor"]) <= {"", *PREDICTORS}
    assert (values["value"] > 0).all()
    assert (values[["place", "dataset", "method", "searcher"]] != "").all().all()
    for _, rows in values.groupby("method"):
        assert rows["searcher"].nunique() == 1
    # A number belongs to all of the settings or to none.
    given = pd.DataFrame({name: values[name].notna() & (values[name] != "") for name in SETTINGS})
    assert (given.all(axis=1) | ~given.any(axis=1)).all()


def test_the_settings_are_what_the_space_takes_where_none_are_given() -> None:
    parameters = inspect.signature(interaction_space).parameters
    assert {name: parameters[name].default for name in SETTINGS} == SETTINGS


def test_the_file_is_shipped_and_is_no_study() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert any(fnmatch("published.csv", pattern) for pattern in patterns["automl_cf.benchmarks"])
    assert "published" not in shipped()
    head = (ROOT / "benchmarks" / "published.csv").read_text(encoding="utf-8").splitlines()
    assert "10.1145/3366423.3380237" in "".join(line for line in head if line.startswith("#"))


# --- beside a run ---


def test_mean_interval_and_difference(stored: StoredRun) -> None:
    row = rows_of(stored, "sif").loc[("Table 3", "rmse_std")]
    half = T_975[3] * 0.02 / 3**0.5
    assert row[["mean", "low", "high", "n", "cells"]].tolist() == pytest.approx([0.82, 0.82 - half, 0.82 + half, 3, 3])
    assert row["printed"] == "0.839"
    assert row[["published", "difference", "percent"]].tolist() == pytest.approx([0.839, -0.019, -1.9 / 0.839])
    assert row["over"]
    assert pd.isna(row["dim_published"])
    assert row["dim"] == 8


def test_each_metric_is_compared_with_its_own(stored: StoredRun) -> None:
    rows = rows_of(stored, "sif")
    assert rows.loc[("Table 3", "hit@5"), "mean"] == pytest.approx(0.22 + 0.05)
    assert rows.loc[("Table 3", "ndcg@10"), "mean"] == pytest.approx(0.22 + 0.10)
    assert rows.loc[("Table 4", "seconds"), "mean"] == pytest.approx(100 + 22)  # its search until found, its retraining
    assert rows.loc[("Table 4", "seconds"), "dim_published"] == 8
    # SIF at dimension 8 is published four times, and not at its other dimensions or with other options.
    errors = rows.xs("rmse_std", level="metric")["printed"].to_dict()
    assert errors == {"Table 3": "0.839", "Table 5": "0.8450", "Table 6": "0.8375", "Table 7": "0.8468"}


def test_a_seed_without_a_result_does_not_count(stored: StoredRun) -> None:
    rows = rows_of(stored, "altgrad")
    row = rows.loc[("Table 3", "rmse_std")]
    half = T_975[2] * 0.01
    assert row[["mean", "low", "high", "n", "cells"]].tolist() == pytest.approx([0.87, 0.87 - half, 0.87 + half, 2, 3])
    assert not row["over"]
    assert rows.loc[("Table 3", "hit@5"), "n"] == 0  # these cells have no ranking metrics
    assert pd.isna(rows.loc[("Table 3", "hit@5"), "difference"])
    assert not rows.loc[("Table 3", "hit@5"), "over"]


def test_what_is_not_published_has_no_row(stored: StoredRun) -> None:
    stored.cell("planted", 8, "sif", 1, [Found(1, 0.85)], end=1)
    rows = side_by_side(Run.load(stored.write()))
    assert set(rows["searcher"]) == {"sif", "altgrad"}
    assert set(rows["dataset"]) == {"ml-100k"}


@pytest.mark.parametrize(
    ("error", "over"), [(0.845 * 1.02, False), (0.845 * 0.98, False), (0.862, True), (0.828, True)]
)
def test_two_per_cent_on_either_side(error: float, over: bool, tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("ml-100k", 16, "fm", 1, [Found(1, error)], end=1)
    row = rows_of(run, "fm").loc[("Table 3", "rmse_std")]
    assert (row["over"], row["dim"]) == (over, 16)
    assert pd.isna(row["low"])


def test_a_variant_stands_beside_its_own_setting(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    for label in ("wide", "two", "own", "no-such"):
        run.cell("films", 4, label, 1, [Found(1, 0.84)], end=1)
    space = {"name": "paper", "label": "", "options": {"k": 2}}
    spaces = {
        "wide": {**space, "options": {"units": 20, "activation": "relu"}},
        "two": None,
        "own": {**space, "options": {"norm_bound": 1.0}},
        "no-such": {**space, "options": {"k": 3, "units": 20}},
    }
    run.study |= {
        "datasets": [{"name": "ml-100k", "label": "films"}],
        "searchers": [{"name": "sif", "label": label, "space": own, "options": {}} for label, own in spaces.items()],
        "space": space,
    }
    rows = side_by_side(Run.load(run.write()))
    stated = rows[rows["dim_published"].notna()]
    found = stated[["searcher", "method", "place", "printed"]].to_records(index=False).tolist()
    assert found == [
        ("own", "SIF", "Table 5", "0.8448"),
        ("own", "SIF", "Table 6", "0.8391"),
        ("own", "SIF", "Table 7", "0.8429"),
        ("two", "SIF (k = 2)", "Table 5", "0.8435"),
        ("wide", "SIF (activation = relu, units = 20)", "Table 6", "0.8396"),
    ]
    assert set(rows.loc[rows["searcher"] == "own", "options"]) == {"norm_bound = 1.0"}
    assert "no-such" not in set(rows["searcher"])


# --- reasons ---


def test_reasons_are_shown_where_they_are_asked_for(stored: StoredRun) -> None:
    stored.write()
    (stored.path / "reasons.toml").write_text('sif = "A wider | grid."\naltgrad = "Not asked for."\n')
    assert rows_of(stored, "sif").loc[("Table 3", "rmse_std"), "reason"] == "A wider | grid."
    assert rows_of(stored, "altgrad").loc[("Table 3", "rmse_std"), "reason"] == ""
    text = published_markdown(Run.load(stored.path))
    assert "| yes | A wider \\| grid. |" in text
    assert (
        "Table 3 | rmse_std | not stated | 8 | 0.867 | 0.8700 [0.7429, 0.9971] | 2/3 | +0.0030 | +0.35 |  |  |" in text
    )


def test_a_reason_may_be_of_one_metric(stored: StoredRun) -> None:
    stored.write()
    (stored.path / "reasons.toml").write_text('[sif]\nseconds = "Another machine."\n')
    rows = rows_of(stored, "sif")
    assert rows.loc[("Table 4", "seconds"), "reason"] == "Another machine."
    assert rows.loc[("Table 3", "rmse_std"), "reason"] == ""
    assert "-2.26 | yes | not found |" in published_markdown(Run.load(stored.path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sif = ", "not valid TOML"),
        ('siff = "x"', "Did you mean 'sif'?"),
        ('[sif]\n"hits@5" = "x"', "Did you mean 'hit@5'?"),
        ("sif = 3", "gives 3 as a reason for 'sif'"),
        ("[sif]\nseconds = 3", "gives 3 as a reason for 'sif'"),
    ],
)
def test_reasons_that_cannot_be_read_are_refused(text: str, words: str, stored: StoredRun) -> None:
    stored.write()
    (stored.path / "reasons.toml").write_text(text)
    with pytest.raises(InputError, match=r"reasons\.toml'") as error:
        side_by_side(Run.load(stored.path))
    assert words in str(error.value)


# --- how it is shown ---


def test_the_markdown_says_what_it_compares(stored: StoredRun) -> None:
    stored.study["fractions"] = [0.8, 0.1, 0.1]
    text = published_markdown(Run.load(stored.write()))
    assert text.startswith("# synthetic: published numbers and ours\n\n## ml-100k\n\n| Searcher |")
    assert "are [0.8, 0.1, 0.1] of the ratings here, [0.5, 0.25, 0.25] in the paper" in text
    left = text.split("stands beside:\n\n")[1].splitlines()
    # Beside: of Table 3 all five numbers of SIF and the RMSE of AltGrad; of Table 4 SIF and AltGrad.
    assert left == [
        "- ml-100k, Table 3: 24 of 30",
        "- ml-100k, Table 4: 4 of 6",
        "- ml-100k, Table 5: 9 of 10",
        "- ml-100k, Table 6: 29 of 30",
        "- ml-100k, Table 7: 7 of 8",
    ]
    assert "nan" not in text


def test_one_seed_has_no_interval_and_the_papers_split_needs_no_word(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("ml-1m", 8, "ncf", 1, [Found(5, 0.8, 3)], end=9)
    text = published_markdown(Run.load(run.write()))
    assert "| 374.9 | 8.0 (1 seed: no interval) | 1/1 | -366.9 | -97.87 | yes | not found |" in text
    for absent in ("of the ratings here", "Hit and NDCG", "`rmse_std`"):
        assert absent not in text


def test_a_run_of_nothing_that_is_published_says_so(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "sif", 1, [Found(1, 0.8)], end=9)
    loaded = Run.load(run.write())
    assert side_by_side(loaded).empty
    assert published_markdown(loaded).endswith("The paper gives no number for what this run compares.\n")


def test_markdown_shows_texts_as_they_are() -> None:
    assert table(pd.DataFrame({"a|b": ["<i>\n`x`"]})) == "| a\\|b |\n| --- |\n| &lt;i> \\`x\\` |"
    assert bullets(["[a](b)", "2 * 3"]) == "- [a]\\(b)\n- 2 \\* 3"


def test_from_python(stored: StoredRun) -> None:
    expected = side_by_side(Run.load(stored.write()))
    pd.testing.assert_frame_equal(automl_cf.published(stored.path), expected)
    pd.testing.assert_frame_equal(automl_cf.published(Run.load(stored.path)), expected)
    assert "published" in dir(automl_cf)


def test_the_command_prints_and_writes(stored: StoredRun, tmp_path: Path) -> None:
    stored.write()
    done = invoke("published", stored.path)
    assert done.exit_code == 0, done.output
    assert done.stdout == (stored.path / "published.md").read_text(encoding="utf-8")
    assert done.stdout == published_markdown(Run.load(stored.path))
    assert str(stored.path / "published.md") in done.stderr
    (stored.path / "published.md").unlink()
    assert invoke("published", stored.path, "--out", tmp_path / "x.md").exit_code == 0
    assert (tmp_path / "x.md").read_text(encoding="utf-8") == done.stdout
    assert not (stored.path / "published.md").exists()


def test_what_cannot_be_read_or_written_is_one_line(stored: StoredRun, tmp_path: Path) -> None:
    assert "not the folder of a run" in error_of(invoke("published", tmp_path / "nowhere"))
    stored.write()
    assert "cannot be written" in error_of(invoke("published", stored.path, "--out", tmp_path / "no" / "x.md"))
    study = stored.path / "study.json"
    good = study.read_text()
    study.write_text(good.replace('"searchers": [{', '"searchers": [{"space": "paper", '))
    assert "study.json" in error_of(invoke("published", stored.path))
    study.write_text("{")
    assert "study.json" in error_of(invoke("published", stored.path))
    study.write_text(good)
    with (stored.path / "events.jsonl").open("a") as log:
        log.write("no event\n")
        log.write("no event\n")
    assert "events.jsonl" in error_of(invoke("published", stored.path))


def test_the_file_is_written_whole_or_not_at_all(stored: StoredRun) -> None:
    run = Run.load(stored.write())
    (stored.path / "published.md").mkdir()
    with pytest.raises(InputError, match=r"published\.md.* cannot be written"):
        write_published(run)
    assert not list(stored.path.glob(".*"))


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom automl_cf.cli import app\ntry:\n    app(['published', '--help'])\nfinally:\n"
        "    print('HEAVY:', *{'torch', 'ray', 'pandas', 'scipy', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "reasons.toml" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY:"
