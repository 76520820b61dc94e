import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from stored_runs import SCALE, STD, Found, StoredRun

from automl_cf.analysis.run import Run
from automl_cf.analysis.summary import write_summary
from automl_cf.analysis.tables import (
    cell_table,
    describe,
    final_table,
    number,
    score_columns,
    search_columns,
    write_scores,
)
from automl_cf.errors import InputError

BIAS = {1: 0.84, 2: 0.85, 3: 0.83}
SIF = {1: 0.835, 2: 0.847, 3: 0.829}


@pytest.fixture
def stored(tmp_path: Path) -> StoredRun:
    """Three seeds of sif and bias-only; sif's first incumbent is not its result."""
    run = StoredRun(tmp_path / "run")
    for seed, error in BIAS.items():
        run.cell("d", 8, "bias-only", seed, [Found(0.5, error, 1, 1000, 4000)], end=1, end_visits=1000)
    for seed, error in SIF.items():
        operation = "multiply" if seed == 2 else "plus"
        found = [Found(10, 0.9, 6), Found(20 + seed, error, 5, 2_000_000, 1_000_000, operation)]
        run.cell("d", 8, "sif", seed, found, end=60, end_visits=6_000_000)
    return run


def summary_of(run: StoredRun) -> str:
    return write_summary(Run.load(run.write())).read_text(encoding="utf-8")


def table_row(summary: str, searcher: str, heading: str) -> dict[str, str]:
    """Return one row of the first table that has a column of that heading."""
    lines = summary.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|") and f"| {heading} |" in line)
    head, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start:])
    return dict(zip(head, next(row for row in rows if row[0] == searcher), strict=True))


def test_the_final_table(stored: StoredRun) -> None:
    table = final_table(Run.load(stored.write())).set_index("searcher")
    assert table.index.tolist() == ["sif", "bias-only"]
    row = table.loc["sif"]
    errors, base = np.array(list(SIF.values())), np.array(list(BIAS.values()))
    interval = stats.ttest_1samp(errors, 0).confidence_interval()
    assert (row["n"], row["missing"]) == (3, ())
    expected = [errors.mean(), interval.low, interval.high]
    assert row[["rmse_std", "rmse_std_low", "rmse_std_high"]].tolist() == pytest.approx(expected)
    assert row[["rmse", "rmse_low", "rmse_high"]].tolist() == pytest.approx([STD * x for x in expected])
    paired = stats.ttest_rel(errors, base)
    expected = [(errors - base).mean(), *paired.confidence_interval(), paired.pvalue, 3]
    columns = ["vs_bias_only", "vs_bias_only_low", "vs_bias_only_high", "vs_bias_only_p", "vs_bias_only_n"]
    assert row[columns].tolist() == pytest.approx(expected)
    assert row["optimism"] == pytest.approx(0.01)
    costs = row[["search_seconds", "deliverable_seconds", "trials", "visits"]].tolist()
    assert costs == pytest.approx([60, 27, 2, 6_000_000])
    assert row["found"] == "plus (2), multiply (1)"
    assert math.isnan(row["truth_rmse"])
    assert math.isnan(row["vs_single_op"])
    assert row["vs_single_op_n"] == 0
    assert math.isnan(table.loc["bias-only", "vs_bias_only"])


def test_tables_as_they_are_shown(stored: StoredRun) -> None:
    table = final_table(Run.load(stored.write()))
    shown = score_columns(table).set_index("Searcher").loc["sif"].to_dict()
    assert shown == {
        "Seeds": "3",
        "Test RMSE / std": "0.8370 [0.8142, 0.8598]",
        "Test RMSE": "0.94162 [0.91601, 0.96724]",
        "Minus bias-only": "-0.0030 [-0.0080, +0.0020], p 0.12",
    }
    assert search_columns(table).set_index("Searcher").loc["sif"].to_dict() == {
        "Found": "plus (2), multiply (1)",
        "Optimism": "+0.0100 [+0.0100, +0.0100]",
        "Search s": "60",
        "To deliverable s": "27",
        "Trials": "2",
        "Visits, millions": "6",
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "-"),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234567.0, "1,234,567"),
    ],
)
def test_numbers_for_people(value: float, shown: str) -> None:
    assert number(value) == shown


