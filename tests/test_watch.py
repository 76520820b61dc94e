"""Following a run of another process: by its log, which grows, is torn, cut and replaced, and by its lock."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from small_runs import small_study, start_process
from typer.testing import CliRunner, Result

from automl_cf.cli import app
from automl_cf.cli.board import Board
from automl_cf.cli.watch import Log, _ReplacedError, follow, look
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import decode, encode, is_running, read_events
from automl_cf.suite import run
from automl_cf.suite.store import Store
from automl_cf.suite.study import Study, read_study

STUDY: dict[str, Any] = {"searchers": ["bias-only", "random"], "budget": {"trials": 3}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("watched") / "finished"
    run.start(small_study(**STUDY), folder)
    return folder


@pytest.fixture
def lines(finished: Path) -> list[bytes]:
    """Its log's lines."""
    return (finished / "events.jsonl").read_bytes().splitlines(keepends=True)


@pytest.fixture
def begun(finished: Path, tmp_path: Path, lines: list[bytes]) -> Path:
    """The folder of a run with the first five events; none has the lock."""
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "study.json").write_bytes((finished / "study.json").read_bytes())
    (folder / "events.jsonl").write_bytes(b"".join(lines[:5]))
    return folder


def written() -> Console:
    """A console that is no terminal."""
    return Console(file=io.StringIO(), width=200, force_terminal=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def states_of(board: Board) -> dict[str, tuple[Any, ...]]:
    return {name: (view.state, view.scored, view.trials, view.tests) for name, view in board.cells.items()}


def from_log(folder: Path) -> Board:
    board = Board(read_study(folder / "study.json"))
    for event in read_events(folder / "events.jsonl"):
        board.add(event)
    return board


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def append(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


# --- the log ---


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_log_is_read_as_it_grows(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever pieces it grows by, torn or not, each event is read once, in order, as soon as its line is whole."""
    content = (finished / "events.jsonl").read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    path = tmp_path_factory.mktemp("grown") / "events.jsonl"
    path.write_bytes(b"")
    log, seen = Log(path), []
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        append(path, content[start:end])
        seen += log.appended()
        assert seen == read_events(path)
    assert log.appended() == []


def test_only_what_was_appended_is_read(begun: Path, lines: list[bytes]) -> None:
    path = begun / "events.jsonl"
    log = Log(path)
    assert len(log.appended()) == 5
    with path.open("r+b") as file:  # what was read is not looked at again
        file.write(b"?" * len(lines[0]))
    append(path, lines[5])
    assert [event["kind"] for event in log.appended()] == [read_events_of(lines[5])]


def read_events_of(line: bytes) -> str:
    return str(line.split(b'"kind":"')[1].split(b'"')[0], "ascii")


def test_a_torn_line_that_is_cut_and_written_anew(begun: Path, lines: list[bytes]) -> None:
    path = begun / "events.jsonl"
    log = Log(path)
    whole = len(log.appended() and path.read_bytes())
    append(path, lines[5][:40])
    assert log.appended() == []
    os.truncate(path, whole)  # as a resume does
    assert log.appended() == []
    append(path, lines[7])
    assert len(log.appended()) == 1
    append(path, lines[8])
    assert [event["n"] for event in log.appended()] == [read_events(path)[-1]["n"]]


def test_a_log_that_is_copied_anew_goes_on(begun: Path, lines: list[bytes]) -> None:
    """As by a tool that copies a run's folder from elsewhere again and again: another file, the same beginning."""
    path = begun / "events.jsonl"
    log = Log(path)
    log.appended()
    (begun / "copy").write_bytes(b"".join(lines[:8]))
    os.replace(begun / "copy", path)
    assert len(log.appended()) == 3


@pytest.mark.parametrize("left", [0, 3, None])
def test_a_log_that_is_cut_or_replaced_or_gone_is_told(begun: Path, lines: list[bytes], left: int | None) -> None:
    path = begun / "events.jsonl"
    log = Log(path)
    log.appended()
    if left is None:
        path.unlink()
    else:
        path.write_bytes(b"".join(lines[5 : 5 + left]))
    with pytest.raises(_ReplacedError):
        log.appended()


@pytest.mark.parametrize(("line", "message"), [(b"{oops\n", "line 6 is not JSON"), (b"[]\n", "line 6 is not an event")])
def test_a_line_that_is_no_event_is_named(begun: Path, line: bytes, message: str) -> None:
    log = Log(begun / "events.jsonl")
    log.appended()
    append(begun / "events.jsonl", line)
    with pytest.raises(InputError, match=message):
        log.appended()


def test_an_event_without_what_it_needs_is_told(begun: Path, lines: list[bytes]) -> None:
    event = decode(lines[5])
    append(begun / "events.jsonl", encode({"clocks" if key == "clock" else key: event[key] for key in event}))
    with pytest.raises(InputError, match=r"not as it must be: KeyError\('clock'\)"):
        follow(begun, written(), wait=0)


# --- the lock ---


def test_a_run_holds_its_lock_while_it_goes_on(tmp_path: Path) -> None:
    assert is_running(tmp_path / "nowhere") is False
    store = Store(tmp_path)
    assert is_running(tmp_path) is True
    with pytest.raises(InputError, match="another run"):  # asking has not taken it away
        Store(tmp_path)
    store.close()
    assert is_running(tmp_path) is False
    Store(tmp_path).close()  # nor kept it


def test_watching_writes_nothing(begun: Path) -> None:
    (begun / ".lock").touch()
    os.utime(begun, ns=(1, 1))
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in begun.iterdir()}
    with pytest.raises(AutomlCfError):
        follow(begun, written(), wait=0, grace=0)
    with pytest.raises(AutomlCfError):
        look(begun, written())
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in begun.iterdir()} == before
    assert begun.stat().st_mtime_ns == 1


# --- following ---


def test_a_finished_run_is_shown_as_it_is(finished: Path) -> None:
    console = written()
    board = follow(finished, console, wait=0)
    assert board.done
    assert states_of(board) == states_of(from_log(finished))
    assert "2 of 2 cells done" in text_of(console)


def test_lines_of_a_run_that_goes_on(begun: Path, lines: list[bytes]) -> None:
    store = Store(begun)
    console = written()

    def write() -> None:
        for line in lines[5:]:
            time.sleep(0.02)
            append(begun / "events.jsonl", line[:30])
            time.sleep(0.02)
            append(begun / "events.jsonl", line[30:])

    writer = in_background(write)
    board = follow(begun, console, wait=0, grace=0, poll=0.01)  # the lock is held, so that silence means nothing
    writer.join()
    store.close()
    assert states_of(board) == states_of(from_log(begun))
    text = text_of(console)
    assert text.startswith("so far: ")
    assert text.count("done: test RMSE") == 2
    assert text.count(": started") == 1  # the other cell's was there before


def test_the_live_table_ends_with_the_last_state(begun: Path, lines: list[bytes]) -> None:
    store = Store(begun)
    console = Console(file=io.StringIO(), width=100, height=30, force_terminal=True, color_system=None)
    writer = in_background(lambda: (time.sleep(0.1), append(begun / "events.jsonl", b"".join(lines[5:]))))
    follow(begun, console, wait=0, grace=0, poll=0.01)
    writer.join()
    store.close()
    assert "2 of 2 cells done" in text_of(console).rpartition("\x1b[")[0]


@pytest.mark.parametrize("show", [lambda folder: follow(folder, written(), 0, grace=0), lambda f: look(f, written())])
def test_a_run_that_is_no_more_is_told(begun: Path, show: Callable[[Path], Board]) -> None:
    with pytest.raises(
        AutomlCfError, match=r"not running any more, and 2 of its 2 .* automl-cf resume .*begun"
    ) as told:
        show(begun)
    assert told.value.exit_status == 1


def test_a_run_that_is_resumed_soon_is_followed(begun: Path, lines: list[bytes]) -> None:
    """No process has the lock until it is resumed, and all is not lost for that."""

    def write() -> None:
        time.sleep(0.3)
        store = Store(begun)
        append(begun / "events.jsonl", b"".join(lines[5:]))
        store.close()

    writer = in_background(write)
    assert follow(begun, written(), wait=0, grace=60, poll=0.01).done
    writer.join()


def test_a_run_that_has_not_begun_is_waited_for(
    begun: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = tmp_path / "later"

    def write() -> None:
        time.sleep(0.1)
        later.mkdir()
        time.sleep(0.1)
        (later / "study.json").write_bytes((finished / "study.json").read_bytes())
        time.sleep(0.1)
        (later / "events.jsonl").write_bytes((finished / "events.jsonl").read_bytes())

    writer = in_background(write)
    assert follow(later, written(), wait=60, poll=0.01).done
    writer.join()
    assert capsys.readouterr().err.startswith(f"waiting for '{later}' to begin\n")


def test_a_replaced_log_is_followed_from_its_beginning(
    begun: Path, lines: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(begun)

    def write() -> None:
        time.sleep(0.2)
        (begun / "other").write_text("".join(json.dumps(decode(line)) + "\n" for line in lines))
        os.replace(begun / "other", begun / "events.jsonl")

    writer = in_background(write)
    board = follow(begun, written(), wait=5, grace=0, poll=0.01)
    writer.join()
    store.close()
    assert states_of(board) == states_of(from_log(begun))
    assert "cut or replaced" in capsys.readouterr().err


# --- the command ---


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["watch", *map(str, arguments)])


def error_of(result: Result, status: int) -> str:
    assert result.exit_code == status
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    return line


def test_once(finished: Path, begun: Path, lines: list[bytes]) -> None:
    done = invoke(finished, "--once")
    assert done.exit_code == 0
    assert "2 of 2 cells done" in done.stdout
    assert done.stdout.endswith("the run is finished: 2 scored\n")
    assert "go on with: automl-cf resume" in error_of(invoke(begun, "--once"), 1)
    store = Store(begun)
    append(begun / "events.jsonl", lines[5])
    under_way = invoke(begun, "--once")
    store.close()
    assert under_way.exit_code == 0
    assert "0 of 2 cells done" in under_way.stdout
    assert "searching" in under_way.stdout
    (begun / "events.jsonl").unlink()
    assert "2 of its 2 cells" in error_of(invoke(begun, "--once"), 1)  # begun, and ended before its first event


def test_a_compressed_log(begun: Path, finished: Path, lines: list[bytes]) -> None:
    (begun / "events.jsonl").unlink()
    (begun / "events.jsonl.gz").write_bytes(gzip.compress(b"".join(lines)))
    for arguments in ((begun,), (begun, "--once")):
        result = invoke(*arguments)
        assert result.exit_code == 0
        assert "the run is finished: 2 scored" in result.stdout


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    assert "holds no run" in error_of(invoke(tmp_path / "nowhere", "--once"), 2)
    told = error_of(invoke(tmp_path / "nowhere", "--wait", "0.1"), 2)
    assert "holds no run, after 0.1 s of waiting" in told
    assert invoke(tmp_path, "--wait", "-1").exit_code == 2


# --- real runs ---


@pytest.fixture
def long_study() -> Study:
    """Two cells, the second of which does not end before its process is killed."""
    return small_study(searchers=["bias-only", "random"], budget={"trials": 1_000_000}, training={"max_epochs": 30})


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[Any]"]]:
    """Processes, killed in the end."""
    started: list[subprocess.Popen[Any]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[Any]") -> None:
    while not condition():
        assert process.poll() is None, "the process has ended"
        time.sleep(0.02)


def has_lines(log: Path, count: int) -> Callable[[], bool]:
    return lambda: log.exists() and log.read_bytes().count(b"\n") >= count


def test_a_killed_run_is_told(long_study: Study, tmp_path: Path, processes: list["subprocess.Popen[Any]"]) -> None:
    """With no grace at all, a run is followed as long as its process lives, and no longer."""
    folder = tmp_path / "killed"
    process = start_process(long_study, folder)
    processes.append(process)
    told: list[AutomlCfError] = []

    def watch() -> None:
        try:
            follow(folder, written(), wait=120, grace=0, poll=0.01)
        except AutomlCfError as error:
            told.append(error)

    watcher = in_background(watch)
    wait_until(has_lines(folder / "events.jsonl", 20), process)
    assert watcher.is_alive()
    process.kill()
    process.wait()
    watcher.join(60)
    assert "not running any more, and " in str(told[0])


@pytest.mark.slow
def test_a_killed_run_is_followed_when_it_is_resumed(tmp_path: Path, processes: list["subprocess.Popen[Any]"]) -> None:
    study = small_study(searchers=["bias-only", "random"], budget={"trials": 60})
    folder = tmp_path / "resumed"
    processes.append(start_process(study, folder))
    boards: list[Board] = []
    console = written()
    watcher = in_background(lambda: boards.append(follow(folder, console, wait=120, grace=120, poll=0.01)))
    wait_until(has_lines(folder / "events.jsonl", 30), processes[-1])
    processes[-1].send_signal(signal.SIGKILL)
    processes[-1].wait()
    append(folder / "events.jsonl", b'{"schema":1,"kind":"tri')  # as a write that was cut short
    processes.append(start_process(study, folder, "resume"))
    assert processes[-1].wait(300) == 0
    watcher.join(60)
    assert states_of(boards[0]) == states_of(from_log(folder))
    assert boards[0].done
    assert ": goes on" in text_of(console)


@pytest.mark.slow
def test_ctrl_c_ends_the_watching_and_not_the_run(
    long_study: Study, tmp_path: Path, processes: list["subprocess.Popen[Any]"]
) -> None:
    folder = tmp_path / "left-alone"
    processes.append(start_process(long_study, folder))
    wait_until(has_lines(folder / "events.jsonl", 3), processes[0])
    command = [sys.executable, "-c", "from automl_cf.cli import main; main()", "watch", str(folder)]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes.append(watcher)
    assert watcher.stdout is not None
    assert watcher.stdout.readline().startswith("so far: ")
    watcher.send_signal(signal.SIGINT)
    _, errors = watcher.communicate(timeout=60)
    assert watcher.returncode == 130
    assert errors == "no longer watching; the run itself is left alone\n"
    before = (folder / "events.jsonl").stat().st_size
    wait_until(lambda: (folder / "events.jsonl").stat().st_size > before, processes[0])
