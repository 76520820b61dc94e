"""A search on a planted tensor of the size of the paper's Youtube subset, 600 x 14,340 x 5 with 1,076,946 entries.

Run as `python -m automl_cf.benchmarks.youtube_size`; writes results/youtube_size.md. `sif-robust` searches every
composition of two operations, 52 supernets at once, until its own end. Seconds are the search's, without planting,
splitting, compiling and the retraining; memory is the most that the process held until the search's end.

What it found, the planted composition and the bias model are then trained alike, each choosing its l2 from the grid
by validation, and compared by their RMSE against the noise-free test part. The entries are drawn uniformly, where
Youtube's are in the rows and columns of active users: sizes are Youtube's, nothing else is.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from automl_cf.benchmarks.fixtures import class_of, noise_free_rmse
from automl_cf.benchmarks.speed.memory import peak
from automl_cf.cf.data import Dataset, plant
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask, prepare
from automl_cf.cf.problem import Problem
from automl_cf.cf.splits import Split, random_split
from automl_cf.cf.training import Training
from automl_cf.searchers import OneShotSearcher, SearchTask, build
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.views.relaxation import relax
from automl_cf.suite.manifest import machine, versions
from automl_cf.suite.streams import stream
from automl_cf.suite.study import SpaceEntry

BIAS = Architecture({"model": "bias-only"})


@dataclass(frozen=True)
class Case:
    """The tensor, planted with embeddings of `planted_dim`, and how it is searched with embeddings of `dim`."""

    shape: tuple[int, ...] = (600, 14340, 5)
    nonzeros: int = 1_076_946
    operation: str = "plus(multiply(1,2),3)"
    noise: float = 0.1
    planted_dim: int = 4
    dim: int = 8
    batch: int = 16384
    seed: int = 0

    @cached_property
    def data(self) -> Dataset:
        """The planted tensor."""
        users, items, *more = self.shape
        return plant(
            operation=self.operation,
            users=users,
            items=items,
            more=more,
            dim=self.planted_dim,
            nonzeros=self.nonzeros,
            noise=self.noise,
            seed=self.seed,
        )

    @cached_property
    def split(self) -> Split:
        """Half of the entries is trained on, a quarter validates."""
        return random_split(self.data.ratings, self.seed)

    @cached_property
    def task(self) -> TrainingTask:
        """The default protocol, but for the size of batches."""
        return TrainingTask(
            self.split.for_search(), Training(batch_size=self.batch), self.dim, stream("init", self.seed)
        )

    def rmse(self, architecture: Architecture) -> float:
        """Of one training over the l2 grid, against the noise-free test part."""
        return noise_free_rmse(architecture, self.task, self.data, self.split)


@dataclass(frozen=True)
class Search:
    """What a search found among so many `compositions`, and what it took: epochs of all supernets together."""

    found: Architecture
    compositions: int
    seconds: float
    epochs: int
    visits: int
    before: float
    memory: float


def search(case: Case) -> Search:
    """Search with `sif-robust` as it is by default; megabytes are the process's, `before` the search and in all."""
    space = SpaceEntry().build(len(case.shape))
    task, meter = case.task, NullMeter()
    prepare(task)
    before = peak()
    began = time.perf_counter()
    searcher = build(
        "sif-robust",
        SearchTask(space, len(case.shape), task.training.l2_grid, stream("searcher", case.seed), case.dim),
        {},
    )
    assert isinstance(searcher, OneShotSearcher)
    searcher.start(Problem(task, meter))
    incumbents = list(iter(searcher.step, None))  # one a supernet's epoch
    seconds = time.perf_counter() - began
    compositions = len(relax(space).operations)
    found = incumbents[-1].architecture
    return Search(found, compositions, seconds, len(incumbents), meter.visits, before, peak())


def report(case: Case, found: Search, command: str) -> str:
    """Train what is compared, and say what it came to, in Markdown."""
    assert case.data.truth is not None
    planted = case.data.truth.architecture
    operation = str(found.found["operation"])
    same = class_of(operation) == class_of(str(planted["operation"]))
    rows = {
        "Size": f"{' x '.join(f'{n:,}' for n in case.shape)}, {case.nonzeros:,} entries, half of them trained on",
        "Planted": f"{planted['operation']}, dimension {case.planted_dim}, noise {case.noise:g} of the signal",
        "Searched": f"{found.compositions} compositions, dimension {case.dim}, batches of {case.batch:,}",
        "Found": f"{operation}, {'' if same else 'not '}in the planted composition's class",
        "Seconds": f"{found.seconds:.1f}",
        "Epochs of supernets": f"{found.epochs:,}",
        "Visits": f"{found.visits:,}",
        "Most memory": f"{found.memory:,.0f} MB, of them {found.before:,.0f} MB before the search",
        "RMSE of the found": f"{case.rmse(found.found):.4f}",
        "RMSE of the planted": f"{case.rmse(planted):.4f}",
        "RMSE of the bias model": f"{case.rmse(BIAS):.4f}",
    }
    lines = [
        "# A search at Youtube's size",
        "",
        f"Written by `{command}`; `benchmarks/youtube_size.py` says what is measured and how.",
        "RMSE are against the noise-free test part, in standard deviations of the signal.",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
        f"On {machine()['processor']}, one thread; {', '.join(map(' '.join, versions().items()))}.",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Plant, search, compare, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m automl_cf.benchmarks.youtube_size", description="Search at Youtube's size."
    )
    parser.add_argument("--shape", type=int, nargs="+", default=Case.shape, help="default: %(default)s")
    parser.add_argument("--nonzeros", type=int, default=Case.nonzeros, help="default: %(default)s")
    parser.add_argument("--operation", default=Case.operation, help="what is planted (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=Case.batch, help="ratings a step (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=Case.seed, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("results/youtube_size.md"), help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    case = Case(tuple(chosen.shape), chosen.nonzeros, chosen.operation, batch=chosen.batch, seed=chosen.seed)
    command = shlex.join([*parser.prog.split(), *(sys.argv[1:] if arguments is None else arguments)])
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(report(case, search(case), command), encoding="utf-8")
    print(chosen.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
