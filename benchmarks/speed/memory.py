"""Measurement `memory`: the most memory that a process held, after imports and after training on a data set.

Each data set has a process of its own: `python -m automl_cf.benchmarks.speed.memory NAME` prints both as JSON.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from automl_cf.benchmarks.speed.records import Record, setting
from automl_cf.benchmarks.speed.scope import Scope

_EPOCHS = 3
_PLANTED = "planted-"


def peak() -> float:
    """The most memory that this process has held so far, in MB (10^6 bytes).

    On Linux by /proc: getrusage tells the parent's peak there if that was higher.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    """Load or plant, split, train a few epochs, and print the peaks."""
    from automl_cf.benchmarks.speed.cases import Case, candidate, named, planted
    from automl_cf.benchmarks.speed.subjects import fused_epochs

    imports = peak()
    name = sys.argv[1]
    data = planted(int(name.removeprefix(_PLANTED))) if name.startswith(_PLANTED) else named(name)
    fused_epochs(Case(data, candidate(), batch=2048), _EPOCHS, seed=0)
    print(json.dumps({"imports": imports, "peak": peak()}))


def measure_memory(scope: Scope) -> Iterator[Record]:
    """ml-100k, ml-1m and planted data of 10,000,000 ratings, on the fused engine."""
    names = ("ml-100k", "ml-1m", f"{_PLANTED}{10**7}")
    for name in scope.pick(names, (f"{_PLANTED}{10**4}",)):
        scope.say(f"memory: {name}")
        command = [sys.executable, "-m", "automl_cf.benchmarks.speed.memory", name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            scope.skip(f"memory of {name}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
            continue
        for quantity, megabytes in json.loads(done.stdout).items():
            yield Record("memory", "fused engine", setting(data=name), 0, quantity, megabytes)


if __name__ == "__main__":
    main()
