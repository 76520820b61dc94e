"""The fault campaign: runs are killed at random moments, gone on with, and compared with one that was left alone.

python -m automl_cf.benchmarks.faults --kills 200 --seed 1 --out results/faults

Each episode is a short study (trial and visit budgets) under the inline backend with a process per cell, or under Ray.
Its driver, a process of a cell, a worker of Ray, the raylet or the process that drives Ray gets SIGKILL at a random
moment, again and again; the run goes on by itself or by `automl-cf resume`. At the end nothing that was in the log may
be missing or there twice, and every trajectory and score must be that of the study that nobody disturbed. Exits with 1
if not.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from automl_cf.benchmarks.circumstances import circumstances
from automl_cf.events import Event, effective, read_events

STUDY: dict[str, Any] = {
    "name": "faults",
    "datasets": [{"name": "planted", "options": {"users": 300, "items": 200, "density": 0.2, "dim": 4}}],
    "searchers": ["random", "evolution", "optuna-tpe", "sif", "bias-only"],
    "dims": [4],
    "seeds": [1, 2],
    "budget": {"trials": 40, "visits": 3_000_000},
    "training": {"max_epochs": 6, "batch_size": 256, "l2_grid": [0.0, 1e-4]},
    "scoring": {"points": 2},
}
BACKENDS: dict[str, dict[str, Any]] = {
    "inline": {"resources": {"backend": "inline"}, "limits": {"isolation": "process"}},
    "ray": {"resources": {"backend": "ray", "workers": 2}},
}
VICTIMS = {
    "inline": ("driver", "process of a cell"),
    "ray": ("driver", "process of a cell", "worker", "raylet", "process that drives Ray"),
}

# What `automl-cf run` and `resume` do, without the report at the end.
_DRIVER = """
import sys
from pathlib import Path
from automl_cf.suite import run
verb, study, folder = sys.argv[1:]
run.start(run.read_study(study), Path(folder)) if verb == "start" else run.resume(Path(folder))
"""

_KILLS = 8  # at most, of an episode
_LINES = 40  # of the log, at most, between two of them
_EARLY = 0.15  # of the kills come at any time after the start, however little has been written
_LATEST = 12.0  # seconds
_LINGERS = 90.0  # seconds: Ray's agents take one minute of them to miss their raylet
_HANGS = 600.0  # seconds without an end: the run does not go on


@dataclass
class Outcome:
    """What an episode came to; everything but `kills` and `resumes` should be nothing."""

    backend: str
    kills: Counter[str] = field(default_factory=Counter)
    resumes: int = 0
    lost: int = 0  # durable lines of the log that were no more there, or others
    duplicated: int = 0  # trials, scores and ends of cells that count twice
    different: int = 0  # cells whose trajectory or scores are others
    incomplete: int = 0  # cells without an end or without their scores
    left: int = 0  # processes that outlived their driver by more than `_LINGERS`
    problems: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How much went wrong."""
        return self.lost + self.duplicated + self.different + self.incomplete + self.left + len(self.problems)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign and write its result; the exit status."""
    parser = argparse.ArgumentParser(description="Kill runs at random, go on with them, compare.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    start = time.time()
    outcomes = campaign(options.kills, options.seed)
    text = report(outcomes, options.kills, options.seed, time.time() - start)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "faults.md").write_text(text, encoding="utf-8")
    return int(any(outcome.faults for outcome in outcomes))


def campaign(kills: int, seed: int, backends: Sequence[str] = ("inline", "ray")) -> list[Outcome]:
    """At least so many kills, shared among the backends, which are put to it side by side."""
    with tempfile.TemporaryDirectory(prefix="automl-cf-faults-") as name:
        scratch = Path(name)
        undisturbed = _Run(scratch / "undisturbed", "inline")
        undisturbed.go_on()
        if undisturbed.wait() != 0:
            raise SystemExit(f"the undisturbed run failed: {undisturbed.said()}")
        truth = _Result(scratch / "undisturbed")
        shares = [kills // len(backends) + (i < kills % len(backends)) for i in range(len(backends))]
        with ThreadPoolExecutor(len(backends)) as pool:
            found = pool.map(
                lambda backend, share, i: _episodes(
                    scratch / backend, backend, share, random.Random(seed * 97 + i), truth
                ),
                backends,
                shares,
                range(len(backends)),
            )
            return [outcome for outcomes in found for outcome in outcomes]


def _episodes(folder: Path, backend: str, kills: int, rng: random.Random, truth: "_Result") -> list[Outcome]:
    outcomes: list[Outcome] = []
    while (done := sum(sum(outcome.kills.values()) for outcome in outcomes)) < kills:
        outcome = _episode(folder / str(len(outcomes)), backend, min(_KILLS, kills - done), rng, truth)
        outcomes.append(outcome)
        print(f"{backend} {len(outcomes)}: {dict(outcome.kills)}, {outcome.faults} faults", file=sys.stderr, flush=True)
    return outcomes


def _episode(folder: Path, backend: str, kills: int, rng: random.Random, truth: "_Result") -> Outcome:
    """One study from its beginning to its end, with up to `kills` kills."""
    outcome = Outcome(backend)
    run = _Run(folder, backend)
    run.go_on()
    while sum(outcome.kills.values()) < kills and run.wait_for_more(rng):
        victim = rng.choice(VICTIMS[backend])
        before = run.whole_lines()
        if not run.kill(victim):
            continue
        outcome.kills[victim] += 1
        if victim == "driver":
            outcome.left += run.left_over()
            outcome.resumes += 1
            run.go_on()
        outcome.lost += run.missing(before)
    while (status := run.wait()) != 0:
        if status is None or outcome.resumes > 3 * kills + 3:
            outcome.problems.append(f"it did not come to its end: {run.said()}")
            run.kill("driver")
            break
        if "automl-cf resume" not in run.said():
            outcome.problems.append(f"exit status {status} without a word on how to go on: {run.said()}")
        outcome.resumes += 1
        run.go_on()
    _Result(folder).compare(truth, outcome)
    return outcome


class _Run:
    """A run's folder, and the process that works on it."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.folder = folder
        self.log = folder / "events.jsonl"
        self.study = folder.parent / f"{folder.name}.json"
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.study.write_text(json.dumps(STUDY | BACKENDS[backend]), encoding="utf-8")
        self.output = folder.parent / f"{folder.name}.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.family: list[psutil.Process] = []

    def go_on(self) -> None:
        """Start the run, or resume it if there is one."""
        verb = "resume" if (self.folder / "study.json").exists() else "start"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _DRIVER, verb, str(self.study), str(self.folder)],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.started = time.monotonic()
        self.lines = self.whole_lines().count(b"\n")

    def wait(self) -> int | None:
        """The exit status at its end; None if there is none to be seen."""
        assert self.process is not None
        try:
            return self.process.wait(_HANGS)
        except subprocess.TimeoutExpired:
            return None

    def wait_for_more(self, rng: random.Random) -> bool:
        """Wait for a random moment; False if the run ends before."""
        assert self.process is not None
        early, lines = rng.random() < _EARLY, self.lines + rng.randint(1, _LINES)
        moment = self.started + rng.uniform(0, _LATEST)
        while self.process.poll() is None:
            if time.monotonic() >= moment if early else self.whole_lines().count(b"\n") >= lines:
                time.sleep(rng.uniform(0, 0.05))
                self.lines = self.whole_lines().count(b"\n")
                return self.process.poll() is None
            time.sleep(0.002)
        return False

    def whole_lines(self) -> bytes:
        """What the log holds, without a torn last line."""
        content = self.log.read_bytes() if self.log.exists() else b""
        return content[: content.rfind(b"\n") + 1]

    def missing(self, before: bytes) -> int:
        """How many of the lines that were there are not there any more, at their places."""
        now = self.whole_lines()
        if now.startswith(before):
            return 0
        return sum(a != b for a, b in zip(before.splitlines(), [*now.splitlines(), *[b""] * len(before)], strict=False))

    def kill(self, victim: str) -> bool:
        """SIGKILL to one of the run's processes; False if there is none such, or if a cell has just lost one.

        A second death of a trial's process would count against the trial, as is documented.
        """
        assert self.process is not None
        if victim == "process of a cell" and any(self._recovering()):
            return False
        self.family = self._family()
        chosen = [process for process in self.family if _is(process, victim)]
        if victim == "driver":
            chosen = [psutil.Process(self.process.pid)] if self.process.poll() is None else []
        if not chosen:
            return False
        random.Random(len(self.family)).choice(chosen).send_signal(signal.SIGKILL)
        if victim == "driver":
            self.process.wait()
        return True

    def left_over(self) -> int:
        """Wait for the processes of a killed driver to end by themselves; return how many had to be killed."""
        _, alive = psutil.wait_procs(self.family, timeout=_LINGERS)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=10)
        return len(alive)

    def said(self) -> str:
        """The end of what the process printed."""
        return " ".join(self.output.read_text(errors="replace")[-400:].split())

    def _family(self) -> list[psutil.Process]:
        assert self.process is not None
        try:
            return list(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.Error:
            return []

    def _recovering(self) -> Iterator[str]:
        """The cells that have not come any further since a process of theirs died."""
        waiting: set[str] = set()
        for event in read_events(self.log) if self.log.exists() else []:
            if event["kind"] == "process_died":
                waiting.add(event["cell"])
            elif event["kind"] in ("trial", "score", "checkpoint", "cell_finished"):
                waiting.discard(event["cell"])
        yield from waiting


def _is(process: psutil.Process, victim: str) -> bool:
    try:
        words = " ".join(process.cmdline())
        match victim:
            case "process of a cell":
                return "automl_cf.suite.child" in words
            case "worker":
                return words.startswith("ray::") and "ImplicitFunc" in words
            case "process that drives Ray":
                return "automl_cf.suite.ray_driver" in words
            case "raylet":
                return bool(process.name() == "raylet")
    except psutil.Error:
        pass
    return False


class _Result:
    """What a run came to, cell by cell, without anything that depends on a clock."""

    def __init__(self, folder: Path) -> None:
        self.trials: dict[str, list[Any]] = {}
        self.scores: dict[str, list[Any]] = {}
        self.ends: Counter[tuple[str, str]] = Counter()
        for event in effective(read_events(folder / "events.jsonl")):
            self._add(event)

    def _add(self, event: Event) -> None:
        cell, kind = event["cell"], event["kind"]
        if kind == "trial":
            row = (event["number"], event["id"], event["status"], event["rmse"], event["trial_visits"])
            self.trials.setdefault(cell, []).append(row)
        elif kind == "incumbent":
            self.trials.setdefault(cell, []).append((event["id"], event["rmse"], event["source"]))
        elif kind == "score":
            self.scores.setdefault(cell, []).append((event["id"], event["l2"], event["validation"], event["rmse"]))
        elif kind in ("cell_finished", "cell_scored"):
            self.ends[cell, kind] += 1

    def compare(self, truth: "_Result", outcome: Outcome) -> None:
        """Count what differs from the undisturbed run."""
        for end, count in truth.ends.items():
            outcome.incomplete += self.ends[end] < count
            outcome.duplicated += max(0, self.ends[end] - count)
        for cell, rows in truth.trials.items():
            own = self.trials.get(cell, [])
            outcome.duplicated += len(own) - len(set(own))
            outcome.different += own != rows or self.scores.get(cell) != truth.scores.get(cell)


def report(outcomes: Sequence[Outcome], kills: int, seed: int, seconds: float) -> str:
    """The campaign's result as Markdown."""
    lines = [
        "# Fault campaign",
        "",
        f"`python -m automl_cf.benchmarks.faults --kills {kills} --seed {seed} --out results/faults`",
        "",
        "| Backend | Episodes | Kills | of which | Resumed by hand | Durable lines lost | Counted twice | "
        "Cells that differ | Cells unfinished | Processes left over | Other problems |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for backend in BACKENDS:
        own = [outcome for outcome in outcomes if outcome.backend == backend]
        if own:
            killed = sum((outcome.kills for outcome in own), Counter[str]())
            what = ", ".join(f"{victim}: {killed[victim]}" for victim in VICTIMS[backend])
            sums = [
                sum(getattr(outcome, name) for outcome in own)
                for name in ("resumes", "lost", "duplicated", "different", "incomplete", "left")
            ]
            problems = sum(len(outcome.problems) for outcome in own)
            row = [backend, len(own), killed.total(), what, *sums, problems]
            lines.append("| " + " | ".join(map(str, row)) + " |")
    cells = len(STUDY["searchers"]) * len(STUDY["seeds"])
    lines += [
        "",
        f"Each episode is a study of {cells} cells ({', '.join(STUDY['searchers'])}; {STUDY['budget']['trials']} "
        f"trials or {STUDY['budget']['visits'] / 1e6:g} million visits), killed up to {_KILLS} times at random. "
        "Trials, incumbents and scores are compared, cell by cell, with those of a run that nobody disturbed.",
        "",
        *[f"- {outcome.backend}: {problem}" for outcome in outcomes for problem in outcome.problems],
        f"{seconds / 60:.0f} minutes. {circumstances()}",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
