"""Read thousands of malformed inputs with everything that reads what a user hands in, and report what went wrong.

Run as `python -m automl_cf.benchmarks.fuzz --inputs 10000 --seed 1`; writes fuzz.md, and keeps the inputs that are
findings. An input is right where it is accepted, or refused with one line by an AutomlCfError. Any other error, more
than 5 s of CPU time, more memory than 256 MiB and 100 bytes for each byte of the input, a file written outside of the
input's folder or read from a forbidden one, pickles, and code that is compiled or executed are findings.
"""

import argparse
import json
import os
import platform
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from automl_cf.benchmarks.fuzz.guard import BASE, FACTOR, SECONDS
from automl_cf.benchmarks.fuzz.subjects import SUBJECTS, Subject, made, write
from automl_cf.benchmarks.fuzz.worker import examples_in

FOLDER = Path("results/faults")
SILENCE = 300.0  # seconds without a line, after which a worker counts as hanging although it takes no CPU time
KEPT = 10  # inputs of one finding

_VERSIONS = ("automl-cf", "numpy", "pandas", "pyarrow", "orjson", "pydantic", "safetensors", "torch")


@dataclass
class Tally:
    """What became of a subject's inputs; `findings` are their numbers by what went wrong."""

    name: str
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    peak: int = 0  # bytes
    slowest: float = 0.0
    seconds: float = 0.0

    def add(self, number: int, verdict: str, detail: str, taken: int = 0, seconds: float = 0.0) -> None:
        """Take in how an input was read."""
        self.verdicts[verdict] += 1
        self.peak, self.slowest = max(self.peak, taken), max(self.slowest, seconds)
        if verdict == "finding":
            self.findings.setdefault(_kind(detail), []).append((number, detail))


def campaign(subject: Subject, numbers: Sequence[int], seed: int, place: Path, seconds: float = SECONDS) -> Tally:
    """Read the inputs with these numbers in worker processes, a new one after each that died."""
    tally, start = Tally(subject.name), time.monotonic()
    left = list(numbers)
    while left:
        begun, done, deadly = False, 0, "the worker ended"
        process = _worker(subject, left, seed, place, seconds)
        for line in _lines(process):
            said = json.loads(line)
            begun |= len(said) > 0
            if len(said) > 1:
                tally.add(*said)
                done += 1
        code = process.wait()
        left = left[done:]
        if code == 0 and not left:
            break
        if code == 1 or not begun:  # it is the campaign that is wrong
            why = "" if process.stderr is None else process.stderr.read()[-2000:]
            raise RuntimeError(f"the worker of '{subject.name}' fails with status {code}: {why}")
        if code == -signal.SIGPROF:
            deadly = f"a hang: more than {seconds:g} s of CPU time"
        elif code < 0:
            deadly = f"the process died of {signal.Signals(-code).name}"
        if left:
            tally.add(left[0], "finding", deadly, 0, seconds if code == -signal.SIGPROF else 0.0)
            left = left[1:]
    tally.seconds = time.monotonic() - start
    return tally


