"""The Ray backend does what the inline one does, and survives its workers."""

import os
import signal
import threading
from pathlib import Path

import pytest
from small_runs import counted_events, small_study, trajectory

from automl_cf.errors import InputError
from automl_cf.events import Event, read_events
from automl_cf.suite import run

RESOURCES = {"backend": "ray", "workers": 2}


@pytest.mark.slow
def test_the_same_trajectories_as_inline(tmp_path: Path) -> None:
    run.start(small_study(), tmp_path / "inline")
    run.start(small_study(resources=RESOURCES), tmp_path / "ray")
    assert trajectory(tmp_path / "ray") == trajectory(tmp_path / "inline")
    scores = [
        {(e["cell"], e["id"]): e["rmse"] for e in counted_events(tmp_path / name) if e["kind"] == "score"}
        for name in ("inline", "ray")
    ]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_that_was_durable(tmp_path: Path) -> None:
    """SIGKILL to the worker of a running cell: the cell is resumed, nothing is lost or done twice."""
    study = small_study(searchers=["random"], budget={"trials": 30}, resources={"backend": "ray", "workers": 1})
    folder = tmp_path / "killed"
    killed = threading.Event()

    def kill_worker(event: Event) -> None:
        if event["kind"] == "trial" and event["number"] == 9 and not killed.is_set():
            killed.set()
            for process in _workers():
                os.kill(process, signal.SIGKILL)

    run.start(study, folder, kill_worker)
    assert killed.is_set()
    run.start(small_study(searchers=["random"], budget={"trials": 30}), tmp_path / "inline")
    assert trajectory(folder) == trajectory(tmp_path / "inline")
    attempts = {e["attempt"] for e in read_events(folder / "events.jsonl") if e["kind"] == "trial"}
    assert len(attempts) == 2


@pytest.mark.slow
def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    room = [5]

    def full(descriptor: int, line: bytes) -> int:
        room[0] -= line.startswith(b'{"schema"')
        if room[0] < 0 and line.startswith(b'{"schema"'):
            raise OSError(28, "No space left on device")
        return real(descriptor, line)

    study = small_study(searchers=["random"], resources=RESOURCES)
    with monkeypatch.context() as patch:
        patch.setattr("automl_cf.suite.store.os.write", full)
        with pytest.raises(InputError, match="No space left"):
            run.start(study, tmp_path / "full")
    run.resume(tmp_path / "full")
    run.start(small_study(searchers=["random"]), tmp_path / "roomy")
    assert trajectory(tmp_path / "full") == trajectory(tmp_path / "roomy")


def _workers() -> list[int]:
    """Ray's worker processes that run our trials."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"ray::" in name and b"ImplicitFunc" in name:
                found.append(int(entry.name))
    return found
