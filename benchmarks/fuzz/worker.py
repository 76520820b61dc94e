"""Reads many inputs one after the other in a process of its own, and says of each how it went, one line of JSON each.

`python -m automl_cf.benchmarks.fuzz.worker SUBJECT SEED PLACE SECONDS NUMBER...`: PLACE is a folder with a folder
`examples` of the subject's examples, which are made where there are none.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from automl_cf.benchmarks.fuzz.guard import ForbiddenError, Guard, Memory, bound, limited
from automl_cf.benchmarks.fuzz.mutate import Files
from automl_cf.benchmarks.fuzz.subjects import SUBJECTS, Subject, made, outcome, prepare, write

INSIDE, OUTSIDE, SECRET = "inside", "outside", "secret.txt"


def examples_in(place: Path, subject: Subject) -> list[Files]:
    """The subject's examples, made only once."""
    folder = place / "examples"
    if not folder.exists():
        for number, files in enumerate(subject.examples()):
            write(files, place / "making" / str(number))
        (place / "making").rename(folder)
    numbered = sorted(folder.iterdir(), key=lambda example: int(example.name))
    return [{file.name: file.read_bytes() for file in sorted(example.iterdir())} for example in numbered]


class Reader:
    """Reads inputs in a folder of its own, under guard."""

    def __init__(self, place: Path, subject: Subject, seconds: float) -> None:
        self.subject, self._place, self._seconds = subject, place, seconds
        self._inside = place / INSIDE
        outside = place / OUTSIDE
        for folder in (self._inside, outside):
            folder.mkdir(parents=True, exist_ok=True)
        (outside / SECRET).write_text("secret\n", encoding="utf-8")
        self.examples = examples_in(place, subject)
        os.environ["HOME"] = os.environ["TMPDIR"] = os.environ["AUTOML_CF_DATA"] = str(self._inside)
        os.chdir(self._inside)
        prepare(subject, self.examples, place / "beside")
        self._guard, self._memory = Guard(self._inside, outside), Memory()
        self._around = self._listing()

    def warm_up(self, sign: Callable[[], object]) -> None:
        """Read the examples, so that what is imported and compiled at first use is there; a sign of life after each.

        Each must be accepted in some way of reading it: some readings are with options that fit another example.
        """
        for number, files in enumerate(self.examples):
            results = [self._read(files, again, guarded=False) for again in range(3)]
            if not any(verdict == "accepted" for verdict, *_ in results):
                raise RuntimeError(f"{self.subject.name}: example {number} is never accepted: {results[0]}")
            sign()

    def read(self, seed: int, number: int) -> tuple[str, str, int, float]:
        """How the input of that number was read: the outcome, what was said, bytes and seconds that it took."""
        files, _ = made(self.subject, self.examples, seed, number)
        return self._read(files, number, guarded=True)

    def _read(self, files: Files, number: int, guarded: bool) -> tuple[str, str, int, float]:
        import random

        folder = self._inside / "input"
        shutil.rmtree(folder, ignore_errors=True)
        write(files, folder)
        size = sum(map(len, files.values()))
        rng = random.Random(number)
        self._memory.before()
        start = time.perf_counter()
        try:
            if guarded:
                with limited(size, self._seconds), self._guard.at_work():
                    verdict, detail = outcome(self.subject, folder, rng)
            else:
                verdict, detail = outcome(self.subject, folder, rng)
        except ForbiddenError as error:
            verdict, detail = "finding", f"forbidden: {error}"
        seconds = time.perf_counter() - start
        taken = self._memory.after()
        if guarded and taken > bound(size):
            verdict, detail = "finding", f"{taken >> 20} MiB of memory for {size} bytes; {verdict}: {detail:.200}"
        if (around := self._listing()) != self._around:
            verdict, detail = "finding", f"files beside its folder changed: {sorted(around ^ self._around)!r:.200}"
            self._around = around
        return verdict, detail, taken, seconds

    def _listing(self) -> set[tuple[str, int, int]]:
        """What lies beside the folder in which an input is read."""
        found = set()
        for folder in (self._place, self._place / OUTSIDE):
            for entry in os.scandir(folder):
                if entry.is_file(follow_symlinks=False):
                    known = entry.stat(follow_symlinks=False)
                    found.add((entry.path, known.st_size, known.st_mtime_ns))
                elif entry.name not in (INSIDE, "examples", "making", "beside", OUTSIDE):
                    found.add((entry.path, 0, 0))
        return found


def main(arguments: Sequence[str]) -> None:
    """Read the inputs with these numbers."""
    name, seed, place, seconds, *numbers = arguments
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # what a reader prints is not for whoever reads our lines
    sys.setrecursionlimit(1000)
    reader = Reader(Path(place), SUBJECTS[name], float(seconds))
    reader.warm_up(lambda: out.write("[]\n"))
    for text in numbers:
        first, _, last = text.partition("-")
        for number in range(int(first), int(last or first) + 1):
            out.write(f"[{number}]\n")
            verdict, detail, taken, spent = reader.read(int(seed), number)
            out.write(json.dumps([number, verdict, detail, taken, round(spent, 4)]) + "\n")
    out.close()
    os._exit(0)  # not by way of what a library may wait for


if __name__ == "__main__":
    main(sys.argv[1:])
