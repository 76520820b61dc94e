"""How many candidates per second the batched engine trains on a GPU, against one candidate at a time.

Run as `python -m automl_cf.benchmarks.gpu`; writes gpu.csv and gpu.md to results/gpu. Candidates are random ones of the
paper's space, trained from one initialisation by the common protocol with its early stopping, so that the last of a
batch train on in small company, as they would in a search. One at a time means the reference engine on the same device,
with the first candidates of the same list. Every measurement follows a warm-up of one epoch on the same candidates, and
ends when the device has nothing left to do.
"""

import argparse
import csv
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from automl_cf.cf.batched import Candidate, train_batched
from automl_cf.cf.data import load
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.splits import SearchData, random_split
from automl_cf.cf.training import Fit, Training
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.spaces.interaction import interaction_space
from automl_cf.suite.cell import synchronize
from automl_cf.suite.streams import stream

ONE_AT_A_TIME = 4  # candidates that the reference engine trains, to be compared with
TRAINING = Training()


@dataclass(frozen=True)
class Measurement:
    """The trainings of so many candidates: how long they took, and how many epochs they had in all."""

    dataset: str
    engine: str
    candidates: int
    seconds: float
    epochs: int

    @property
    def rate(self) -> float:
        """Candidates per second."""
        return self.candidates / self.seconds


def name_of(device: str) -> str:
    """What the device is called. Raises InputError if it is not there."""
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:  # torch raises either, by how it was built
        raise InputError(
            f"--device is '{device}', but must be one that PyTorch {torch.__version__} can use here, such as cpu."
        ) from error
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def random_candidates(count: int) -> list[Candidate]:
    """Random architectures of the paper's space with the search's l2, the same first ones for every count."""
    space, rng, init = interaction_space(), np.random.default_rng(stream("searcher", 0)), stream("init", 0)
    return [Candidate(space.sample(rng), TRAINING.search_l2, init) for _ in range(count)]


def measure(
    dataset: str, data: SearchData, counts: Sequence[int], dim: int, epochs: int | None, device: str
) -> list[Measurement]:
    """One candidate at a time first, then the batches."""

    def singly(candidates: Sequence[Candidate], epochs: int | None) -> list[Fit]:
        return [
            train_interaction(
                candidate.architecture,
                data,
                TRAINING,
                dim=dim,
                l2=candidate.l2,
                rng=np.random.default_rng(candidate.seed),
                meter=NullMeter(),
                device=device,
                epochs=epochs,
            )
            for candidate in candidates
        ]

    def batched(candidates: Sequence[Candidate], epochs: int | None) -> list[Fit]:
        return train_batched(candidates, data, TRAINING, dim=dim, meter=NullMeter(), device=device, epochs=epochs)

    def timed(engine: str, train: Callable[[Sequence[Candidate], int | None], list[Fit]], count: int) -> Measurement:
        candidates = random_candidates(count)
        train(candidates, 1)
        synchronize(device)
        began = time.perf_counter()
        fits = train(candidates, epochs)
        synchronize(device)
        seconds = time.perf_counter() - began
        made = Measurement(dataset, engine, count, seconds, sum(fit.epochs for fit in fits))
        print(f"{dataset}: {engine}, {count} candidates: {made.rate:.3g} per second", flush=True)
        return made

    singles = timed("reference", singly, min(ONE_AT_A_TIME, max(counts)))
    return [singles, *(timed("batched", batched, count) for count in counts)]


def write(folder: Path, setting: str, measurements: Sequence[Measurement]) -> None:
    """Write gpu.csv and gpu.md."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "gpu.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dataset", "engine", "candidates", "seconds", "epochs", "candidates_per_second"])
        for m in measurements:
            writer.writerow([m.dataset, m.engine, m.candidates, f"{m.seconds:.4f}", m.epochs, f"{m.rate:.5g}"])
    lines = [
        "# Candidates per second",
        "",
        f"Written by {setting}",
        "`benchmarks/gpu.py` says what is measured and how.",
        "",
        "| Data set | Engine | Candidates | Seconds | Epochs in all | Candidates per second | Times one at a time |",
        "|" + " --- |" * 7,
    ]
    singles = {m.dataset: m for m in measurements if m.engine == "reference"}
    for m in measurements:
        engine = "reference, one at a time" if m.engine == "reference" else m.engine
        times = m.rate / singles[m.dataset].rate
        cells = (m.dataset, engine, m.candidates, f"{m.seconds:.2f}", m.epochs, f"{m.rate:.3g}", f"{times:.1f}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    (folder / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; the status is that of the error, if there is one."""
    parser = argparse.ArgumentParser(
        prog="python -m automl_cf.benchmarks.gpu", description="Measure candidates per second on a GPU."
    )
    parser.add_argument("--device", default="cuda", help="(default: %(default)s)")
    parser.add_argument("--datasets", nargs="+", default=["ml-100k", "ml-1m"], help="(default: ml-100k ml-1m)")
    parser.add_argument("--candidates", nargs="+", type=int, default=[1, 8, 64, 256], help="(default: 1 8 64 256)")
    parser.add_argument("--dim", type=int, default=8, help="of the embeddings (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="at most (default: those of the common protocol)")
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        device = name_of(chosen.device)
        measurements = []
        for dataset in chosen.datasets:
            data = random_split(load(dataset).ratings, 0).for_search()
            measurements += measure(dataset, data, chosen.candidates, chosen.dim, chosen.epochs, chosen.device)
    except AutomlCfError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    command = " ".join([parser.prog, *(sys.argv[1:] if arguments is None else arguments)])
    setting = f"`{command}` on {device} with PyTorch {torch.__version__}, dimension {chosen.dim}."
    write(chosen.out, setting, measurements)
    print((chosen.out / "gpu.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
