"""Race every ask/tell searcher of the table's space on the exhaustive tables: hundreds of seeds in minutes.

Run as `python -m automl_cf.benchmarks.race [SEARCHER ...]`; writes to results/race: race.csv.gz (regret and test RMSE
of every incumbent), race.md, and race.png/.svg: mean rank over trials, and over the epochs that they train, since some
searchers train most candidates briefly. A trial is a lookup; no seconds are compared.

Regret is the incumbent's validation RMSE minus the best of the whole table for that seed, both after full training:
a searcher's incumbent is what it has seen the lowest RMSE of, at whatever number of epochs.
"""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from multiprocessing import get_context
from os import cpu_count, environ
from pathlib import Path

import numpy as np
import pandas as pd

from automl_cf.analysis.styles import styles
from automl_cf.benchmarks.table import DIM, FOLDER
from automl_cf.cf.table import Table, table_space
from automl_cf.cf.training import Training
from automl_cf.errors import InputError
from automl_cf.searchers import AskTellSearcher, SearchTask, build, searchers
from automl_cf.suite.streams import stream

SLOW = ("optuna-gp", "smac")  # up to a second a proposal: raced only if they are named


@dataclass(frozen=True)
class Race:
    """How long, how often, and where."""

    trials: int = 50
    seeds: int = 100
    folder: Path = FOLDER

    def run(self, searcher: str, dataset: str, seed: int) -> pd.DataFrame:
        """One searcher's incumbents on one table, a row a trial; the table's seeds take turns."""
        table = _read(self.folder / f"{dataset}.parquet")
        split = table.seeds[seed % len(table.seeds)]
        built = build(searcher, _task(seed), {})
        assert isinstance(built, AskTellSearcher)
        lowest = table.best(split)
        best, incumbent, epochs, rows = float("inf"), None, 0, []
        for trial in range(1, self.trials + 1):
            for proposal in built.ask(1):
                evaluation = table.evaluate(proposal.architecture, split, proposal.epochs)
                built.tell(proposal.id, evaluation)
                epochs += evaluation.epochs
                if evaluation.loss < best:
                    best, incumbent = evaluation.loss, table.row(proposal.architecture, split)
            if incumbent is not None:
                rows.append((dataset, searcher, seed, trial, epochs, incumbent["rmse"] - lowest, incumbent["test"]))
        return pd.DataFrame(rows, columns=["dataset", "searcher", "seed", "trial", "epochs", "regret", "test"])


_read = cache(Table.read)  # once a process


def _task(seed: int) -> SearchTask:
    training = Training()
    return SearchTask(table_space(), 2, training.l2_grid, stream("searcher", seed), DIM, training.max_epochs)


def contestants() -> Iterator[str]:
    """Ask/tell searchers that search the given space, the slow ones apart."""
    for name in searchers.names():
        capabilities = searchers.get(name).capabilities
        if capabilities.one_shot or capabilities.fixed_proposals or capabilities.needs_truth or name in SLOW:
            continue
        if isinstance(built := build(name, _task(0), {}), AskTellSearcher) and built.space == table_space():
            yield name


def ranks(results: pd.DataFrame, over: str = "trial") -> pd.DataFrame:
    """The mean rank by regret (1 is best, ties share) over data sets and seeds, by trial or epochs, and searcher."""
    by = results.groupby(["dataset", "seed", over])["regret"]
    ranked = results.assign(rank=by.rank(method="average"))
    return ranked.groupby([over, "searcher"])["rank"].mean().unstack()


def by_epochs(results: pd.DataFrame, points: int = 40) -> pd.DataFrame:
    """The incumbents at log-spaced numbers of epochs, from where all have one to where the first searcher stops."""
    runs = results.groupby(["dataset", "searcher", "seed"])
    first, last = runs["epochs"].min().max(), runs["epochs"].max().min()
    grid = np.unique(np.geomspace(first, last, points).astype(int)) if first < last else np.array([last])
    at = pd.DataFrame({"at": grid})
    parts = []
    for _, rows in runs:
        parts.append(
            pd.merge_asof(at, rows.drop(columns=["trial", "test"], errors="ignore"), left_on="at", right_on="epochs")
        )
        parts[-1]["epochs"] = grid
    return pd.concat(parts)


def _summary(results: pd.DataFrame, command: str) -> str:
    last = results[results["trial"] == results["trial"].max()]
    order = ranks(last).iloc[0].sort_values()
    lines = ["# Race on the exhaustive tables", "", f"Written by `{command}`; `benchmarks/race.py` says how.", ""]
    lines += [f"After {last['trial'].max()} trials; means over seeds with Student's 95% half-width.", ""]
    datasets = sorted(results["dataset"].unique())
    lines += [f"| Searcher | Mean rank | {' | '.join(f'Regret, {d}' for d in datasets)} | Epochs trained |"]
    lines += ["|" + " --- |" * (len(datasets) + 3)]
    for searcher, rank in order.items():
        own = last[last["searcher"] == searcher]
        cells = [str(searcher), f"{rank:.2f}"]
        cells += [_interval(own.loc[own["dataset"] == dataset, "regret"]) for dataset in datasets]
        lines += [f"| {' | '.join(cells)} | {own['epochs'].mean():.0f} |"]
    return "\n".join([*lines, "", "![Mean rank over trials and epochs](race.svg)"]) + "\n"


def _interval(values: pd.Series) -> str:
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.4f} ± {half:.4f}"


def _draw(results: pd.DataFrame, folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    for axes, table, label in zip(
        panels, (ranks(results), ranks(by_epochs(results), "epochs")), ("Trials", "Epochs trained"), strict=True
    ):
        for number, (name, style) in enumerate(styles(table.columns).items()):
            marks = {"marker": style.marker, "markersize": 4, "markevery": (0.02 * number, 0.25)}
            axes.plot(table.index, table[name], label=name, **style.line, **marks)
        axes.set(xlabel=label, xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    panels[0].set(ylabel="Mean rank by regret (1 is best)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize="small")
    for form in ("png", "svg"):
        figure.savefig(folder / f"race.{form}", dpi=150)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Race, print and write."""
    parser = argparse.ArgumentParser(prog="python -m automl_cf.benchmarks.race", description="Race on the tables.")
    parser.add_argument("searchers", nargs="*", help="default: every fast ask/tell searcher of the space")
    parser.add_argument("--seeds", type=int, default=Race.seeds, help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=Race.trials, help="default: %(default)s")
    parser.add_argument("--tables", type=Path, default=FOLDER, help="folder of the tables (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/race"), help="folder (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    race, names = Race(chosen.trials, chosen.seeds, chosen.tables), chosen.searchers or list(contestants())
    datasets = sorted(path.stem for path in chosen.tables.glob("*.parquet"))
    if not datasets:
        raise InputError(f"folder '{chosen.tables}' has no tables; `python -m automl_cf.benchmarks.table` makes them.")
    jobs = list(product(names, datasets, range(1, chosen.seeds + 1)))
    environ["OMP_NUM_THREADS"] = "1"  # a process per core: more threads would get in each other's way
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn"), initializer=_quiet) as pool:
        results = pd.concat(pool.map(race.run, *zip(*jobs, strict=True), chunksize=8))
    chosen.out.mkdir(parents=True, exist_ok=True)
    results.to_csv(chosen.out / "race.csv.gz", index=False, float_format="%.6g")
    _draw(results, chosen.out)
    (chosen.out / "race.md").write_text(_summary(results, parser.prog), encoding="utf-8")
    print((chosen.out / "race.md").read_text(encoding="utf-8"))


def _quiet() -> None:
    """One thread a process, and none of the libraries' warnings."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    main()
