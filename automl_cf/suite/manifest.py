"""The manifest: what a run ran on and with, enough to repeat it."""

import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from automl_cf.cf.data import Dataset
from automl_cf.cf.splits import Split
from automl_cf.suite.store import STUDY_NAME
from automl_cf.suite.study import Study

_PACKAGES = ("automl-cf", "torch", "numba", "ray", "hyperopt", "optuna", "numpy", "scipy", "pandas")


def make_manifest(
    study: Study, folder: Path, datasets: Mapping[str, Dataset], splits: Mapping[str, Split]
) -> dict[str, Any]:
    """Versions, hardware, hashes of data and splits, and the exact commands."""
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": shlex.join(["automl-cf", *sys.argv[1:]]),
        "rerun": f"automl-cf run {folder / STUDY_NAME}",
        "study": study.name,
        "versions": versions(),
        "machine": machine(),
        "datasets": {
            title: {"name": d.name, "sha256": d.sha256, "source": d.source, "ratings": len(d.ratings)}
            for title, d in datasets.items()
        },
        "splits": {key: split.hash for key, split in splits.items()},
        "plugins": {Path(plugin.file).name: plugin.sha256 for plugin in study.plugins},
    }


def versions() -> dict[str, str]:
    """The versions that results depend on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}


def machine() -> dict[str, Any]:
    """The hardware, as far as the standard library tells."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
