"""When, how and on what each measurement was made: about.json, beside the numbers."""

import json
import shlex
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from automl_cf.analysis.output import whole_file
from automl_cf.benchmarks.speed import surprise_svd
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.suite.manifest import machine, versions

About = dict[str, dict[str, Any]]
"""By measurement."""


def about(scope: Scope) -> dict[str, Any]:
    """What belongs to a measurement that ends now."""
    surprise = {"scikit-surprise": metadata.version("scikit-surprise")} if surprise_svd.installed() else {}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": shlex.join(["python", "-m", "automl_cf.benchmarks.speed", *sys.argv[1:]]),
        "quick": scope.quick,
        "skipped": list(scope.skipped),
        "machine": machine(),
        "versions": versions() | surprise,
    }


def read(path: Path) -> About:
    """What an earlier run left; nothing if there is none."""
    found: About = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write(path: Path, content: About) -> None:
    """Write the file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