def _worker(
    subject: Subject, numbers: Sequence[int], seed: int, place: Path, seconds: float
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "automl_cf.benchmarks.fuzz.worker", subject.name, str(seed), str(place)]
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    environment |= {"MALLOC_TRIM_THRESHOLD_": "1000000", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [*command, str(seconds), *_ranges(numbers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if os.environ.get("FUZZ_STDERR") is None else None,
        text=True,
        env=environment,
    )


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    """Numbers as texts, those that follow each other as first-last."""
    start = 0
    for i in range(1, len(numbers) + 1):
        if i == len(numbers) or numbers[i] != numbers[i - 1] + 1:
            yield f"{numbers[start]}-{numbers[i - 1]}"
            start = i


def _lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    """The lines that a worker writes; it is ended where it is silent for long."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        rest = ""
        while True:
            if not selector.select(SILENCE):
                process.kill()
                return
            text = os.read(process.stdout.fileno(), 1 << 16).decode()
            if not text:
                return
            *lines, rest = (rest + text).split("\n")
            yield from lines


def _kind(detail: str) -> str:
    """What findings of one kind have in common: the error and its place, not the values."""
    head = detail.partition(": ")[0]
    return "memory" if " MiB of memory" in head else head


def keep(tally: Tally, seed: int, place: Path, folder: Path) -> None:
    """Write the inputs of findings, some of each kind, with what went wrong."""
    subject = SUBJECTS[tally.name]
    examples = examples_in(place, subject)
    for found in tally.findings.values():
        for number, detail in found[:KEPT]:
            target = folder / "fuzz" / tally.name / f"{seed}-{number}"
            write(made(subject, examples, seed, number)[0], target)
            (target / "finding").write_text(detail + "\n", encoding="utf-8", errors="replace")


def report(tallies: Sequence[Tally], arguments: argparse.Namespace) -> str:
    """The campaign in Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    command = f"python -m automl_cf.benchmarks.fuzz --inputs {arguments.inputs} --seed {arguments.seed}"
    command += "".join(f" --fewer {name}={count}" for name, count in arguments.fewer)
    command += "".join(f" --parser {name}" for name in arguments.parser or ())
    lines = [
        "# Malformed inputs",
        f"By `{command}`, on {platform.system()} with {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"{versions}.",
        "An input is right where it is accepted, or refused by one sentence. A finding is anything else: another "
        f"error, more than {arguments.seconds:g} s of CPU time, more memory than {BASE >> 20} MiB and {FACTOR} bytes "
        "for each byte of the input, a file that is written outside of the input's folder or read where it must not, "
        "a pickle, a connection, a process, or code that is compiled or executed. The peak of memory is what reading "
        "one input took beyond what the process had.",
        "",
    ]
    rows = ["| parser | what it reads | inputs | accepted | refused | findings | peak MiB | slowest s | seconds |"]
    rows.append("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for tally in tallies:
        counts = (tally.verdicts[verdict] for verdict in ("accepted", "refused", "finding"))
        numbers = [sum(tally.verdicts.values()), *counts, f"{tally.peak / 2**20:.0f}", f"{tally.slowest:.2f}"]
        cells = (tally.name, SUBJECTS[tally.name].what, *map(str, numbers), f"{tally.seconds:.0f}")
        rows.append(f"| {' | '.join(cells)} |")
    found = [
        f"- {tally.name}, {len(numbers)} inputs, such as {numbers[0][0]}: `{' '.join(numbers[0][1].split())[:300]}`"
        for tally in tallies
        for numbers in tally.findings.values()
    ]
    return "\n\n".join(lines[:-1]) + "\n\n" + "\n".join([*rows, *(["", "Findings:", "", *found] if found else []), ""])


def _count_of(text: str) -> tuple[str, int]:
    """Read PARSER=N; raises ValueError for anything else, which argparse explains."""
    name, _, count = text.partition("=")
    if name not in SUBJECTS:
        raise ValueError(name)
    return name, int(count)


def main() -> int:
    """Run the campaigns; 1 with findings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="for each parser")
    parser.add_argument(
        "--fewer", type=_count_of, action="append", default=[], metavar="PARSER=N", help="of a slow one"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parser", action="append", choices=list(SUBJECTS), help="only this one; may be repeated")
    parser.add_argument("--only", type=int, help="only the input of this number")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of CPU time that an input may take")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    tallies = []
    for name in arguments.parser or SUBJECTS:
        subject = SUBJECTS[name]
        inputs = dict(arguments.fewer).get(name, arguments.inputs)
        numbers = range(inputs) if arguments.only is None else [arguments.only]
        with TemporaryDirectory() as place:
            tally = campaign(subject, numbers, arguments.seed, Path(place), arguments.seconds)
            keep(tally, arguments.seed, Path(place), arguments.out)
        tallies.append(tally)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(tally.verdicts.items()))
        print(
            f"{name}: {counts}; {tally.seconds:.0f} s, peak {tally.peak >> 20} MiB, slowest {tally.slowest:.2f} s",
            flush=True,
        )
        for kind, found in tally.findings.items():
            print(f"  {len(found)} x {kind:.150}, such as {found[0][0]}: {' '.join(found[0][1].split()):.300}")
        if arguments.only is None:  # after each, since all take long
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / "fuzz.md").write_text(report(tallies, arguments), encoding="utf-8")
    return int(any(tally.findings for tally in tallies))


if __name__ == "__main__":
    raise SystemExit(main())
