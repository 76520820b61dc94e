"""Measurement `compiling`: what the first use of the fused engine costs, with and without Numba's cache."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from automl_cf.benchmarks.speed.records import Record, setting
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.subjects import FUSED

COMPILED, CACHED = "first use", "from the cache"

_SCRIPT = """
import time
from automl_cf.cf.fused import warm_up
start = time.perf_counter()
warm_up(8, "float32")
print(time.perf_counter() - start)
"""


def _warm_up(cache: str) -> float:
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure_compiling(scope: Scope) -> Iterator[Record]:
    """Seconds of `warm_up` for dimension 8 in a new process, its imports not counted."""
    at = setting(dim=8, precision="float32")
    for number in range(scope.pick(3, 1)):
        with tempfile.TemporaryDirectory() as cache:
            for quantity in (COMPILED, CACHED):
                scope.say(f"compiling: {quantity}, round {number + 1}")
                yield Record("compiling", FUSED, at, number, quantity, _warm_up(cache))