def test_architectures_in_words() -> None:
    assert describe({"operation": "min", "p": [1.0, 2.0], "activation": "sigmoid"}) == "min"
    assert describe({"operations": ["max", "plus"]}) == "max + plus"
    assert describe({"layers": 2, "widths": [8, 4]}) == "layers=2"
    assert describe({}) == "no choices"


def test_the_summary_says_what_was_run_and_found(stored: StoredRun) -> None:
    summary = summary_of(stored)
    assert summary.startswith(
        "# synthetic\n\nbias-only, sif on d, dimension 8, seeds 1, 2, 3; budget of a cell: 120 seconds; "
        "engine: reference; 6 cells: 6 finished.\n"
    )
    assert table_row(summary, "sif", "Test RMSE / std")["Minus bias-only"].startswith("-0.0030 [")
    assert table_row(summary, "sif", "Found")["Found"] == "plus (2), multiply (1)"
    assert table_row(summary, "d", "setup")["Searcher"] == "bias-only"
    cell = table_row(summary, "d/d8/sif/s2", "Cold ratings")
    assert (cell["Test RMSE / std"], cell["Validation / std"]) == ("0.8470", "0.8370")
    assert (cell["Found"], cell["Lambda"], cell["Id"]) == ("multiply", "0.001", "id1")
    assert "    automl-cf run study.toml --out results/synthetic\n" in summary
    for clock in ("time to deliverable (s): search", "search time (s): search", "visits to deliverable"):
        assert f"- {clock}" in summary
    for absent in ("went wrong", "Warnings", "Noise-free", "curve.svg", "nan"):
        assert absent not in summary


def test_time_by_kind(stored: StoredRun) -> None:
    lines = [line for line in summary_of(stored).splitlines() if line.startswith("| d | 8 | sif")]
    assert lines == ["| d | 8 | sif | 0 | 15 | 30 | 15 | 11 | 0 | 0 |"]


def test_what_went_wrong_is_listed_with_its_reason(stored: StoredRun) -> None:
    stored.cell("d", 8, "sif", 4, [Found(1, 0.5)], end=2, last="cell_failed")
    stored.cell("d", 8, "sif", 5, [Found(3, None)], last=None)
    stored.cell("d", 8, "sif", 6, [], end=60)
    stored.cell("d", 8, "sif", 7, [Found(1, None)], end=60)
    lost = {"status": "diverged", "rmse": None, "rmse_std": None, "validation": None}
    stored.cell("d", 8, "sif", 8, [Found(1, 0.9), Found(2, 0.8, score=lost)], end=60)
    stored.trial("d/d8/sif/s1", 7, status="crashed")
    # The trial must come before the cell's end, as it does in a run.
    stored.events.insert(1, stored.events.pop())
    cell_start = next(i for i, e in enumerate(stored.events) if e["cell"] == "d/d8/sif/s1" and i > 1)
    stored.events.insert(cell_start, stored.events.pop(1))
    summary = summary_of(stored)
    wrong = summary.split("## What went wrong\n\n")[1].split("\n\n")[0].splitlines()
    assert wrong == [
        "- d/d8/bias-only/s4: not started",
        "- d/d8/bias-only/s5: not started",
        "- d/d8/bias-only/s6: not started",
        "- d/d8/bias-only/s7: not started",
        "- d/d8/bias-only/s8: not started",
        "- d/d8/sif/s4: failed: ValueError: boom",
        "- d/d8/sif/s5: interrupted after 3 s of search",
        "- d/d8/sif/s6: finished without a valid architecture",
        "- d/d8/sif/s7: not scored yet",
        "- d/d8/sif/s8: retraining what it found: diverged",
        "- sif: 1 of 12 trials gave no result (1 crashed)",
    ]
    row = table_row(summary, "sif", "Test RMSE / std")
    assert row["Seeds"] == "3 (not 4, 5, 6, 7, 8)"
    assert row["Test RMSE / std"].startswith("0.8370 [")
    assert table_row(summary, "d/d8/sif/s5", "Cold ratings")["State"] == "interrupted"


def test_unequal_seeds_are_paired_where_both_are(stored: StoredRun) -> None:
    stored.cell("d", 8, "sif", 4, [Found(1, 0.8)], end=2)
    row = table_row(summary_of(stored), "sif", "Test RMSE / std")
    assert row["Seeds"] == "4"
    assert row["Minus bias-only"] == "-0.0030 [-0.0080, +0.0020], p 0.12 (3 pairs)"


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    run.cell("d", 8, "bias-only", 1, [Found(1, 0.84)], end=1)
    run.cell("d", 8, "sif", 1, [Found(1, 0.83)], end=1)
    row = table_row(summary_of(run), "sif", "Test RMSE / std")
    assert row["Test RMSE / std"] == "0.8300 (1 seed: no interval)"
    assert row["Minus bias-only"] == "-0.0100 (1 seed: no interval)"


