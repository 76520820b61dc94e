"""The Ray backend does what the inline one does, and survives its workers."""

import os
import threading
import time
from pathlib import Path

import psutil
import pytest
from small_runs import counted_events, small_study, start_process, trajectory

from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import Event, read_events
from automl_cf.suite import ray_backend, run
from automl_cf.suite.ray_backend import RayBackend
from automl_cf.suite.study import Resources

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
                process.kill()

    run.start(study, folder, kill_worker)
    assert killed.is_set()
    run.start(small_study(searchers=["random"], budget={"trials": 30}), tmp_path / "inline")
    assert trajectory(folder) == trajectory(tmp_path / "inline")
    attempts = {e["attempt"] for e in read_events(folder / "events.jsonl") if e["kind"] == "trial"}
    assert len(attempts) == 2


@pytest.mark.slow
def test_a_driver_that_dies_while_it_starts_is_started_again(tmp_path: Path) -> None:
    killed = threading.Event()

    def kill_first_driver() -> None:
        while not killed.is_set():
            for process in psutil.Process().children():
                if "automl_cf.suite.ray_driver" in " ".join(process.cmdline()):
                    process.kill()
                    killed.set()
            time.sleep(0.1)

    watcher = threading.Thread(target=kill_first_driver)
    watcher.start()
    try:
        run.start(small_study(searchers=["bias-only"], resources=RESOURCES), tmp_path / "run")
    finally:
        was_killed = killed.is_set()
        killed.set()
        watcher.join()
    assert was_killed
    assert [event["kind"] for event in counted_events(tmp_path / "run")][-1] == "cell_scored"


@pytest.mark.parametrize(("address", "starts"), [(None, 3), ("auto", 1)])
def test_what_never_starts_is_given_up_with_a_word_on_how_to_go_on(
    address: str | None, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def dies(self: object, resources: Resources, workers: int) -> None:
        begun.append(workers)
        raise ray_backend._NotStartedError("Ray did not start.")

    monkeypatch.setattr(ray_backend._Driver, "__init__", dies)
    with pytest.raises(AutomlCfError, match="Ray did not start"):
        RayBackend(Resources(address=address), 2)
    assert begun == [2] * starts


@pytest.mark.slow
def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    room = [5]

    def full(descriptor: int, line: bytes) -> int:
        event = bytes(line).startswith(b'{"schema"')
        room[0] -= event
        if room[0] < 0 and event:
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


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_a_cluster_of_our_own_that_dies_is_started_anew(tmp_path: Path, victim: str) -> None:
    """SIGKILL of the raylet or of the head's store, upon which Ray ends its driver: the run goes on by itself."""
    study = {"searchers": ["random"], "budget": {"trials": 40}}
    killed: list[int] = []

    def kill(event: Event) -> None:
        if event["kind"] == "trial" and event["number"] == 5 and not killed:
            processes = [p for p in psutil.Process().children(recursive=True) if p.name() == victim]
            for process in processes:
                process.kill()
                killed.append(process.pid)

    run.start(small_study(**study, resources={"backend": "ray", "workers": 1}), tmp_path / "ray", kill)
    assert len(killed) == 1
    run.start(small_study(**study), tmp_path / "inline")
    assert trajectory(tmp_path / "ray") == trajectory(tmp_path / "inline")
    assert not psutil.Process().children(recursive=True)


@pytest.mark.slow
def test_nothing_is_left_when_the_run_itself_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the process that owns the run: driver, cluster and workers end with it, and a resume completes it."""
    study = small_study(searchers=["random"], budget={"trials": 40}, resources={"backend": "ray", "workers": 1})
    process = start_process(study, tmp_path / "ray")
    log = tmp_path / "ray" / "events.jsonl"
    while not log.exists() or log.read_bytes().count(b'"trial_started"') < 5:
        assert process.poll() is None
        time.sleep(0.1)
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(started, timeout=300)  # Ray's own agents may take minutes to miss their raylet
    assert started
    assert not alive
    run.resume(tmp_path / "ray")
    run.start(small_study(searchers=["random"], budget={"trials": 40}), tmp_path / "inline")
    assert trajectory(tmp_path / "ray") == trajectory(tmp_path / "inline")


def _workers() -> list[psutil.Process]:
    """Our Ray's worker processes that run trials."""
    ours = psutil.Process().children(recursive=True)
    return [process for process in ours if "ImplicitFunc" in " ".join(process.cmdline())]
