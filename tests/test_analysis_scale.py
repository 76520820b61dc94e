"""The measurement of the analysis of a large run, on a small one."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from automl_cf.analysis.run import Run
from automl_cf.benchmarks import analysis_scale
from automl_cf.benchmarks.analysis_scale import FAILING, ONE_SHOT, SCORED, SEARCHERS, Size, make_run, measure
from automl_cf.events import effective, read_events


def test_the_size_is_the_one_that_is_promised() -> None:
    size = Size()
    assert (size.searchers * size.seeds, size.events) == (200, 10_000)
    assert len(set(SEARCHERS)) == len(SEARCHERS) == 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale") / "run"
    make_run(folder, Size(searchers=5, seeds=FAILING // 5 + 1, events=100))
    return folder


def test_the_made_up_run_is_one(folder: Path) -> None:
    run = Run.load(folder)
    events = effective(read_events(folder / "events.jsonl"))
    counts = Counter(event["cell"] for event in events)
    assert len(counts) == len(run.cells) == 5 * (FAILING // 5 + 1)
    assert all(99 <= count <= 102 + SCORED for count in counts.values())
    states = run.cells["state"].value_counts().to_dict()
    assert states == {"finished": len(run.cells) - 1, "failed": 1}
    one_shot = run.cells["searcher"].isin(ONE_SHOT)
    assert one_shot.sum() == FAILING // 5 + 1
    assert (run.cells.loc[one_shot, "trials"] == 0).all()
    assert (run.cells.loc[~one_shot, "trials"] >= 40).all()
    assert set(run.scores["cell"]) == set(run.cells.loc[run.cells["state"] == "finished", "cell"])
    assert (run.scores.groupby("cell")["final"].sum() == 1).all()
    assert run.scores["curve"].map(len).between(15, 30).all()
    lines = [line for line in (folder / "events.jsonl").read_text().splitlines() if '"kind":"trial"' in line]
    assert 1000 < sum(map(len, lines)) / len(lines) < 2000


@pytest.mark.parametrize("work", ["load", "statistics"])
def test_what_is_measured(folder: Path, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_scale, "on_one_core", lambda: None)
    found = measure(work, folder)
    assert set(found) == {"imports", "seconds", "busy", "memory"}
    assert found["seconds"] > 0
    assert found["memory"] > 10


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--searchers", "3", "--seeds", "3", "--events", "60", "--folder", str(tmp_path / "run")]
    analysis_scale.main(arguments)
    report = capsys.readouterr().out
    assert "3 searchers x 3 seeds" in report
    rows = re.findall(r"^\| (.*) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d,]+) \|$", report, re.MULTILINE)
    assert len(rows) == 3
    assert json.loads((tmp_path / "run" / "study.json").read_text())["seeds"] == [1, 2, 3]
    assert (tmp_path / "run" / "summary.md").exists()
