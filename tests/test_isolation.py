"""Hostile candidates and searchers cost themselves only; a cell's process is watched, ended and replaced."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import counted_events, small_study, trajectory

from automl_cf.errors import InputError
from automl_cf.events import Event, read_events
from automl_cf.suite import run
from automl_cf.suite.deaths import Death, condemned, fatal

HOSTILE = str(Path(__file__).with_name("hostile_plugin.py"))
SEARCHERS = ("hanging", "leaking", "crashing", "flooding", "outside", "raising", "lying-one-shot", "bad-candidates")
HONEST = ("random", "bayes", "sif")
LIMITS = {"isolation": "process", "trial_seconds": 20, "memory_gb": 3}
BUDGET = {"trials": 14, "visits": 400_000}


def death(status: str = "crashed", number: int | None = 3, id: str | None = "a", seconds: float = 1.0) -> Death:
    return Death(number, id, status, f"{status} somewhere", "stack", seconds)


def test_a_crash_is_tried_again_once_and_then_recorded() -> None:
    assert condemned([]) is None
    assert condemned([death()]) is None
    assert condemned([death(), death()]) == death(seconds=2.0)
    assert condemned([death(number=2, id="b"), death()]) is None  # another one's
    assert fatal([death(), death()], 2) is None


@pytest.mark.parametrize("status", ["timeout", "out-of-memory"])
def test_what_took_too_much_is_not_tried_again(status: str) -> None:
    assert condemned([death(status)]) == death(status)
    assert condemned([death(), death(status)]) == death(status, seconds=2.0)


def test_a_searcher_that_dies_ends_its_cell() -> None:
    of_searcher = death(number=None, id=None)
    assert condemned([of_searcher]) is None
    assert fatal([of_searcher], 1) is None  # perhaps an accident
    assert fatal([of_searcher, of_searcher], 2) == of_searcher.error
    assert fatal([death("timeout", None, None)], 1) == "timeout somewhere"
    assert fatal([death("timeout"), death()], 2) == "crashed somewhere"  # being told of it killed it
    assert fatal([death(), death(), death()], 3) == "crashed somewhere"


@given(st.lists(st.sampled_from(["crashed", "timeout", "out-of-memory"]), max_size=8), st.booleans())
def test_every_series_of_deaths_without_progress_comes_to_an_end(statuses: list[str], trial: bool) -> None:
    deaths = [death(status) if trial else death(status, None, None) for status in statuses]
    ends = [fatal(deaths[:k], k) is not None for k in range(len(deaths) + 1)]
    assert not ends[0]
    assert len(ends) <= 3 or any(ends[1:4])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("isolation") / "hostile"
    study = small_study(searchers=[*SEARCHERS, *HONEST], plugins=[HOSTILE], budget=BUDGET, limits=LIMITS)
    run.start(study, folder)
    return folder


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("isolation") / "honest"
    run.start(small_study(searchers=HONEST, budget=BUDGET), folder)
    return folder


def of_honest(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {cell: row for cell, row in rows.items() if cell.split("/")[2] in HONEST}


def scores(folder: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for event in counted_events(folder):
        if event["kind"] == "score":
            found.setdefault(event["cell"], []).append((event["id"], event["l2"], event["validation"], event["rmse"]))
    return found


@pytest.mark.slow
def test_the_honest_ones_notice_nothing(hostile: Path, honest: Path) -> None:
    assert of_honest(trajectory(hostile)) == trajectory(honest)
    assert of_honest(scores(hostile)) == scores(honest)
    assert len(scores(honest)) == len(HONEST)


def ends(folder: Path) -> dict[str, Event]:
    kinds = ("cell_finished", "cell_failed")
    return {e["cell"].split("/")[2]: e for e in read_events(folder / "events.jsonl") if e["kind"] in kinds}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("searcher", "error", "stack"),
    [
        ("hanging", "timeout in the search: nothing came of it for 20 s", "in misbehave"),
        ("leaking", "out-of-memory in the search: its process held", "in leak"),
        ("crashing", "crashed in the search: its process was killed by SIGSEGV", "in misbehave"),
        ("flooding", "AutomlCfError: the searcher's architecture has 2", "_bounded"),
        ("raising", "RuntimeError: of a searcher", "in observe"),
        ("lying-one-shot", "AutomlCfError: step() found {'operation': 'no such'}, which is not in the space", "_found"),
    ],
)
def test_a_hostile_searcher_ends_its_cell_with_its_stack(hostile: Path, searcher: str, error: str, stack: str) -> None:
    end = ends(hostile)[searcher]
    assert end["kind"] == "cell_failed"
    assert end["error"].startswith(error)
    assert stack in end["traceback"]


@pytest.mark.slow
def test_proposals_outside_the_space_are_invalid_trials(hostile: Path) -> None:
    assert ends(hostile)["outside"]["reason"] == "trials"
    trials = [e for e in counted_events(hostile) if e["kind"] == "trial" and "/outside/" in e["cell"]]
    assert [trial["status"] for trial in trials] == ["invalid"] * 14


@pytest.mark.slow
def test_a_hostile_candidate_costs_its_trial_only(hostile: Path) -> None:
    trials = [e for e in counted_events(hostile) if e["kind"] == "trial" and "/bad-candidates/" in e["cell"]]
    expected = {
        "good": "ok",
        "nan": "ok",
        "negative": "failed",
        "status": "failed",
        "none": "failed",
        "raise": "failed",
        "exit": "crashed",
        "segfault": "crashed",
        "hang": "timeout",
        "leak": "out-of-memory",
        "curve": "ok",
    }
    assert {trial["architecture"]["deed"]: trial["status"] for trial in trials} == expected
    assert ends(hostile)["bad-candidates"]["reason"] == "exhausted"
    assert all((trial["rmse"] is not None) == (trial["architecture"]["deed"] in ("good", "curve")) for trial in trials)
    hung = next(trial for trial in trials if trial["status"] == "timeout")
    assert hung["seconds"]["train"] >= 20  # what it took is charged
    assert hung["clock"]["train"] >= 20
    died = [e["id"] for e in read_events(hostile / "events.jsonl") if e["kind"] == "process_died" and e["id"]]
    by_deed = {trial["architecture"]["deed"]: died.count(trial["id"]) for trial in trials}
    assert (by_deed["segfault"], by_deed["exit"], by_deed["hang"], by_deed["leak"]) == (2, 2, 1, 1)


@pytest.mark.slow
def test_a_candidate_that_kills_the_retraining_has_no_score(tmp_path: Path) -> None:
    plugin = tmp_path / "late.py"
    plugin.write_text(
        "import os\n"
        "from automl_cf.cf.bias import train_bias\n"
        "from automl_cf.cf.models import ModelFamily, models\n"
        "from automl_cf.searchers import AskTellSearcher, Capabilities, searchers\n"
        "from automl_cf.spaces.architecture import Architecture\n"
        "def train(architecture, task, l2, meter, epochs):\n"
        "    if l2 == 0 and architecture['late']:\n"
        "        os._exit(1)\n"
        "    return train_bias(task.data, task.training, l2=l2, meter=meter)\n"
        "models.register('late')(ModelFamily(train))\n"
        "@searchers.register('late')\n"
        "class Late(AskTellSearcher):\n"
        "    capabilities = Capabilities(fixed_proposals=True)\n"
        "    def propose(self, number):\n"
        "        return Architecture({'model': 'late', 'late': number == 0}) if number < 2 else None\n"
    )
    study = small_study(
        searchers=["late"],
        plugins=[str(plugin)],
        limits=LIMITS,
        training={"l2_grid": [1e-3, 0.0], "search_l2": 1e-3},
        scoring={"points": 2, "top_k": 2},
    )
    run.start(study, tmp_path / "run")
    by_late = {e["architecture"]["late"]: e for e in counted_events(tmp_path / "run") if e["kind"] == "score"}
    assert by_late[True]["status"].startswith("crashed in the retraining: its process ended with status 1")
    assert by_late[True]["rmse"] is None
    assert by_late[False]["status"] == "ok"
    assert "cell_scored" in {e["kind"] for e in counted_events(tmp_path / "run")}


@pytest.mark.slow
def test_an_accident_costs_nothing(honest: Path, tmp_path: Path) -> None:
    """The process of a cell is killed once in each cell; what comes out is the same."""
    killed = set()

    def kill(event: Event) -> None:
        if event["kind"] == "trial" and event["number"] == 4 and event["cell"] not in killed:
            killed.add(event["cell"])
            (child,) = [
                one for one in psutil.Process().children() if "automl_cf.suite.child" in " ".join(one.cmdline())
            ]
            child.kill()

    study = small_study(searchers=HONEST, budget=BUDGET, limits=LIMITS)
    run.start(study, tmp_path / "run", kill)
    assert len(killed) == 3
    assert trajectory(tmp_path / "run") == trajectory(honest)
    assert scores(tmp_path / "run") == scores(honest)


@pytest.mark.slow
def test_the_childs_end_is_the_supervisors_even_in_a_hung_loop(tmp_path: Path) -> None:
    """SIGKILL to the driver while its child is in an endless loop that never gives up Python's lock."""
    plugin = tmp_path / "stuck.py"
    plugin.write_text(
        "import ctypes\n"
        "from automl_cf.searchers import AskTellSearcher, searchers\n"
        "@searchers.register('stuck')\n"
        "class Stuck(AskTellSearcher):\n"
        "    def propose(self, number):\n"
        "        ctypes.PyDLL(None).sleep(600)\n"  # PyDLL keeps the lock
    )
    study = small_study(searchers=["stuck"], plugins=[str(plugin)], limits={"isolation": "process"})
    code = "import sys; from pathlib import Path; from automl_cf.suite import run\n"
    code += "run.start(run.read_study(sys.argv[1]), Path(sys.argv[2]))"
    (tmp_path / "study.json").write_text(study.model_dump_json())
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "study.json"), str(tmp_path / "run")])
    log = tmp_path / "run" / "events.jsonl"
    while not log.exists() or b"cell_started" not in log.read_bytes():
        assert driver.poll() is None
        time.sleep(0.1)
    time.sleep(3)  # into the loop
    (child,) = psutil.Process(driver.pid).children()
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    child.wait(timeout=10)
    assert not child.is_running()


def test_a_searcher_of_main_is_refused_where_no_child_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_cf.searchers import AskTellSearcher, searchers

    class Mine(AskTellSearcher):
        def propose(self, number):  # type: ignore[no-untyped-def]
            return None

    Mine.__module__ = "__main__"
    monkeypatch.setitem(searchers._registered, "mine", Mine)
    study = small_study(searchers=["mine"], limits={"isolation": "process"})
    with pytest.raises(InputError, match="defined in __main__, where no worker finds it"):
        run.start(study, tmp_path / "run")
