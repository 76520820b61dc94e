"""The result of a run on the terminal."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from automl_cf.errors import AutomlCfError

if TYPE_CHECKING:
    import pandas as pd

    from automl_cf.analysis.run import Run

REPORT_NAME = "report.html"

_GAP = 2
_PROBLEMS = 10  # listed here; the summary lists all


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of text; where the terminal is narrow, those of high priority get the room."""

    title: str
    values: list[str]
    priority: int

    @property
    def width(self) -> int:
        return max(map(cell_len, (*self.title.splitlines(), *self.values)))


def show_result(run: "Run", console: Console, report: Path | None = None) -> None:
    """Print the tables of a run, what gave no result, and where its files are.

    ``report`` is its HTML report, by default the one in its folder. Raises AutomlCfError if there are cells, but none
    gave a result.
    """
    from automl_cf.analysis.tables import cell_table, final_table

    table = final_table(run)
    for (dataset, dim), rows in table.groupby(["dataset", "dim"], sort=False) if len(table) else ():
        console.print(Text(f"\n{dataset}, dimension {dim}: test RMSE in standard deviations of all ratings", "bold"))
        console.print(_table(_columns(rows), console.width))
    if len(table) and table["n"].max() > 1:
        console.print("± is half of a 95% t-interval over seeds; differences are paired by seed.", style="dim")
    problems = cell_table(run).dropna(subset="problem")
    _show_problems(problems, console)
    _show_files(run, console, report or run.path / REPORT_NAME)
    if len(run.cells) and len(problems) == len(run.cells):
        raise AutomlCfError("no cell of the run gave a result; summary.md lists the reasons.")


def _columns(rows: "pd.DataFrame") -> Iterator[_Column]:
    records = rows.to_dict("records")
    yield _Column("Searcher", [row["searcher"] for row in records], 9)
    yield _Column("Seeds", [f"{row['n']}/{row['n'] + len(row['missing'])}" for row in records], 5)
    yield _Column("Test RMSE", [_interval(row, "rmse_std", "{:.4f}") for row in records], 9)
    if rows["truth_rmse"].notna().any():
        yield _Column("Noise-free\nRMSE", [_interval(row, "truth_rmse", "{:.4f}") for row in records], 8)
    for baseline, priority in (("bias-only", 7), ("single-op", 6)):
        name = f"vs_{baseline.replace('-', '_')}"
        if rows[name].notna().any():
            yield _Column(f"minus\n{baseline}", [_interval(row, name, "{:+.4f}") for row in records], priority)
    yield _Column("Seconds to\ndeliver", [_plain(row["deliverable_seconds"], "{:.1f}") for row in records], 4)
    yield _Column("Trials", [_plain(row["trials"], "{:.0f}") for row in records], 2)
    yield _Column("Found", [row["found"] or "-" for row in records], 3)


def _table(columns: Iterable[_Column], width: int) -> Table:
    every = list(columns)
    kept: set[_Column] = set()
    room = width + _GAP
    for column in sorted(every, key=lambda column: -column.priority):
        if column.width + _GAP <= room or not kept:
            kept.add(column)
            room -= column.width + _GAP
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    shown = [column for column in every if column in kept]
    for column in shown:
        left = column.title in ("Searcher", "Found")
        table.add_column(column.title, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
    for values in zip(*(column.values for column in shown), strict=True):
        table.add_row(*map(Text, values))
    return table


def _interval(row: dict[Any, Any], name: str, form: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    half = "" if low != low else f" ±{(high - low) / 2:.4f}"  # NaN: one seed has no interval
    return _plain(row[name], form) + half


def _plain(value: float, form: str) -> str:
    return "-" if value != value else form.format(value)


def _show_problems(problems: "pd.DataFrame", console: Console) -> None:
    for row in problems.head(_PROBLEMS).to_dict("records"):
        console.print(Text(f"{row['cell']}: {row['problem']}", "red"), soft_wrap=True)
    if len(problems) > _PROBLEMS:
        console.print(f"... and {len(problems) - _PROBLEMS} cells more without a result", style="red")


def file_line(title: str, path: Path) -> Text:
    """The line that says where a file is."""
    return Text(f"{title:<8} {path}")


def _show_files(run: "Run", console: Console, report: Path) -> None:
    console.print()
    others = (("Figure", "curve.png"), ("Summary", "summary.md"), ("Scores", "scores.csv"))
    for title, path in (("Report", report), *((title, run.path / name) for title, name in others)):
        if path.exists():
            console.print(file_line(title, path), soft_wrap=True)