def test_planted_data_show_their_noise_free_error(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    for seed, truth in ((1, 0.10), (2, 0.12)):
        run.cell("planted", 8, "sif", seed, [Found(1, 0.84, score={"truth_rmse": truth})], end=1)
    assert table_row(summary_of(run), "sif", "Noise-free RMSE")["Noise-free RMSE"].startswith("0.1100 [")


def test_warnings(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    edge = {"l2_at_edge": True, "l2": 1e-6}
    run.cell("d", 8, "sif", 1, [Found(1, 0.84, score=edge)], end=1, host="a", calibration=0.02)
    run.cell("d", 8, "sif", 2, [Found(1, 0.84, score=edge)], end=1, host="b", calibration=0.04)
    run.cell("d", 8, "sif", 3, [Found(1, 0.9, score=edge), Found(2, 0.84)], end=1, host="b", calibration=None)
    warnings = summary_of(run).split("## Warnings\n\n")[1].split("\n\n")[0].splitlines()
    assert len(warnings) == 3
    assert "(1e-06 on seed 1, 1e-06 on seed 2)" in warnings[0]
    assert "more than one host (a, b)" in warnings[1]
    assert "took 0.02 to 0.04 s" in warnings[2]


def test_names_and_messages_are_shown_as_text(tmp_path: Path) -> None:
    run = StoredRun(tmp_path)
    cell = run.cell("a|b<img src=x>", 8, "`x`*", 1, [], last=None)
    run.event("cell_failed", cell, error="<script>\n| x |\n[a](b)", traceback="")
    summary = summary_of(run)
    assert "<script>" not in summary
    assert "<img" not in summary
    assert "failed: &lt;script> \\| x \\| [a]\\(b)" in summary
    tables = [line for line in summary.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") in (6, 8, 10, 11) for line in tables)


def test_the_summary_shows_the_figure_if_there_is_one(stored: StoredRun) -> None:
    (stored.write() / "curve.svg").touch()
    assert "](curve.svg)" in summary_of(stored)


def test_scores_as_files(stored: StoredRun) -> None:
    stored.cell("d", 8, "sif", 4, [], end=2, last="cell_failed")
    run = Run.load(stored.write())
    csv, parquet = write_scores(run)
    assert {csv.name, parquet.name} == {"scores.csv", "scores.parquet"}
    table = pd.read_parquet(parquet)
    assert len(table) == 3 + 2 * 3 + 1 + 1  # an empty row for the failed cell and one for bias-only's seed 4
    final = table[table["final"].fillna(False)].set_index("cell")
    assert final.loc["d/d8/sif/s2", "rmse_std"] == SIF[2]
    assert json.loads(final.loc["d/d8/sif/s2", "architecture"]) == {"operation": "multiply", "p": [0.1, 2]}
    assert final.loc["d/d8/sif/s2", "validation"] == pytest.approx((SIF[2] - 0.01) / SCALE)
    without = table[table["rmse"].isna()].set_index("cell")
    assert without["state"].to_dict() == {"d/d8/bias-only/s4": "not started", "d/d8/sif/s4": "failed"}
    read = pd.read_csv(csv)
    assert read.columns.tolist() == table.columns.tolist()
    np.testing.assert_allclose(read["rmse_std"], table["rmse_std"], rtol=1e-15)


def test_the_later_score_of_an_architecture_counts(stored: StoredRun) -> None:
    stored.score("d/d8/sif/s1", 1, 1, Found(21, 0.7), {})
    stored.events[-1]["attempt"] = 2
    cells = cell_table(Run.load(stored.write())).set_index("cell")
    assert cells.loc["d/d8/sif/s1", "rmse_std"] == 0.7


def test_a_folder_that_cannot_be_written_is_named(stored: StoredRun) -> None:
    run = Run.load(stored.write())
    (stored.path / "summary.md").mkdir()
    with pytest.raises(InputError, match=r"summary\.md.* cannot be written"):
        write_summary(run)
    assert not list(stored.path.glob(".*"))
