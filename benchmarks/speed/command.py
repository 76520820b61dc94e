"""The command: measures, keeps what it measured after each measurement, and writes the report."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch

from automl_cf.analysis.output import whole_file
from automl_cf.benchmarks.speed import about, records
from automl_cf.benchmarks.speed.compiling import measure_compiling
from automl_cf.benchmarks.speed.epoch import measure_epoch, measure_operations
from automl_cf.benchmarks.speed.memory import measure_memory
from automl_cf.benchmarks.speed.phases import measure_phases
from automl_cf.benchmarks.speed.plots import draw
from automl_cf.benchmarks.speed.records import Record
from automl_cf.benchmarks.speed.report import report
from automl_cf.benchmarks.speed.results import Results
from automl_cf.benchmarks.speed.scaling import measure_dims, measure_ml_1m, measure_ratings
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.search import measure_search
from automl_cf.benchmarks.speed.whole import measure_whole
from automl_cf.benchmarks.speed.workers import measure_workers
from automl_cf.errors import AutomlCfError

MEASUREMENTS: dict[str, Callable[[Scope], Iterator[Record]]] = {
    "epoch": measure_epoch,
    "operations": measure_operations,
    "whole": measure_whole,
    "search": measure_search,
    "phases": measure_phases,
    "dims": measure_dims,
    "ml-1m": measure_ml_1m,
    "workers": measure_workers,
    "compiling": measure_compiling,
    "memory": measure_memory,
    "ratings": measure_ratings,
}


def measure(names: list[str], quick: bool, folder: Path) -> None:
    """Measure, and replace what the folder has of these measurements; the others stay."""
    table, facts = folder / "measurements.csv", folder / "about.json"
    for name in names:
        scope = Scope(quick)
        new = records.to_frame(MEASUREMENTS[name](scope))
        old = records.read(table)
        kept = old[old["measurement"] != name]
        records.write(table, pd.concat([kept, new]) if len(kept) else new)
        about.write(facts, about.read(facts) | {name: about.about(scope)})


def write_report(folder: Path) -> Path:
    """Write speed.md and the figures from what the folder has."""
    results = Results(records.read(folder / "measurements.csv"))
    draw(results, folder)
    target = folder / "speed.md"
    with whole_file(target) as partial:
        partial.write_text(report(results, about.read(folder / "about.json")), encoding="utf-8")
    return target


def main(description: str) -> int:
    """Parse the command line and do it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m automl_cf.benchmarks.speed", description=description)
    parser.add_argument(
        "--out", type=Path, default=Path("results/speed"), metavar="FOLDER", help="%(default)s if not given"
    )
    parser.add_argument("--only", action="append", choices=list(MEASUREMENTS), help="this measurement; may be repeated")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see whether it works")
    parser.add_argument("--report-only", action="store_true", help="measure nothing, write the report once more")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    try:
        if not chosen.report_only:
            measure(chosen.only or list(MEASUREMENTS), chosen.quick, chosen.out)
        print(write_report(chosen.out))
    except AutomlCfError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
