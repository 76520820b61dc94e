"""A study that runs in seconds, and how to run it in another process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from automl_cf.events import Event, effective, read_events
from automl_cf.suite.study import Study, make_study

PLANTED = {
    "name": "planted",
    "options": {"users": 60, "items": 40, "density": 0.4, "operation": "multiply", "dim": 4},
}


def small_study(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "name": "small",
        "datasets": [PLANTED],
        "searchers": ["bias-only", "random", "bayes", "sif", "sif-robust"],
        "dims": [4],
        "seeds": [1],
        "budget": {"trials": 6, "visits": 400_000},
        "training": {"max_epochs": 8, "batch_size": 256, "l2_grid": [0.0, 1e-4]},
        "scoring": {"points": 2},
        "resources": {"backend": "inline"},
    }
    return make_study({**values, **changes})


def counted_events(folder: Path) -> list[Event]:
    return effective(read_events(folder / "events.jsonl"))


def trajectory(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Per cell, everything of its search that does not depend on a clock."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for event in counted_events(folder):
        if event["kind"] == "trial":
            row = ("trial", event["number"], event["id"], event["rmse"], event["trial_visits"])
        elif event["kind"] == "incumbent":
            row = ("incumbent", event["id"], event["rmse"], event["source"])
        elif event["kind"] in ("cell_finished", "cell_failed"):
            row = (event["kind"], event.get("reason"))
        else:
            continue
        rows.setdefault(event["cell"], []).append(row)
    return rows


def start_process(study: Study, folder: Path, verb: str = "start") -> "subprocess.Popen[bytes]":
    """`start` or `resume` a run in another process."""
    code = (
        "import sys, json; from pathlib import Path; from automl_cf.suite import run; "
        "from automl_cf.suite.study import make_study; "
        "study = make_study(json.loads(sys.argv[1])); folder = Path(sys.argv[2]); "
        "run.start(study, folder) if sys.argv[3] == 'start' else run.resume(folder)"
    )
    return subprocess.Popen([sys.executable, "-c", code, study.model_dump_json(), str(folder), verb])
