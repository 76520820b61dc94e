"""The manifest: what a run ran on and with, enough to run it again with nothing else but its plug-ins and its data."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from automl_cf.cf.data import Dataset
from automl_cf.errors import InputError
from automl_cf.suite.shipping import code_fingerprint
from automl_cf.suite.store import MANIFEST_NAME, STUDY_NAME
from automl_cf.suite.study import Study, make_study

RESOLVED = "resolved_study"  # the key of the study with all its defaults

# What results can depend on: what draws, computes, proposes or reads ratings. Those of extras may be missing.
_PACKAGES = (
    "automl-cf",
    "torch",
    "numba",
    "ray",
    "hyperopt",
    "optuna",
    "numpy",
    "scipy",
    "pandas",
    "llvmlite",
    "cmaes",
    "scikit-learn",
    "pyarrow",
    "smac",
    "ConfigSpace",
    "myfm",
    "scikit-surprise",
)

# Environment variables that change the number of threads, the instructions used, or an order.
_VARIABLES = re.compile(
    r"(OMP|OPENBLAS|MKL|BLIS|VECLIB|NUMEXPR|KMP|GOMP|NUMBA|ATEN|NPY|CUBLAS)_\w+|CUDA_VISIBLE_DEVICES|PYTHONHASHSEED"
)
_SECONDS = 10  # that git may take


def make_manifest(
    study: Study, folder: Path, datasets: Mapping[str, Dataset], splits: Mapping[str, str]
) -> dict[str, Any]:
    """Code, versions, hardware, hashes of data and of `splits`, the resolved study, and the exact commands."""
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": shlex.join(["automl-cf", *sys.argv[1:]]),
        "rerun": f"automl-cf run {folder / STUDY_NAME}",
        "study": study.name,
        "code": code(),
        "versions": versions(),
        "machine": machine(),
        "environment": environment(),
        "datasets": {
            title: {"name": d.name, "sha256": d.sha256, "source": d.source, "ratings": len(d.ratings)}
            for title, d in datasets.items()
        },
        "splits": dict(splits),
        "plugins": {Path(plugin.file).name: plugin.sha256 for plugin in study.plugins},
        "packages": packages(),
        RESOLVED: study.model_dump(mode="json"),
    }


def code() -> dict[str, Any]:
    """What this package is: its fingerprint and, where it lies in a git checkout, the commit and whether it is edited.

    `edited` is true where a tracked file of the package's differs from the commit or an untracked one stands beside
    them. Both are None where the package is not of a checkout, or git does not tell.
    """
    return {"fingerprint": code_fingerprint(), **_git()}


@cache
def _git() -> dict[str, Any]:
    unknown = {"commit": None, "edited": None}
    folders = _folders()
    # A checkout of something else may hold the environment that the package is installed in: its commit says nothing.
    if _asked(folders[0], "ls-files", "--error-unmatch", "__init__.py") is None:
        return unknown
    commit, changed = _asked(folders[0], "rev-parse", "HEAD"), _asked(folders[0], "status", "--porcelain", *folders)
    return unknown if commit is None or changed is None else {"commit": commit.strip(), "edited": bool(changed)}


def _folders() -> list[str]:
    """Where the package's code lies."""
    specs = [find_spec(name) for name in ("automl_cf", "automl_cf.searchers", "automl_cf.spaces")]
    return [str(Path(spec.origin).parent) for spec in specs if spec is not None and spec.origin is not None]


def _asked(folder: str, *arguments: str) -> str | None:
    """What git says; None where there is no git, or it refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def versions() -> dict[str, str]:
    """The versions that results depend on; without those of extras that are not installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def packages() -> dict[str, str]:
    """All installed distributions with their versions, by name."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def machine() -> dict[str, Any]:
    """The hardware, as far as the standard library tells."""
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def environment() -> dict[str, str]:
    """The environment variables that are set and that numbers may depend on."""
    return {name: value for name, value in sorted(os.environ.items()) if _VARIABLES.fullmatch(name)}


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def read_manifest(folder: Path) -> dict[str, Any]:
    """A run's manifest; empty where the run has none. Raises InputError where it cannot be read."""
    path = folder / MANIFEST_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"'{path}' is not valid JSON: {error}.") from error
    if not isinstance(values, dict):
        raise InputError(f"'{path}' must be an object, as a run writes it, not a {type(values).__name__}.")
    return values


def study_of(path: Path) -> Study | None:
    """The study that the manifest at `path` is of, with the copies of its plug-ins beside it; None for another file.

    Raises InputError where the manifest is an older run's, which has no study in it, or the study is not valid.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    if not isinstance(values.get(RESOLVED), dict):
        if path.name == MANIFEST_NAME:
            raise InputError(
                f"'{path}' has no '{RESOLVED}', since an older version wrote it; run the {STUDY_NAME} beside it."
            )
        return None
    study = make_study(values[RESOLVED], f"{path}, {RESOLVED}")
    found = [entry.model_copy(update={"file": str(path.parent / entry.file)}) for entry in study.plugins]
    return study.model_copy(update={"plugins": tuple(found)})
