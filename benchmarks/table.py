"""Make the exhaustive tables: every architecture of `automl_cf.cf.table`'s space, several seeds, two data sets.

Run as `python -m automl_cf.benchmarks.table`; writes results/table/NAME.parquet and a summary. Seeds vary the split,
the initialisation and the batch order; lambda is the protocol's during a search.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from automl_cf.cf.data import Dataset, load
from automl_cf.cf.metrics import rmse
from automl_cf.cf.models import TrainingTask, prepare, train
from automl_cf.cf.splits import random_split
from automl_cf.cf.table import Row, Table, architectures, interaction_of
from automl_cf.cf.training import Training
from automl_cf.suite.ledger import Ledger
from automl_cf.suite.streams import stream
from automl_cf.suite.study import Budget

SEEDS = (1, 2, 3)
DIM = 8
DATASETS = {"ml-100k": {}, "planted": {"users": 300, "items": 200, "operation": "max", "noise": 0.3, "seed": 7}}
FOLDER = Path("results/table")


def trainings(dataset: Dataset, seeds: Sequence[int], training: Training, dim: int = DIM) -> Iterator[Row]:
    """Train every architecture for every seed, and test the same fits."""
    for seed in seeds:
        split = random_split(dataset.ratings, seed)
        task = TrainingTask(split.for_search(), training, dim, stream("init", seed))
        prepare(task)
        assert split.test is not None
        target = (split.test.values - split.mean) / split.std
        for architecture in architectures():
            ledger = Ledger(Budget(visits=2**62))
            fit = train(interaction_of(architecture), task, ledger)
            clock = ledger.clock()
            ok = fit.model is not None
            yield Row(
                seed=seed,
                operation=str(architecture["operation"]),
                users=str(architecture["users"]),
                items=str(architecture["items"]),
                status=fit.status,
                rmse=fit.rmse if ok else None,
                test=rmse(fit.model.predict(split.test.indices), target) if fit.model else None,
                epochs=fit.epochs,
                best_epoch=fit.best_epoch,
                curve=fit.curve,
                visits=ledger.visits,
                train=round(clock["train"], 6),
                validate=round(clock["validate"], 6),
            )


def summary(tables: dict[str, Table], command: str) -> str:
    """What the tables hold, in Markdown."""
    lines = ["# Exhaustive tables", "", f"Written by `{command}`; `automl_cf/cf/table.py` says what is in them.", ""]
    lines += ["RMSE are in standard deviations of the training part, means over seeds; best by validation.", ""]
    lines += ["| Data set | Architectures | Seeds | Best | Its validation | Its test | Median validation | Worst |"]
    lines += ["|" + " --- |" * 8]
    for name, table in tables.items():
        mean = table.rows.groupby(["operation", "users", "items"])[["rmse", "test"]].mean().reset_index()
        best = mean.sort_values("rmse").iloc[0]
        cells = [name, str(len(mean)), ", ".join(map(str, table.seeds)), " / ".join(map(str, best.iloc[:3]))]
        cells += [f"{v:.4f}" for v in (best["rmse"], best["test"], mean["rmse"].median(), mean["rmse"].max())]
        lines += [f"| {' | '.join(cells)} |"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the tables and their summary."""
    parser = argparse.ArgumentParser(prog="python -m automl_cf.benchmarks.table", description="Make the tables.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: %(default)s)")
    out = parser.parse_args(arguments).out
    tables = {}
    for name, options in DATASETS.items():
        total = len(SEEDS) * len(list(architectures()))
        tables[name] = Table.of(tqdm(trainings(load(name, **options), SEEDS, Training()), name, total))
        tables[name].write(out / f"{name}.parquet")
    (out / "table.md").write_text(summary(tables, parser.prog), encoding="utf-8")
    print((out / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
