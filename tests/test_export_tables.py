"""Tables to be taken elsewhere: full precision in CSV, whatever names hold in Markdown and LaTeX."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from stored_runs import Found, StoredRun
from typer.testing import CliRunner, Result

import automl_cf
from automl_cf.analysis.export_tables import FORMATS, KINDS, as_text, escape_latex, latex, table
from automl_cf.analysis.run import Run
from automl_cf.analysis.tables import cell_table, final_table
from automl_cf.cli import app
from automl_cf.errors import InputError

NAMES = {"bias-only": 0.86, "sif": 0.84, "[a & b_c] \\%$#{}~^|<x>": 0.85}


def stored(path: Path, dims: tuple[int, ...] = (8,), names: dict[str, float] = NAMES, effect: float = 0.002) -> Path:
    run = StoredRun(path)
    run.study["analysis"] = {"smallest_effect": effect}
    for dim in dims:
        for seed in (1, 2, 3):
            for name, error in names.items():
                ranking = {"hit@5": 0.3 + 0.01 * seed, "ndcg@5": 1 / 3, "recall@5": 0.2}
                found = [Found(5, error + 0.0012345678901 * seed**2, 1.5, 1000, 10, score={"ranking": ranking})]
                run.cell("d", dim, name, seed, found, end=20 + seed, end_visits=10**6)
    return run.write()


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["table", *map(str, arguments)])


@pytest.mark.parametrize("kind", KINDS)
def test_csv_has_full_precision(tmp_path: Path, kind: str) -> None:
    frame = table(stored(tmp_path), kind)
    rows = list(csv.DictReader(io.StringIO(as_text(frame, kind, "csv"))))
    assert list(rows[0]) == list(frame.columns)
    assert len(rows) == len(frame)
    numbers = frame.select_dtypes("number").columns
    assert len(numbers) > 2
    for column in numbers:
        read = [float(row[column] or "nan") for row in rows]
        np.testing.assert_array_equal(read, frame[column].to_numpy(float), err_msg=column)


def test_scores_are_those_of_the_final_table(tmp_path: Path) -> None:
    run = Run.load(stored(tmp_path))
    frame, finals = automl_cf.table(run), final_table(run)
    pd.testing.assert_frame_equal(frame, finals[list(frame.columns)])
    assert {"rmse_std", "rmse_std_low", "rmse_std_high", "n", "missing", "vs_bias_only_p"} <= set(frame.columns)


def test_means_of_costs_and_rankings_have_students_interval(tmp_path: Path) -> None:
    run = Run.load(stored(tmp_path))
    cells = cell_table(run)
    for kind, column in (("ranking", "hit@5"), ("costs", "search_seconds")):
        for row in table(run, kind).to_dict("records"):
            values = cells.loc[cells["searcher"] == row["searcher"], column].to_numpy(float)
            low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
            np.testing.assert_allclose(
                [row[column], row[f"{column}_low"], row[f"{column}_high"]], [values.mean(), low, high]
            )


def test_cells_with_their_architectures(tmp_path: Path) -> None:
    read = pd.read_csv(io.StringIO(as_text(table(stored(tmp_path), "cells"), "cells", "csv")))
    assert len(read) == 9
    assert {json.loads(text)["operation"] for text in read["architecture"]} == {"plus"}


def test_failed_cells_are_seen(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "sif", 1, [Found(1, 0.84)], end=2)
    run.cell("d", 8, "sif", 2, [], end=2, last="cell_failed")
    run.plan("d", 8, "random", 1)
    folder = run.write()
    text = as_text(table(folder, "cells"), "cells")
    assert "failed: ValueError: boom" in text
    assert "not started" in text
    scores = table(folder).set_index("searcher")
    assert scores.loc["sif", "missing"] == (2,)
    assert np.isnan(scores.loc["random", "rmse_std"])
    assert "1 (not 2)" in as_text(table(folder), "scores")


def cells_of(row: str) -> list[str]:
    """The cells of a row of a tabular: what stands between ampersands that are not escaped."""
    assert row.endswith(r" \\")
    return [cell.strip() for cell in re.split(r"(?<!\\)&", row.removesuffix(r"\\"))]


@pytest.mark.parametrize("kind", KINDS)
def test_latex_is_a_tabular_with_the_rules_of_booktabs(tmp_path: Path, kind: str) -> None:
    text = as_text(table(stored(tmp_path, dims=(4, 8)), kind), kind, "latex")
    lines = text.splitlines()
    align = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[0])
    assert align is not None
    assert (lines[1], lines[3], lines[-2], lines[-1]) == (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}")
    rows = [cells_of(line) for line in [lines[2], *lines[4:-2]]]
    assert {len(row) for row in rows} == {len(align.group(1))}
    assert rows[0][:2] == ["Data set", "Dimension"]
    assert len(rows) == 1 + len(table(tmp_path, kind))
    assert not re.search(r"(?<!\\)[$#%_^~]", re.sub(r"\$-\$", "", text))


def unescaped(text: str) -> str:
    """What LaTeX prints of an escaped text, by its rules for these commands."""
    commands = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
    commands |= {"textless": "<", "textgreater": ">", "textbar": "|", "textquotedbl": '"'}
    printed, rest = "", text
    while rest:
        if match := re.match(r"\\([a-z]+)\{\}", rest):
            printed += commands[match.group(1)]
        elif match := re.match(r"\\([&%$#_{}])", rest):
            printed += match.group(1)
        elif match := re.match(r"\$-\$", rest):
            printed += "-"
        elif match := re.match(r"\{\}", rest):
            pass
        else:
            match = re.match(r"[^\\&%$#_{}~^<>|\"]", rest)
            assert match is not None, f"{rest[:9]!r} is special to LaTeX"
            printed += match.group()
        rest = rest[match.end() :]
    return printed


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=30))
def test_latex_prints_what_was_there(text: str) -> None:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    escaped = escape_latex(text)
    assert unescaped(escaped) == printable
    assert not escaped.startswith(("[", "*"))  # which \\ before it would take for its own
    assert "--" not in escaped  # a ligature


def test_latex_aligns_numbers_to_the_right() -> None:
    frame = pd.DataFrame({"Name": ["a", "b"], "Value": ["0.5 [0.4, 0.6]", "-"], "Change": ["-0.2", "+3"]})
    lines = latex(frame).splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[4] == r"a & 0.5 [0.4, 0.6] & $-$0.2 \\"


def test_markdown_shows_one_data_set_without_naming_it_in_every_row(tmp_path: Path) -> None:
    one, two = (as_text(table(stored(tmp_path / str(len(d)), d)), "scores") for d in ((8,), (4, 8)))
    assert one.startswith("| Searcher | Seeds |")
    assert two.startswith("| Data set | Dimension | Searcher | Seeds |")
    assert {line.count("|") - line.count("\\|") for line in two.splitlines()} == {two.splitlines()[0].count("|")}


def test_several_runs_are_one_table(tmp_path: Path) -> None:
    first = stored(tmp_path / "1", names={"bias-only": 0.86, "sif": 0.84})
    second = stored(tmp_path / "2", names={"random": 0.85})
    frame = automl_cf.table([first, second])
    assert list(frame["searcher"]) == ["sif", "random", "bias-only"]
    assert frame["vs_bias_only"].notna().sum() == 2
    with pytest.raises(InputError, match="is in both"):
        automl_cf.table([first, first])
    other = stored(tmp_path / "3", names={"bayes": 0.85}, effect=0.01)
    with pytest.raises(InputError, match=r"smallest effects differ \(0\.002, 0\.01\)"):
        automl_cf.table([first, other], "verdicts")


def test_the_command(tmp_path: Path) -> None:
    run = stored(tmp_path / "run")
    done = invoke(run, "--searchers", "sif,bias-only")
    assert done.exit_code == 0, done.output
    assert done.stdout == as_text(table(run, searchers=["sif", "bias-only"]), "scores")
    for form in FORMATS:
        out = tmp_path / f"t.{form}"
        assert invoke(run, "--kind", "costs", "--format", form, "--out", out).exit_code == 0
        assert out.read_text() == as_text(table(run, "costs"), "costs", form)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "score"], "kind: there is no table 'score'. Did you mean 'scores'? Known: scores, costs"),
        (["--format", "tex"], "format: 'tex' is not one of markdown, csv, latex."),
        (["--searchers", "siff"], "searchers: there is no 'siff' in this run. Did you mean 'sif'?"),
        (["--dim", "9"], "dim: there is no cell of dimension 9; there are 8."),
        (["--out", "/nowhere/t.md"], "/nowhere/t.md cannot be written"),
    ],
)
def test_wrong_wishes_are_refused_in_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = invoke(stored(tmp_path), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
