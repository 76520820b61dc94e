"""The log's lines and the store: what is written is read again, what is damaged is told, no line is torn in two."""

import errno
import gzip
import json
import os
import resource
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_cf import events as events_module
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import (
    MAX_LINE,
    DamageError,
    LineError,
    Order,
    decode,
    encode,
    numbered_events,
    ordered_events,
    read_events,
)
from automl_cf.suite.store import Store

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def event(n: int = 1, kind: str = "trial", cell: str | None = "c", attempt: int = 1, **fields: Any) -> dict[str, Any]:
    return {"schema": 1, "kind": kind, "cell": cell, "attempt": attempt, "n": n, **fields}


def log_of(folder: Path, *lines: bytes) -> Path:
    path = folder / "events.jsonl"
    path.write_bytes(b"".join(lines))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "run")
    yield made
    made.close()


# --- lines ---


@given(st.dictionaries(st.text().filter(lambda name: name != "crc"), JSON, max_size=4))
def test_an_event_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    given_ = {**fields, "schema": 1, "kind": "trial"}
    assert decode(encode(given_)) == json.loads(json.dumps(given_))


def test_the_checksum_is_of_the_line_as_it_was_without_it() -> None:
    line = encode(event(text='a ", "crc":"00000000"} in it'))
    plain = json.dumps(event(text='a ", "crc":"00000000"} in it'), separators=(",", ":")).encode()
    assert json.loads(line)["crc"] == format(zlib.crc32(plain), "08x")
    assert line.startswith(plain[:-1])
    assert list(json.loads(line))[-1] == "crc"
    assert "crc" not in decode(line)


@given(st.data())
def test_any_other_byte_is_noticed(data: st.DataObject) -> None:
    """A burst of up to 32 bits is what CRC-32 is sure to notice; the field itself is no way around it."""
    line = encode(event(rmse=0.875, architecture={"operation": "plus"}, file="abcdefgh"))
    place = data.draw(st.integers(0, len(line) - 2))
    burst = data.draw(st.binary(min_size=1, max_size=min(4, len(line) - 1 - place)))
    damaged = line[:place] + burst + line[place + len(burst) :]
    if damaged == line:
        assert decode(damaged) == decode(line)
    elif b'"crc":"' in damaged[-25:] or len(burst) == 1:
        with pytest.raises(LineError):
            decode(damaged)


@pytest.mark.parametrize("key", ["crb", "Crc", "c c"])
def test_a_damaged_name_of_the_checksum_is_no_way_around_it(key: str) -> None:
    with pytest.raises(LineError, match="checksum"):
        decode(encode(event()).replace(b"crc", key.encode()))


@pytest.mark.parametrize("fields", [{"reason": "seconds"}, {"file": "a/b.npz"}, {"ranking": {"abc": "12345678"}}, {}])
def test_lines_without_a_checksum_are_read_as_before(tmp_path: Path, fields: dict[str, Any]) -> None:
    line = json.dumps(event(**fields)).encode() + b"\n"
    assert read_events(log_of(tmp_path, line, line, encode(event(2)))) == [event(**fields), event(**fields), event(2)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "no JSON", "line 2 is not JSON of an event: it is nested too deeply"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "no JSON", "nested too deeply"),
        (b'{"schema":1,"kind":' + b"9" * 10_000 + b"}", "no JSON", "line 2 is not JSON"),
        (b'{"schema":1,"kind":"\xff\xfe"}', "no JSON", "line 2 is not JSON: 'utf-8' codec"),
        ('{"schema":1,"kind":"trial"}'.encode("utf-16"), "no JSON", "line 2 is not JSON"),
        (b"\0" * 5_000, "no JSON", "line 2 is not JSON"),
        (b'{"schema":1}', "no event", "line 2 is not an event of schema 1"),
        (b'{"schema":2,"kind":"trial"}', "no event", "line 2 is not an event of schema 1"),
        (b"17", "no event", "line 2 is not an event"),
        (b"", "no JSON", "line 2 is not JSON"),
        (encode(event())[:-1].replace(b"trial", b"trail"), "checksum", "line 2 is not as it was written"),
    ],
)
def test_a_line_that_is_no_event_is_told(tmp_path: Path, line: bytes, kind: str, message: str, packed: bool) -> None:
    path = log_of(tmp_path, encode(event()), line + b"\n", encode(event(2)))
    if packed:
        path = tmp_path / "events.jsonl.gz"
        path.write_bytes(gzip.compress((tmp_path / "events.jsonl").read_bytes()))
    read = numbered_events(path)
    assert next(read) == (1, event())
    with pytest.raises(DamageError, match=message) as raised:
        next(read)
    assert (raised.value.line, raised.value.kind) == (2, kind)
    assert isinstance(raised.value, InputError)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "123456789012345678901234567890", str(2**64)])
