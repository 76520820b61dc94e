"""A disk that is full, at every point of a run: one sentence, and nothing that was acknowledged is lost.

The limit of a file's size, which the system enforces, stands for the disk: what goes beyond it is refused in the middle
of a write, as by a full disk, and Python ignores the signal that comes with it.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_runs import small_study, trajectory

from automl_cf.analysis.verify import verify
from automl_cf.errors import InputError
from automl_cf.events import read_events
from automl_cf.suite import run

STUDY = small_study(
    searchers=["bias-only", "random"],
    budget={"trials": 5},
    training={"max_epochs": 4, "batch_size": 256, "l2_grid": [0.0, 1e-4], "engine": "reference"},
)
FILES = ("curve.png", "curve.svg", "report.html", "scores.csv", "scores.parquet", "summary.md")


def command(*arguments: str | Path, limit: int | None = None) -> "subprocess.CompletedProcess[str]":
    """The command line in a process that can write no file beyond so many bytes."""

    def limit_it() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # Pipes have no size; nothing but the run's files is written, as caches are there already.
    return subprocess.run(
        [sys.executable, "-m", "automl_cf.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limit_it,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.json"
    path.write_text(STUDY.model_dump_json())
    return path


@pytest.fixture(scope="module")
def roomy(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the study that had room; it fills the caches as well."""
    folder = tmp_path_factory.mktemp("roomy") / "run"
    done = command("run", study, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def in_one_sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """What a command that failed said in the end; neither a traceback nor what nobody foresaw."""
    assert done.returncode in (1, 2), (done.returncode, done.stderr[-2000:])
    assert "Traceback" not in done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: "), done.stderr[-2000:]
    assert "unexpected" not in last
    return last


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the study that had room, in this process and without what is derived from it."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    run.start(STUDY, folder)
    return folder


@pytest.mark.parametrize("tenth", range(11))
def test_a_log_that_is_cut_anywhere(searched: Path, tmp_path: Path, tenth: int) -> None:
    """From before the study is stored to the last event; then there is room again."""
    folder, log = tmp_path / "run", tmp_path / "run" / "events.jsonl"
    others = max((searched / name).stat().st_size for name in ("study.json", "manifest.json"))
    whole = (searched / "events.jsonl").stat().st_size
    limit = 1000 if tenth == 0 else others + (whole - others - 100) * tenth // 10
    with limited(limit), pytest.raises(InputError, match="cannot be written: File too large; make room"):
        run.start(STUDY, folder)
    before = log.read_bytes() if log.exists() else b""
    assert before[-1:] in (b"", b"\n"), "a torn line was left"
    assert [path.name for path in folder.rglob("*.part*")] == []
    if tenth == 0:
        assert not folder.exists()
        run.start(STUDY, folder)
    else:
        assert len(before) > limit - 4000
        assert verify(folder).whole
        run.resume(folder)
    assert log.read_bytes().startswith(before), "an acknowledged event was lost"
    assert trajectory(folder) == trajectory(searched)
    assert verify(folder).whole


def test_a_disk_that_is_full_again_and_again(searched: Path, tmp_path: Path) -> None:
    """A little room at a time: each resume comes further, and loses nothing."""
    folder, log = tmp_path / "run", tmp_path / "run" / "events.jsonl"
    last = b""
    for limit in range(8_000, (searched / "events.jsonl").stat().st_size, 4_000):
        with limited(limit), pytest.raises(InputError, match="File too large"):
            run.resume(folder) if log.exists() else run.start(STUDY, folder)
        assert log.read_bytes().startswith(last)
        last = log.read_bytes()
    run.resume(folder)
    assert trajectory(folder) == trajectory(searched)
    assert verify(folder).whole


@pytest.mark.slow
def test_the_command_line_on_a_full_disk(study: Path, roomy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    full = command("run", study, "--out", folder, limit=(roomy / "events.jsonl").stat().st_size // 2)
    assert in_one_sentence(full) == (
        f"error: '{folder}' cannot be written: File too large; make room or choose another --out."
    )
    done = command("resume", folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert trajectory(folder) == trajectory(roomy)
    assert verify(folder).whole
    assert {path.name for path in folder.iterdir()} == {path.name for path in roomy.iterdir()}


DRAWN = """
import resource, sys
from automl_cf import api
from automl_cf.errors import InputError
folder, limits = sys.argv[1], map(int, sys.argv[2:])
api.report(folder)
for limit in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        api.report(folder)
        print("written")
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_each_file_that_does_not_fit_is_named(roomy: Path, tmp_path: Path) -> None:
    """What is derived from a run is written whole or not at all, and what cannot be written is named."""
    folder = tmp_path / "run"
    shutil.copytree(roomy, folder)
    limits = [(folder / name).stat().st_size * 9 // 10 for name in FILES]
    done = subprocess.run(
        [sys.executable, "-c", DRAWN, str(folder), *map(str, limits)], capture_output=True, text=True, timeout=580
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert len(said) == len(FILES)
    assert all("cannot be written (" in line for line in said), said
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock"]
    assert verify(folder).whole


@pytest.mark.slow
@pytest.mark.parametrize("place", ["a file", "under a file", "/proc", "/dev/full"])
def test_a_folder_that_cannot_be(study: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    folder = {"a file": tmp_path / "file", "under a file": tmp_path / "file" / "run"}.get(place, Path(place))
    said = in_one_sentence(command("run", study, "--out", folder / "run" if place == "/proc" else folder))
    assert "cannot be written" in said
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_disappears_in_mid_run(roomy: Path, tmp_path: Path, how: str) -> None:
    long = small_study(**STUDY_FIELDS, budget={"trials": 400})
    (tmp_path / "long.json").write_text(long.model_dump_json())
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "automl_cf.cli", "run", str(tmp_path / "long.json"), "--out", str(folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    _wait_for(lambda: (folder / "events.jsonl").exists() and (folder / "events.jsonl").stat().st_size > 20_000, process)
    folder.rename(tmp_path / "elsewhere")
    if how == "removed":
        shutil.rmtree(tmp_path / "elsewhere")
    _, stderr = process.communicate(timeout=120)
    said = in_one_sentence(subprocess.CompletedProcess([], process.returncode, "", stderr))
    assert f"'{folder}' cannot be written: events.jsonl was removed or replaced" in said
    assert not folder.exists()
    if how == "moved":
        assert verify(tmp_path / "elsewhere").whole


STUDY_FIELDS = {
    "searchers": ["random"],
    "training": json.loads(STUDY.model_dump_json())["training"],
}


def _wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_report_that_does_not_fit_leaves_the_run_whole(roomy: Path, tmp_path: Path) -> None:
    """Redrawing on a full disk: what was there stays."""
    folder = tmp_path / "run"
    shutil.copytree(roomy, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = in_one_sentence(command("report", folder, limit=500))
    assert "cannot be written" in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert os.listdir(folder)
    assert read_events(folder / "events.jsonl") == read_events(roomy / "events.jsonl")
