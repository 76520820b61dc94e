"""A short fault campaign, and that the campaign would notice."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from small_runs import small_study

from automl_cf.benchmarks import faults
from automl_cf.events import encode
from automl_cf.suite import run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "run"
    run.start(small_study(searchers=["random", "bias-only"]), folder)
    return folder


def damaged(finished: Path, folder: Path, change: dict[str, object] | None, kind: str) -> faults.Outcome:
    """What is said of a copy whose last event of a kind was left out, doubled or changed."""
    shutil.copytree(finished, folder)
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    at = max(i for i, line in enumerate(lines) if b'"kind":"%s"' % kind.encode() in line)
    if change is None:
        del lines[at]
    else:
        event = {key: value for key, value in json.loads(lines[at]).items() if key != "crc"} | change
        lines.insert(at, encode(event))
        if "n" not in change:
            del lines[at + 1]
    (folder / "events.jsonl").write_bytes(b"".join(lines))
    outcome = faults.Outcome("inline")
    faults._Result(folder).compare(faults._Result(finished), outcome)
    return outcome


def test_nothing_is_found_where_nothing_is_wrong(finished: Path) -> None:
    outcome = faults.Outcome("inline", Counter(driver=3))
    faults._Result(finished).compare(faults._Result(finished), outcome)
    assert outcome.faults == 0


@pytest.mark.parametrize(
    ("change", "kind", "fault"),
    [
        (None, "cell_scored", "incomplete"),
        (None, "cell_finished", "incomplete"),
        (None, "trial", "different"),
        (None, "score", "different"),
        ({"rmse": 0.5}, "trial", "different"),
        ({"rmse": 0.5}, "score", "different"),
        ({"n": 9000}, "trial", "duplicated"),
        ({"n": 9000}, "cell_finished", "duplicated"),
    ],
)
def test_each_fault_is_found(
    finished: Path, tmp_path: Path, change: dict[str, object] | None, kind: str, fault: str
) -> None:
    assert getattr(damaged(finished, tmp_path / "run", change, kind), fault) > 0


def test_a_lost_line_is_found(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    watched = faults._Run(tmp_path / "run", "inline")
    before = watched.whole_lines()
    assert watched.missing(before) == 0
    lines = before.splitlines(keepends=True)
    watched.log.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert watched.missing(before) > 0


@pytest.mark.slow
def test_some_kills_change_nothing() -> None:
    outcomes = faults.campaign(4, seed=11)
    assert [outcome for outcome in outcomes if outcome.faults] == []
    assert sum(outcome.kills.total() for outcome in outcomes) == 4