def test_a_number_beyond_any_is_left_to_who_uses_it(tmp_path: Path, number: str) -> None:
    path = log_of(tmp_path, b'{"schema":1,"kind":"trial","n":%s}\n' % number.encode())
    assert [type(e["n"]) in (int, float) for e in read_events(path)] == [True]


def test_what_no_reader_would_take_is_not_written(store: Store) -> None:
    store.append(event(1, "cell_started"))
    with pytest.raises(InputError, match="too long"):
        store.append(event(2, text="x" * MAX_LINE))
    with pytest.raises(ValueError, match="JSON compliant"):
        store.append(event(2, rmse=float("nan")))
    store.append(event(2))  # which is no reason to take nothing more
    assert [e["n"] for e in store.events()] == [1, 2]


MEASURED = """
import resource, sys
from pathlib import Path
from automl_cf.errors import InputError
from automl_cf.events import numbered_events
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(sum(1 for _ in numbered_events(Path(sys.argv[1]))))
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_line_of_100_mb_needs_no_100_mb(tmp_path: Path, ended: bool, packed: bool) -> None:
    """With its newline it is damage; without one it is a torn last line, as after a crash of the system."""
    path = tmp_path / ("events.jsonl.gz" if packed else "events.jsonl")
    with gzip.open(path, "wb", 1) if packed else path.open("wb") as file:
        file.write(encode(event()))
        for _ in range(100):
            file.write(b"[" * 2**20)
        file.write(b"\n" + encode(event(2)) if ended else b"")
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
    said, megabytes = done.stdout.splitlines()
    assert said == (f"'{path}', line 2 has more than the {MAX_LINE:,} bytes of any event." if ended else "1")
    assert int(megabytes) < 70


def test_a_line_that_grows_while_it_is_read_is_no_damage(tmp_path: Path) -> None:
    """What its writer adds after the torn line was seen is not taken for a line of its own."""
    line = encode(event(2))
    path = log_of(tmp_path, encode(event()), line[:30])
    read = events_module.numbered_lines(path)
    assert [next(read)[0], next(read)] == [1, (2, line[:30])]
    with path.open("ab") as file:
        file.write(line[30:] + encode(event(3)))
    assert list(read) == []
    assert [e["n"] for e in read_events(path)] == [1, 2, 3]


# --- the order ---


def written(attempts: list[list[str]]) -> list[dict[str, Any]]:
    """The events of one cell as the suite numbers them; a cell_started goes on after the one before."""
    made: list[dict[str, Any]] = []
    for attempt, kinds in enumerate(attempts, 1):
        last = [made[-1]["attempt"], made[-1]["n"]] if made else None
        made += [event(n, kind, attempt=attempt, resumes_after=last) for n, kind in enumerate(kinds, 1)]
    return made


CELL = written(
    [
        ["cell_started", "trial_started", "trial", "incumbent"],
        ["cell_started", "trial", "trial", "process_died"],
        ["cell_started", "trial", "cell_finished"],
        ["score", "process_died"],
        ["score", "cell_scored"],
    ]
)


@pytest.mark.parametrize("lost", range(len(CELL)))
def test_one_lost_event_is_noticed_unless_it_is_a_last_one_that_nothing_rests_on(lost: int) -> None:
    order = Order()
    problems = [problem for e in CELL[:lost] + CELL[lost + 1 :] if (problem := order.problem(e))]
    unnoticed = CELL[lost]["kind"] in ("process_died", "cell_scored") and CELL[lost]["attempt"] > 3
    assert bool(problems) != unnoticed
    assert {kind for kind, _ in problems} <= {"lost"}


@settings(deadline=None)
@given(st.permutations(range(len(CELL))).filter(lambda order: list(order) != sorted(order)))
def test_another_order_is_noticed(places: list[int]) -> None:
    order = Order()
    assert any(order.problem(CELL[place]) for place in places)


@given(st.integers(0, len(CELL) - 1), st.data())
@settings(deadline=None, max_examples=50)
def test_an_event_there_twice_is_noticed_and_changes_nothing(twice: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(twice + 1, len(CELL)))
    order = Order()
    found = [order.problem(e) for e in [*CELL[:at], CELL[twice], *CELL[at:]]]
    assert [problem and problem[0] for problem in found] == [None] * at + ["repeated"] + [None] * (len(CELL) - at)


@pytest.mark.parametrize("wrong", [{"n": "1"}, {"attempt": None}, {"cell": []}, {"kind": {}}, {"resumes_after": [1]}])
def test_an_event_of_other_types_is_told(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = log_of(tmp_path, encode(event(kind="cell_started") | wrong))
    with pytest.raises(DamageError, match="line 1 is not an event of a cell") as raised:
        list(ordered_events(path))
    assert raised.value.kind == "form"


# --- the store ---


def test_events_are_read_one_by_one(store: Store) -> None:
    for n in range(1, 4):
        store.append(event(n, "trial" if n > 1 else "cell_started"))
    read = store.events()
    assert next(read)["n"] == 1
    store.append(event(4))
    assert [e["n"] for e in read] == [2, 3, 4]


def test_a_damaged_log_says_how_to_go_on(store: Store) -> None:
    store.append(event(1, "cell_started"))
    log_of(store.folder, encode(event(1, "cell_started")), encode(event(3)))
    with pytest.raises(
        InputError, match=r"line 2 has event 3 .* whose event 2 is missing; 'automl-cf resume .* --repair'"
    ):
        list(store.events())


def _short(room: int, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on only so many bytes fit; what comes `after` is an error, or nothing is written at all."""
    real, left = os.write, [room]

    def write(descriptor: int, data: bytes) -> int:
        if len(data) > left[0] == 0:
            if after == "error":
                raise OSError(errno.ENOSPC, "No space left on device")
            return 0
        written = real(descriptor, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr("automl_cf.suite.store.os.write", write)


@given(st.integers(0, 600), st.sampled_from(["error", "nothing"]))
@settings(deadline=None, max_examples=40)
def test_a_short_write_leaves_no_torn_line_and_ends_the_writing(
    tmp_path_factory: pytest.TempPathFactory, room: int, after: str
) -> None:
    folder = tmp_path_factory.mktemp("short") / "run"
    store = Store(folder)
    store.append(event(1))
    acknowledged = 1
    with pytest.MonkeyPatch.context() as patch:
        _short(room, after, patch)
        with suppress(AutomlCfError):
            for n in range(2, 12):
                store.append(event(n))
                acknowledged = n
    assert acknowledged < 11
    with pytest.raises(AutomlCfError, match="No space left"):  # though there is room again
        store.append(event(acknowledged + 2))
    store.close()
    assert (folder / "events.jsonl").read_bytes() == b"".join(encode(event(n)) for n in range(1, acknowledged + 1))


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_a_line_written_in_pieces_is_whole(store: Store, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr("automl_cf.suite.store.os.write", lambda where, data: real(where, data[:piece]))
    store.append(event(1))
    store.append(event(2))
    assert (store.folder / "events.jsonl").read_bytes() == encode(event(1)) + encode(event(2))


@given(st.integers(0, 400_000), st.integers(0, 300_000))
@settings(deadline=None, max_examples=30)
def test_a_torn_line_is_cut_whatever_its_length(
    tmp_path_factory: pytest.TempPathFactory, whole: int, torn: int
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    line = encode(event(text="x" * whole)) if whole else b""
    log_of(folder, line, b"x" * torn)
    store = Store(folder)
    store.append(event(2))
    store.close()
    assert (folder / "events.jsonl").read_bytes() == line + encode(event(2))


def test_a_file_that_cannot_be_written_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("a/b", "before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("automl_cf.suite.store.os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        store.append(event(1), {"a/b": b"after"})
    assert [path.name for path in (store.folder / "a").iterdir()] == ["b"]
    assert (store.folder / "a" / "b").read_bytes() == b"before"
    assert list(store.events()) == []


@pytest.mark.parametrize("room", range(5))
def test_a_run_begins_with_all_its_files_or_none(store: Store, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    real, left = os.replace, [room]

    def full(source: Path, target: Path) -> None:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        real(source, target)

    files = {"plugins/a.py": b"a", "plugins/b.py": b"b", "manifest.json": "{}", "study.json": "{}"}
    with monkeypatch.context() as patch:
        patch.setattr("automl_cf.suite.store.os.replace", full)
        with pytest.raises(InputError, match="No space left") if room < 4 else nullcontext():
            store.begin(files)
    there = {str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.name != ".lock"}
    assert there == ({"plugins", *files} if room == 4 else set())


def test_a_file_system_that_cannot_write_through_is_good_enough(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("automl_cf.suite.store.os.fsync", cannot)
    store.append(event(1, "cell_started"), {"a": b"b"})
    store.append(event(2, "cell_finished"))
    assert [e["n"] for e in store.events()] == [1, 2]


def test_ends_and_checkpoints_are_written_through(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is synchronised after such a line was written, a checkpoint's file before its event is."""
    calls: list[str] = []
    real_write, real_sync = os.write, os.fsync

    def write(descriptor: int, data: bytes) -> int:
        calls.append("write")
        return real_write(descriptor, data)

    def sync(descriptor: int) -> None:
        calls.append("sync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real_sync(descriptor)

    store.append(event(1, "cell_started"))
    monkeypatch.setattr("automl_cf.suite.store.os.write", write)
    monkeypatch.setattr("automl_cf.suite.store.os.fsync", sync)
    for n, kind in enumerate(("trial", "cell_finished", "cell_scored", "incumbent"), 2):
        store.append(event(n, kind))
    assert calls == ["write", "write", "sync events.jsonl", "write", "sync events.jsonl", "write"]
    calls.clear()
    store.append(event(6, "checkpoint"), {"checkpoints/a": b"state"})
    assert calls == ["sync .a.part", "sync checkpoints", "write", "sync events.jsonl"]


@pytest.mark.parametrize("how", ["removed", "moved", "replaced", "log removed"])
def test_a_log_that_is_no_longer_there_is_told(store: Store, tmp_path: Path, how: str) -> None:
    store.append(event(1))
    log = store.folder / "events.jsonl"
    if how == "log removed":
        log.unlink()
    elif how == "replaced":
        log.rename(store.folder / "other")
        log.write_bytes(encode(event(1)))
    else:
        store.folder.rename(tmp_path / "elsewhere")
        if how == "removed":
            for path in (tmp_path / "elsewhere").iterdir():
                path.unlink()
    with pytest.raises(InputError, match="removed or replaced"):
        store.append(event(2))
    if how in ("moved", "removed"):
        with pytest.raises(InputError, match="cannot be written"):
            store.write("checkpoints/a", b"")
        assert not store.folder.exists(), "a folder that is gone is not made again"


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match=r"'.*/run' cannot be written: File exists"):
        Store(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may write anywhere: be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["folder", "sub-folder", "log"])
def test_what_is_read_only_is_told(tmp_path_factory: pytest.TempPathFactory, request: Any, what: str) -> None:
    top = tmp_path_factory.mktemp("read-only")
    folder = top / "run"
    (folder / "checkpoints").mkdir(parents=True)
    log_of(folder, encode(event(1)))
    for path in (folder / "checkpoints", folder, folder / "events.jsonl", folder / ".lock"):
        path.touch()
        path.chmod(0o777)
    {"folder": folder, "sub-folder": folder / "checkpoints", "log": folder / "events.jsonl"}[what].chmod(0o555)
    (folder / ".lock").unlink()
    parents = [path for path in [top, *top.parents] if not path.stat().st_mode & 0o001]
    for path in parents:  # pytest's own are for one user
        path.chmod(path.stat().st_mode | 0o011)
    try:
        request.getfixturevalue("nobody")
        with pytest.raises(InputError, match=r"cannot be written: Permission denied"), closing(Store(folder)) as store:
            store.append(event(2), {"checkpoints/a": b""} if what == "sub-folder" else None)
        assert read_events(folder / "events.jsonl") == [event(1)]
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        for path in parents:
            path.chmod(path.stat().st_mode & ~0o011)


def test_the_limit_of_a_files_size_is_a_full_disk(tmp_path: Path) -> None:
    """The real thing: the system itself refuses."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = Store(tmp_path / "run")
    store.append(event(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        store.append(event(2))
        with pytest.raises(AutomlCfError, match="File too large"):
            store.append(event(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        store.close()
    assert [e["n"] for e in read_events(tmp_path / "run" / "events.jsonl")] == [1, 2]
