"""Damaged runs: each kind of damage is named, and a run that was repaired comes to what it would have come to."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_runs import small_study, start_process, trajectory
from stored_runs import Found, StoredRun
from typer.testing import CliRunner, Result

import automl_cf
from automl_cf.analysis.repair import repair
from automl_cf.analysis.run import Run
from automl_cf.analysis.tables import write_scores
from automl_cf.analysis.verify import Verification, check_log, verify
from automl_cf.cli import app
from automl_cf.errors import InputError
from automl_cf.events import DamageError, Event, decode, encode, read_events
from automl_cf.suite import run
from automl_cf.suite.store import Store

STUDY: dict[str, Any] = {
    "searchers": ["bias-only", "random", "sif"],
    "budget": {"trials": 4, "visits": 60_000},
    "training": {"max_epochs": 4, "batch_size": 256, "l2_grid": [0.0, 1e-4]},
}
RESULTS = Path(__file__).parents[1] / "results"


class StopError(BaseException):
    """As if the process had been killed."""


def stopped(folder: Path, searcher: str, kind: str, count: int) -> Path:
    """A run that ended after so many events of a kind of a searcher's cell."""
    left = [count]

    def on_event(event: Event) -> None:
        left[0] -= event["kind"] == kind and f"/{searcher}/" in event["cell"]
        if left[0] == 0:
            raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("automl_cf.suite.cell._CHECKPOINT_SECONDS", 0.0)
        with pytest.raises(StopError):
            run.start(small_study(**STUDY), folder, on_event)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of one study: a finished one, and some that were ended in its cells, the last two with checkpoints."""
    top = tmp_path_factory.mktemp("runs")
    run.start(small_study(**STUDY), top / "finished")
    write_scores(Run.load(top / "finished"))
    stopped(top / "random", "random", "trial", 3)
    stopped(top / "two", "sif", "checkpoint", 5)  # the file of the one before is still there
    shutil.copytree(top / "two", top / "sif")
    former, _ = sorted((top / "sif" / "checkpoints").iterdir())
    former.unlink()
    return {path.name: path for path in top.iterdir()}


@pytest.fixture
def copy(runs: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    def copied(name: str = "finished", as_: str = "run") -> Path:
        shutil.copytree(runs[name], tmp_path / as_)
        return tmp_path / as_

    return copied


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines(keepends=True)


def write(folder: Path, lines: list[bytes]) -> None:
    (folder / "events.jsonl").write_bytes(b"".join(lines))


def place(folder: Path, kind: str, searcher: str = "random", which: int = 0) -> int:
    """The place among the lines of an event."""
    found = [i for i, e in enumerate(map(decode, lines_of(folder))) if e["kind"] == kind and searcher in e["cell"]]
    return found[which]


def change(folder: Path, at: int, **fields: Any) -> None:
    """Write an event of the log anew, with its right checksum."""
    lines = lines_of(folder)
    lines[at] = encode(decode(lines[at]) | fields)
    write(folder, lines)


def found(folder: Path) -> tuple[str, int | None, str]:
    damage = verify(folder).damage
    assert damage is not None
    return damage.path.name, damage.line, damage.kind


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


# --- what is whole ---


def test_a_finished_run_is_whole(runs: dict[str, Path]) -> None:
    checked = automl_cf.verify(runs["finished"])
    count = len(lines_of(runs["finished"]))
    cells = (checked.finished, checked.failed, checked.unfinished)
    assert (checked.whole, checked.events, checked.checksums, cells) == (True, count, count, (3, 0, 0))
    result = invoke("verify", runs["finished"])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"Events: {count} checked, all with checksums",
        "Cells: 3 finished, 0 unfinished",
        "Whole: no damage was found.",
    ]


@pytest.mark.parametrize(("name", "cells"), [("random", (2, 1)), ("sif", (1, 2))])
def test_an_unfinished_run_is_whole(runs: dict[str, Path], name: str, cells: tuple[int, int]) -> None:
    checked = verify(runs[name])
    assert (checked.whole, checked.notes, (checked.finished, checked.unfinished)) == (True, (), cells)


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in RESULTS.glob("*/events.jsonl*")))
def test_our_results_are_whole(folder: str) -> None:
    checked = verify(RESULTS / folder)
    assert str(checked.damage) == "None"
    assert (checked.notes, checked.unfinished) == ((), 0)


def test_a_log_without_checksums_is_told_from_one_with(tmp_path: Path) -> None:
    stored = StoredRun(tmp_path / "run")
    stored.cell("a", 4, "random", 1, [Found(1.0, 0.9), Found(2.0, 0.8)], end=3.0)
    stored.write()
    assert "12 checked" not in str(verify(stored.path))
    assert f"{len(stored.events)} checked, without checksums, of an older log: the form only" in str(
        verify(stored.path)
    )
    lines = lines_of(stored.path)
    write(stored.path, [*lines[:-1], encode(decode(lines[-1]))])
    assert "1 with checksums, the others older" in str(verify(stored.path))


def test_a_torn_last_line_is_harmless_and_told(copy: Callable[..., Path]) -> None:
    folder = copy("random")
    with (folder / "events.jsonl").open("ab") as log:
        log.write(b'{"schema":1,"ki')
    checked = verify(folder)
    assert checked.whole
    assert checked.notes == ("the log's last line is torn: it was never acknowledged, 'automl-cf resume' cuts it off",)
    assert invoke("verify", folder).exit_code == 0
    check_log(folder)
    assert repair(folder).original is None


def test_a_run_that_goes_on_is_checked_too(copy: Callable[..., Path]) -> None:
    folder = copy("sif")
    store = Store(folder)
    try:
        with (folder / "events.jsonl").open("ab") as log:
            log.write(b'{"schema":1,"ki')
        for path in (folder / "checkpoints").iterdir():
            path.unlink()  # as the run does when it has a later one
        checked = verify(folder)
    finally:
        store.close()
    assert (checked.whole, checked.running) == (True, True)
    assert checked.notes[0] == "the log's last line is torn: it is being written"
    assert "may have replaced it" in checked.notes[1]
    assert not verify(folder).running


@pytest.mark.slow
def test_a_run_is_whole_at_any_time_while_it_is_written(tmp_path: Path) -> None:
    process = start_process(small_study(**STUDY, seeds=[1, 2]), tmp_path / "run")
    events: list[int] = []
    while process.poll() is None:
        if (tmp_path / "run" / "events.jsonl").exists():
            checked = verify(tmp_path / "run")
            assert checked.whole, str(checked)
            events.append(checked.events)
        time.sleep(0.01)
    assert process.returncode == 0
    assert events == sorted(events)
    assert len(set(events)) > 5


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_is_no_run(copy: Callable[..., Path], elsewhere: bool) -> None:
    folder = copy()
    (folder / "study.json").unlink()
    folder = folder / "elsewhere" if elsewhere else folder
    result = invoke("verify", folder)
    assert result.exit_code == 2
    assert result.stderr == (f"error: '{folder}' is not the folder of a run: it has no study.json.\n")


@pytest.mark.parametrize("folder_instead", [True, False])
def test_a_log_that_is_gone_is_damage_if_there_was_one(copy: Callable[..., Path], folder_instead: bool) -> None:
    folder = copy()
    (folder / "events.jsonl").unlink()
    if folder_instead:
        (folder / "events.jsonl").mkdir()
    assert found(folder) == ("events.jsonl", None, "missing")
    result = invoke("verify", folder)
    assert (result.exit_code, "Damaged (missing)" in result.stdout) == (1, True)
    if not folder_instead:
        (folder / "scores.csv").unlink()
        (folder / "scores.parquet").unlink()
        result = invoke("verify", folder)
        assert result.exit_code == 2
        assert "holds a run without any event yet" in result.stderr


@pytest.mark.parametrize("end", [b"\r\n", b" \n", b"\t\n"])
@pytest.mark.parametrize("every", [True, False])
def test_white_space_does_not_hide_a_line_from_its_check(copy: Callable[..., Path], end: bytes, every: bool) -> None:
    folder = copy()
    at = place(folder, "score")
    lines = lines_of(folder)
    lines[at] = re.sub(rb'"rmse_std":\d', b'"rmse_std":7', lines[at])
    changed = [line[:-1] + end if every or number == at else line for number, line in enumerate(lines)]
    write(folder, changed)
    assert found(folder) == ("events.jsonl", 1 if every else at + 1, "checksum")


def test_a_line_may_lack_its_checksum_only_before_the_first_that_has_one(copy: Callable[..., Path]) -> None:
    folder = copy()
    lines = lines_of(folder)
    bare = [json.dumps(decode(line), separators=(",", ":")).encode() + b"\n" for line in lines]
    write(folder, bare[:5] + lines[5:])
    checked = verify(folder)
    assert (checked.whole, checked.checksums) == (True, len(lines) - 5)
    write(folder, lines[:5] + bare[5:6] + lines[6:])
    assert found(folder) == ("events.jsonl", 6, "checksum")
    repaired = automl_cf.repair(folder)
    assert [damage.line for damage in repaired.damaged] == [6]


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_log_that_lost_its_end_is_damaged_if_the_scores_know_more(copy: Callable[..., Path], kept: float) -> None:
    folder = copy()
    lines = lines_of(folder)
    write(folder, lines[: round(kept * len(lines))])
    assert found(folder) == ("events.jsonl", None, "lost")


def test_the_study_is_that_of_the_manifest(copy: Callable[..., Path]) -> None:
    folder = copy()
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(study | {"seeds": [1, 2]}))
    assert found(folder) == ("study.json", None, "study")
    assert "manifest.json has another seeds" in str(verify(folder))


def test_a_compressed_log(copy: Callable[..., Path]) -> None:
    folder = copy()
    log, packed = folder / "events.jsonl", folder / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    assert verify(folder).whole
    content = packed.read_bytes()
    packed.write_bytes(content[: len(content) // 2])
    assert found(folder) == ("events.jsonl.gz", None, "compression")
    packed.write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:])
    assert found(folder)[0] == "events.jsonl.gz"


# --- what is damaged ---


def _flip(folder: Path) -> tuple[int, str]:
    lines = lines_of(folder)
    lines[4] = lines[4].replace(b'"time":1', b'"time":2')
    write(folder, lines)
    return 5, "checksum"


def _delete(folder: Path) -> tuple[int, str]:
    lines, number = lines_of(folder), place(folder, "trial")
    del lines[number]
    write(folder, lines)
    return number + 1, "lost"


def _delete_the_end(folder: Path) -> tuple[int, str]:
    """The event has no other of its attempt after it: the scores need it."""
    lines, number = lines_of(folder), place(folder, "cell_finished")
    del lines[number]
    write(folder, lines)
    return place(folder, "score") + 1, "lost"


def _duplicate(folder: Path) -> tuple[int, str]:
    lines, number = lines_of(folder), place(folder, "incumbent")
    write(folder, [*lines, lines[number]])
    return len(lines) + 1, "repeated"


def _clock(folder: Path) -> tuple[int, str]:
    number = place(folder, "trial", which=2)
    clock = decode(lines_of(folder)[number])["clock"]
    change(folder, number, clock={**clock, "train": 0})
    return number + 1, "clock"


def _visits(folder: Path) -> tuple[int, str]:
    number = place(folder, "trial", which=2)
    change(folder, number, visits=1)
    return number + 1, "visits"


def _trial_again(folder: Path) -> tuple[int, str]:
    number = place(folder, "trial", which=1)
    change(folder, number, number=0)
    return number + 1, "trial"


def _trial_left_out(folder: Path) -> tuple[int, str]:
    number = place(folder, "trial", which=1)
    change(folder, number, number=2)
    return number + 1, "trial"


def _score(folder: Path) -> tuple[int, str]:
    number = place(folder, "score")
    change(folder, number, id="0123456789")
    return number + 1, "score"


def _field(folder: Path) -> tuple[int, str]:
    number = place(folder, "trial")
    change(folder, number, rmse="much")
    return number + 1, "form"


def _kind(folder: Path) -> tuple[int, str]:
    number = place(folder, "trial")
    change(folder, number, kind="trail")
    return number + 1, "form"


def _cell(folder: Path) -> tuple[int, str]:
    number = place(folder, "cell_started")
    change(folder, number, seed=17)
    return number + 1, "form"


def _stranger(folder: Path) -> tuple[int, str]:
    started = decode(lines_of(folder)[place(folder, "cell_started")])
    lines = [*lines_of(folder), encode(started | {"seed": 17, "cell": "planted/d4/random/s17"})]
    write(folder, lines)
    return len(lines), "form"


LOG_DAMAGE = [_flip, _delete, _delete_the_end, _duplicate, _clock, _visits, _trial_again, _trial_left_out]
LOG_DAMAGE += [_score, _field, _kind, _cell, _stranger]


@pytest.mark.parametrize("damage", LOG_DAMAGE, ids=lambda damage: damage.__name__)
def test_the_first_damage_of_a_log_is_named(
    copy: Callable[..., Path], damage: Callable[[Path], tuple[int, str]]
) -> None:
    folder = copy()
    line, kind = damage(folder)
    assert found(folder) == ("events.jsonl", line, kind)
    result = invoke("verify", folder)
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith(f"Damaged ({kind}): '{folder / 'events.jsonl'}', line {line} ")
    assert last.endswith(".")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("study.json", b"{", "no JSON"),
        ("study.json", b"[]", "form"),
        ("study.json", b"{}", "form"),
        ("study.json", b"[" * 100_000, "no JSON"),
        ("manifest.json", b"\xff", "no JSON"),
        ("manifest.json", None, "missing"),
        ("scores.csv", b"", "scores"),
        ("scores.csv", b"\xff\xfe", "scores"),
        ("scores.parquet", b"PAR1", "scores"),
    ],
)
def test_a_damaged_file_is_named(copy: Callable[..., Path], name: str, content: bytes | None, kind: str) -> None:
    folder = copy()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    assert found(folder) == (name, None, kind)


def test_a_plugin_is_as_it_was(copy: Callable[..., Path]) -> None:
    folder = copy()
    (folder / "plugins").mkdir()
    plugin = folder / "plugins" / "mine.py"
    plugin.write_bytes(b"x = 1\n")
    study = json.loads((folder / "study.json").read_text())
    digest = subprocess.run(["sha256sum", plugin], capture_output=True, text=True, check=True).stdout.split()[0]
    study["plugins"] = [{"file": "plugins/mine.py", "sha256": digest}]
    (folder / "study.json").write_text(json.dumps(study))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"resolved_study": study}))
    assert verify(folder).whole
    plugin.write_bytes(b"x = 2\n")
    assert found(folder) == ("mine.py", None, "checksum")
    plugin.unlink()
    assert found(folder) == ("mine.py", None, "missing")


def test_every_number_of_the_scores_is_compared(copy: Callable[..., Path]) -> None:
    folder = copy()
    scores = pd.read_parquet(folder / "scores.parquet")
    for column in scores.select_dtypes("number").columns.drop(["dim", "seed"]):
        if scores[column].notna().any():
            row = scores[column].first_valid_index()
            changed = scores.copy()
            changed.loc[row, column] += 1
            changed.to_parquet(folder / "scores.parquet", index=False)
            assert found(folder) == ("scores.parquet", None, "scores"), column
    scores.to_parquet(folder / "scores.parquet", index=False)
    assert verify(folder).whole


@pytest.mark.parametrize("how", ["less", "more"])
def test_scores_are_those_of_the_log(copy: Callable[..., Path], how: str) -> None:
    folder = copy()
    header, *rows = (folder / "scores.csv").read_text().splitlines(keepends=True)
    (folder / "scores.csv").write_text("".join([header, *(rows[1:] if how == "less" else [*rows, rows[0]])]))
    assert found(folder) == ("scores.csv", None, "scores")
    assert "'automl-cf report' writes it anew" in str(verify(folder).damage)
    write_scores(Run.load(folder))
    assert verify(folder).whole


def test_scores_of_an_unfinished_run_may_be_older(copy: Callable[..., Path]) -> None:
    folder = copy()
    lines = lines_of(folder)
    (folder / "scores.parquet").unlink()
    write(folder, lines[:-1])
    rows = (folder / "scores.csv").read_text().splitlines(keepends=True)
    (folder / "scores.csv").write_text("".join(rows[:-1]))
    checked = verify(folder)
    assert checked.whole
    assert "scores.csv lacks the score" in checked.notes[0]


@pytest.mark.parametrize("how", ["missing", "cut", "flipped", "empty"])
def test_a_checkpoint_that_is_needed_is_loadable(copy: Callable[..., Path], how: str) -> None:
    folder = copy("sif")
    (path,) = (folder / "checkpoints").iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    changed = {"cut": content[:middle], "empty": b""}
    changed["flipped"] = content[:middle] + bytes([content[middle] ^ 64]) + content[middle + 1 :]
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(changed[how])
    assert found(folder) == (path.name, None, "checkpoint")
    with pytest.raises(InputError, match=r"goes on from it; 'automl-cf resume .* --repair'"):
        automl_cf.resume(folder)
    assert "events of the cell 'planted/d4/sif/s1'" in str(repair(folder))
    assert verify(folder).whole
    run.resume(folder)
    assert verify(folder).unfinished == 0


# --- repair and resume ---


def damaged(content: bytes, data: st.DataObject) -> tuple[str, bytes]:
    """A log with one of the damages that happen."""
    lines = content.splitlines(keepends=True)
    kind = data.draw(st.sampled_from(["flipped", "deleted", "duplicated", "truncated", "zeroed"]))
    at = data.draw(st.integers(0, len(content) - 1))
    line = content.count(b"\n", 0, at)
    if kind == "flipped":
        return kind, content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    if kind == "deleted":
        end = data.draw(st.integers(line, min(line + 3, len(lines) - 1)))
        return kind, b"".join(lines[:line] + lines[end + 1 :])
    if kind == "duplicated":
        to = data.draw(st.integers(line + 1, len(lines)))
        return kind, b"".join([*lines[:to], lines[line], *lines[to:]])
    if kind == "truncated":
        return kind, content[:at]
    size = data.draw(st.integers(1, 4096))
    return kind, content[:at] + b"\0" * len(content[at : at + size]) + content[at + size :]


def check_that_repair_goes_on(runs: dict[str, Path], folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(runs)))
    shutil.copytree(runs[name], folder)
    (folder / "scores.csv").unlink(missing_ok=True)
    (folder / "scores.parquet").unlink(missing_ok=True)
    log = folder / "events.jsonl"
    for _ in range(data.draw(st.integers(1, 2))):
        kind, content = damaged(log.read_bytes(), data) if log.stat().st_size else ("truncated", b"")
        log.write_bytes(content)
    before = log.read_bytes()
    checked = verify(folder)
    if kind in ("flipped", "zeroed", "duplicated") and before != (runs[name] / "events.jsonl").read_bytes():
        assert not checked.whole or "torn" in str(checked.notes)
    fit = True
    try:
        check_log(folder)
    except DamageError:
        fit = False
        assert not checked.whole
    repaired = repair(folder)
    assert (repaired.original is None) == fit
    if fit:
        assert log.read_bytes() == before
    else:
        assert repaired.original is not None
        assert repaired.original.read_bytes() == before
        kept, there = lines_of(folder), iter(before.splitlines(keepends=True))
        assert all(line in there for line in kept), "what is kept is kept as it was, and in its order"
        assert repaired.damaged or repaired.lost
    checked = verify(folder)
    assert checked.whole, str(checked)
    run.resume(folder)
    assert trajectory(folder) == trajectory(runs["finished"])
    checked = verify(folder)
    assert (checked.whole, checked.finished) == (True, 3), str(checked)
    kinds = [(e["cell"], e["id"]) for e in read_events(log) if e["kind"] == "score"]
    wanted = [(e["cell"], e["id"]) for e in read_events(runs["finished"] / "events.jsonl") if e["kind"] == "score"]
    assert set(kinds) == set(wanted)


QUICK = settings(
    deadline=None, max_examples=10, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True
)


@given(st.data())
@QUICK
def test_a_repaired_run_comes_to_the_same(
    runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    check_that_repair_goes_on(runs, tmp_path_factory.mktemp("damaged") / "run", data)


@pytest.mark.slow
@given(st.data())
@settings(QUICK, max_examples=150, derandomize=False)
def test_many_repaired_runs_come_to_the_same(
    runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    check_that_repair_goes_on(runs, tmp_path_factory.mktemp("damaged") / "run", data)


def test_a_lost_event_costs_its_own_cell_only(copy: Callable[..., Path]) -> None:
    folder = copy()
    lines, number = lines_of(folder), place(folder, "trial", which=1)
    cell = decode(lines[number])["cell"]
    write(folder, lines[:number] + lines[number + 1 :])
    repaired = repair(folder)
    after = [line for line in lines[number + 1 :] if decode(line)["cell"] == cell]
    assert repaired.damaged == ()
    assert repaired.lost == ((cell, len(after)),)
    assert lines_of(folder) == [line for line in lines if line not in after and line != lines[number]]


def test_damage_at_the_end_of_a_cell_costs_only_itself(copy: Callable[..., Path]) -> None:
    folder = copy()
    lines, number = lines_of(folder), place(folder, "cell_scored")
    write(folder, [*lines[:number], b"?" + lines[number][1:], *lines[number + 1 :]])
    assert repair(folder).lost == ()
    assert lines_of(folder) == lines[:number] + lines[number + 1 :]


def test_what_an_attempt_did_in_vain_need_not_be_whole(copy: Callable[..., Path]) -> None:
    """Its later events were done again by the next attempt, which goes on from before the damage."""
    folder = copy("random")
    log = folder / "events.jsonl"
    run.resume(folder)
    again = [e for e in read_events(log) if e["kind"] == "cell_started" and e["resumed"]]
    assert [e["resumes_after"][0] for e in again if "random" in e["cell"]] == [1]
    point = next(e["resumes_after"][1] for e in again if "random" in e["cell"])
    lines = lines_of(folder)
    last = max(
        i for i, e in enumerate(map(decode, lines)) if "random" in e["cell"] and (e["attempt"], e["n"]) == (1, point)
    )
    extra = decode(lines[last]) | {"kind": "trial_started", "number": 3, "n": point + 2}
    write(folder, [*lines[: last + 1], encode(extra), *lines[last + 1 :]])  # and event point + 1 was lost
    assert found(folder)[2] == "lost"
    assert sum(count for _, count in repair(folder).lost) == 1
    assert lines_of(folder) == lines


def test_resume_refuses_and_repairs_on_request(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for drawing in ("figures.anytime.draw_curve", "report.write_report"):  # which take their time
        monkeypatch.setattr(f"automl_cf.analysis.{drawing}", lambda *arguments: None)
    folder = copy("random")
    line, _ = _flip(folder)
    before = (folder / "events.jsonl").read_bytes()
    for _ in range(2):
        result = invoke("resume", folder)
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1] == (
            f"error: '{folder / 'events.jsonl'}', line {line} is not as it was written: its checksum is another; "
            f"'automl-cf resume {folder} --repair' leaves out what is damaged and goes on from the last good events."
        )
        assert (folder / "events.jsonl").read_bytes() == before
    result = invoke("resume", folder, "--repair")
    assert result.exit_code == 0, result.stderr
    told = result.stderr.splitlines()
    assert (
        f"left out: '{folder / 'events.jsonl'}', line {line} is not as it was written: its checksum is another." in told
    )
    assert f"the log as it was is kept as '{folder / 'events.jsonl.damaged'}'" in told
    assert (folder / "events.jsonl.damaged").read_bytes() == before
    assert verify(folder).whole
    (folder / "events.jsonl").write_bytes(before)
    assert automl_cf.repair(folder).original == folder / "events.jsonl.damaged-2"
    assert automl_cf.resume(folder, repair=True).cells["state"].eq("finished").all()
    assert not (folder / "events.jsonl.damaged-3").exists()


def test_repair_needs_a_log_that_nobody_writes(copy: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy()
    _flip(folder)
    store = Store(folder)
    try:
        with pytest.raises(InputError, match="is being written by a run"):
            repair(folder)
    finally:
        store.close()
    with pytest.raises(InputError, match=r"no events\.jsonl that could be repaired"):
        repair(tmp_path / "nowhere")


def test_many_damaged_lines_are_told_in_few(copy: Callable[..., Path]) -> None:
    folder = copy()
    write(folder, [line for kept in lines_of(folder) for line in (kept, b"?\n")])
    repaired = repair(folder)
    assert len(repaired.damaged) == len(lines_of(folder))
    assert len(str(repaired).splitlines()) == 12
    assert verify(folder).whole


def test_a_file_system_without_links_keeps_a_copy(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*paths: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    folder = copy()
    _flip(folder)
    before = (folder / "events.jsonl").read_bytes()
    monkeypatch.setattr(os, "link", no_links)
    assert repair(folder).original == folder / "events.jsonl.damaged"
    assert (folder / "events.jsonl.damaged").read_bytes() == before
    assert verify(folder).whole


MEASURED = """
import resource, sys
from pathlib import Path
from automl_cf.analysis.verify import verify
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
checked = verify(Path(sys.argv[1]))
assert checked.whole, str(checked)
print(checked.events, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
def test_memory_hardly_grows_with_the_log(tmp_path: Path) -> None:
    """A log of 200 MB: less than 60 bytes an event, whose line has 2,000."""
    stored = StoredRun(tmp_path / "run")
    cell = stored.start("a", 4, "random", 1)
    stored.trial(cell, 0, id="0")
    stored.write()
    head, trial = (decode(line) for line in lines_of(stored.path))
    with (stored.path / "events.jsonl").open("wb") as log:
        log.write(encode(head))
        for n in range(100_000):
            log.write(encode(trial | {"n": n + 2, "number": n, "id": f"{n:010x}", "curve": [0.123456789] * 130}))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(stored.path)], capture_output=True, text=True, check=True
    )
    events, grown = map(int, done.stdout.split())
    assert events == 100_001
    assert grown < 60 * events + 20e6


def test_a_verification_is_a_value(runs: dict[str, Path]) -> None:
    checked = verify(runs["finished"])
    assert isinstance(checked, Verification)
    assert checked == verify(runs["finished"])
