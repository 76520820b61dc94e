"""Ctrl-C, a polite kill and a closed terminal end a run after what it is writing, and it can be gone on with."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from small_runs import small_study, trajectory

from automl_cf.suite import run
from automl_cf.suite.interrupting import Interrupted, interruptible, shielded
from automl_cf.suite.study import Resources

CLI = (sys.executable, "-m", "automl_cf.cli")


def test_an_interruption_waits_for_the_end_of_what_is_shielded() -> None:
    done: list[str] = []

    def write() -> None:
        with shielded():
            with shielded():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        done.append("never")

    with interruptible(lambda number: None), pytest.raises(Interrupted) as caught:
        write()
    assert done == ["inner", "outer"]
    assert caught.value.signal == signal.SIGTERM


def test_outside_of_it_it_comes_at_once_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError("it did not come")

    with interruptible(lambda number: None), pytest.raises(KeyboardInterrupt):
        work()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ends_the_process_at_once() -> None:
    code = (
        "import os, signal\n"
        "from automl_cf.suite.interrupting import interruptible\n"
        "try:\n"
        "    with interruptible(lambda number: print('at once', flush=True)):\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        finally:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "finally:\n"
        "    print('never')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGINT, "at once\n")


def test_what_is_ignored_from_the_start_stays_ignored() -> None:
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from automl_cf.suite.interrupting import interruptible\n"
        "with interruptible(lambda number: None):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print('still here')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "still here\n")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.json"
    study = small_study(searchers=["random", "bayes"], budget={"trials": 50}, scoring={"points": 1})
    path.write_text(study.model_dump_json())
    return path


@pytest.fixture(scope="module")
def whole(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run.start(run.read_study(study), folder)
    return folder


def wait_for_trials(folder: Path, process: "subprocess.Popen[bytes]", count: int) -> None:
    log = folder / "events.jsonl"
    while not log.exists() or log.read_bytes().count(b'"kind":"trial"') < count:
        assert process.poll() is None, "the run ended too soon"
        time.sleep(0.01)


def start(study: Path, folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    arguments: Sequence[str] = (*CLI, "run", str(study), "--out", str(folder), *options)
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_that_is_gone_on_with(study: Path, whole: Path, tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    process = start(study, tmp_path / "run")
    wait_for_trials(tmp_path / "run", process, 5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.decode().strip().endswith(f"interrupted; go on with: automl-cf resume {tmp_path / 'run'}")
    assert b"Traceback" not in errors
    assert (tmp_path / "run" / "events.jsonl").read_bytes().endswith(b"\n")
    subprocess.run([*CLI, "resume", str(tmp_path / "run")], check=True, capture_output=True)
    assert trajectory(tmp_path / "run") == trajectory(whole)


@pytest.mark.slow
def test_a_terminal_that_closes_ends_a_run_that_is_gone_on_with(study: Path, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [*CLI, "run", str(study), "--out", str(folder)])
    log = folder / "events.jsonl"
    os.set_blocking(terminal, False)
    while not log.exists() or log.read_bytes().count(b'"kind":"trial"') < 5:
        time.sleep(0.01)
        with suppress(BlockingIOError):
            os.read(terminal, 65536)
    os.close(terminal)  # the kernel hangs up
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert log.read_bytes().endswith(b"\n")
    run.resume(folder)
    assert trajectory(folder) == trajectory(whole)


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_end_a_run(study: Path, whole: Path, tmp_path: Path) -> None:
    """As in `automl-cf run ... 2>&1 | head -1`."""
    folder = tmp_path / "run"
    process = start(study, folder)
    wait_for_trials(folder, process, 1)
    assert process.stderr is not None
    process.stderr.close()
    process.wait(timeout=120)
    assert trajectory(folder) == trajectory(whole)


@pytest.mark.slow
def test_a_run_on_ray_is_interrupted_by_one_signal_as_well(study: Path, whole: Path, tmp_path: Path) -> None:
    on_ray = tmp_path / "study.json"
    resources = Resources(backend="ray", workers=2)
    on_ray.write_text(run.read_study(study).model_copy(update={"resources": resources}).model_dump_json())
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / str(number)
        process = start(on_ray, folder)
        wait_for_trials(folder, process, 5)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 128 + number, errors
        assert errors.decode().strip().endswith(f"interrupted; go on with: automl-cf resume {folder}")
    run.resume(folder)
    assert trajectory(folder) == trajectory(whole)
