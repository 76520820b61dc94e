"""Whole runs: repeated, killed, resumed, refused."""

import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_runs import counted_events, small_study, start_process, trajectory

from automl_cf.analysis.run import Run
from automl_cf.analysis.summary import write_summary
from automl_cf.analysis.tables import cell_table
from automl_cf.cf.bias import train_bias
from automl_cf.cf.data import load
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import ModelFamily, models
from automl_cf.cf.splits import random_split
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import read_events
from automl_cf.searchers import AskTellSearcher, searchers
from automl_cf.spaces.architecture import Architecture
from automl_cf.suite import run
from automl_cf.suite import scoring as scoring_module


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    run.start(small_study(), folder)
    return folder


def test_every_cell_ends_and_is_scored(finished: Path) -> None:
    kinds = Counter((event["cell"], event["kind"]) for event in counted_events(finished))
    for cell in small_study().cells():
        assert kinds[cell.id, "cell_finished"] == 1
        assert kinds[cell.id, "cell_scored"] == 1
        assert kinds[cell.id, "score"] >= 1


def test_scores_equal_a_retraining_by_hand(finished: Path) -> None:
    """The bias model's test RMSE from an independent dense ridge solution."""
    dataset = load("planted", **small_study().datasets[0].options)
    split = random_split(dataset.ratings, 1)
    train, test = split.train, split.test
    assert test is not None
    score = next(e for e in counted_events(finished) if e["kind"] == "score" and "bias-only" in e["cell"])
    n_users, n_items = train.shape
    design = np.zeros((len(train), n_users + n_items))
    design[np.arange(len(train)), train.indices[:, 0]] = 1
    design[np.arange(len(train)), n_users + train.indices[:, 1]] = 1
    target = (train.values.astype(float) - split.mean) / split.std
    gram = design.T @ design * 2 / len(train) + score["l2"] * np.eye(n_users + n_items)
    bias = np.linalg.solve(gram, design.T @ target * 2 / len(train))
    predicted = split.mean + split.std * (bias[test.indices[:, 0]] + bias[n_users + test.indices[:, 1]])
    assert score["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - test.values) ** 2)), abs=1e-4)
    assert score["rmse_std"] == pytest.approx(score["rmse"] / dataset.ratings.values.std(), rel=1e-5)
    assert dataset.truth is not None
    noise_free = dataset.truth.noise_free(test.indices)
    assert score["truth_rmse"] == pytest.approx(np.sqrt(np.mean((predicted - noise_free) ** 2)), abs=1e-4)

    assert score["ranking"] is None  # planted ratings have no fives


def test_no_clock_decides_what_is_scored_under_a_budget_of_trials(finished: Path) -> None:
    study = small_study(budget={"trials": 6, "visits": 400_000})
    events = [event for event in counted_events(finished) if "/random/" in event["cell"] and event["kind"] != "score"]
    slower = [event | {"clock": dict.fromkeys(event["clock"], 7.0 * n)} for n, event in enumerate(events)]
    assert scoring_module.to_score(study, slower) == scoring_module.to_score(study, events) != []


def test_fives_are_ranked(tmp_path: Path) -> None:
    """Hit and NDCG of the bias model, one user after the other; there are no ties."""
    rng = np.random.default_rng(0)
    cells = np.argwhere(rng.random((30, 40)) < 0.5)
    ratings = np.clip(np.rint(3 + rng.normal(size=40)[cells[:, 1]] + rng.normal(size=len(cells))), 1, 5)
    path = tmp_path / "stars.csv"
    pd.DataFrame({"user": cells[:, 0], "item": cells[:, 1], "rating": ratings}).to_csv(path, index=False)
    study = small_study(datasets=[str(path)], searchers=["bias-only"], training={"l2_grid": [1e-3]})
    run.start(study, tmp_path / "run")
    found = Run.load(tmp_path / "run").scores.iloc[0]
    split = random_split(load(path).ratings, 1)
    fit = train_bias(split.for_search(), study.training, l2=found["l2"], meter=NullMeter())
    test = split.test
    assert test is not None
    assert fit.model is not None
    table = pd.DataFrame({"user": test.indices[:, 0], "five": test.values == 5})
    table["score"] = fit.model.predict(test.indices)
    hits, gains = [], []
    for _, items in table.groupby("user"):
        if items["five"].any():
            top = items.sort_values("score", ascending=False)["five"].to_numpy()[:5]
            discount = 1 / np.log2(np.arange(2, 7))
            hits.append(top.any())
            gains.append(discount[: len(top)][top].sum() / discount[: items["five"].sum()].sum())
    assert 0.2 < np.mean(gains) < 1
    assert found["hit@5"] == pytest.approx(np.mean(hits))
    assert found["ndcg@5"] == pytest.approx(np.mean(gains))
    assert "| Searcher | Hit@5 | Hit@10 | NDCG@5 |" in write_summary(Run.load(tmp_path / "run")).read_text()


def test_a_model_that_raises_in_the_retraining_costs_its_own_score_only(tmp_path, monkeypatch) -> None:
    """As one that can be trained at the search's l2, but not at all of the grid."""

    def train(architecture, task, l2, meter, epochs):  # type: ignore[no-untyped-def]
        if l2 == 0:
            raise np.linalg.LinAlgError("singular\nmatrix")
        return train_bias(task.data, task.training, l2=l2, meter=meter)

    class Fragile(searchers.get("bias-only")):  # type: ignore[misc]
        def propose(self, number):  # type: ignore[no-untyped-def]
            return Architecture({"model": "fragile"}) if number == 0 else None

    monkeypatch.setitem(models._registered, "fragile", ModelFamily(train))
    monkeypatch.setitem(searchers._registered, "fragile", Fragile)
    run.start(small_study(searchers=["fragile", "bias-only"], budget={"trials": 1}), tmp_path / "run")
    table = cell_table(Run.load(tmp_path / "run")).set_index("searcher")
    assert table.loc["fragile", "problem"] == "retraining what it found: LinAlgError: singular matrix"
    assert table.loc["bias-only", "problem"] is None or pd.isna(table.loc["bias-only", "problem"])
    assert table.loc["bias-only", "rmse_std"] > 0
    run.resume(tmp_path / "run")  # which has nothing left to do


def test_a_models_numpy_numbers_are_recorded(tmp_path, monkeypatch) -> None:
    def train(architecture, task, l2, meter, epochs):  # type: ignore[no-untyped-def]
        fit = train_bias(task.data, task.training, l2=l2, meter=meter)
        return replace(fit, rmse=np.float32(fit.rmse), best_epoch=np.int64(1), curve=(np.float32(fit.rmse),))

    class Other(searchers.get("bias-only")):  # type: ignore[misc]
        def propose(self, number):  # type: ignore[no-untyped-def]
            return Architecture({"model": "other"}) if number == 0 else None

    monkeypatch.setitem(models._registered, "other", ModelFamily(train))
    monkeypatch.setitem(searchers._registered, "other", Other)
    run.start(small_study(searchers=["other"], budget={"trials": 1}), tmp_path / "run")
    assert Run.load(tmp_path / "run").scores["rmse_std"].notna().all()


def test_the_same_seed_gives_the_same_trajectory_in_another_process(finished: Path, tmp_path: Path) -> None:
    process = start_process(small_study(), tmp_path / "again")
    assert process.wait(120) == 0
    assert trajectory(tmp_path / "again") == trajectory(finished)


def test_killed_and_resumed_equals_uninterrupted(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    process = start_process(small_study(), folder)
    log = folder / "events.jsonl"
    kills = 0
    for lines in (6, 25, 60):  # in three different cells
        while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < lines):
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        before = log.read_bytes()
        process = start_process(small_study(), folder, "resume")
        while process.poll() is None and log.stat().st_size <= len(before):
            time.sleep(0.005)
        whole = before[: before.rfind(b"\n") + 1]
        assert log.read_bytes().startswith(whole), "an acknowledged event was lost"
    assert process.wait(120) == 0
    assert kills == 3
    assert trajectory(folder) == trajectory(finished)
    ends = Counter(e["cell"] for e in read_events(log) if e["kind"] == "cell_finished")
    assert set(ends.values()) == {1}, "a finished cell was run again"
    trials = Counter((e["cell"], e["number"]) for e in counted_events(folder) if e["kind"] == "trial")
    assert set(trials.values()) == {1}


def test_resume_of_a_finished_run_changes_nothing(finished: Path) -> None:
    before = (finished / "events.jsonl").read_bytes()
    run.resume(finished)
    assert (finished / "events.jsonl").read_bytes() == before


def test_a_run_that_died_when_all_was_scored_but_not_said_says_so(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    log = tmp_path / "run" / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert b'"kind":"cell_scored"' in lines[-1]
    log.write_bytes(b"".join(lines[:-1]))
    run.resume(tmp_path / "run")
    kinds = Counter(event["kind"] for event in counted_events(tmp_path / "run"))
    before = Counter(event["kind"] for event in counted_events(finished))
    assert kinds["cell_scored"] == before["cell_scored"]
    assert kinds["score"] == before["score"]  # nothing is retrained again


def test_a_torn_last_line_is_passed_over(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    folder.mkdir()
    for name in ("study.json", "manifest.json"):
        (folder / name).write_bytes((finished / name).read_bytes())
    log = (finished / "events.jsonl").read_bytes()
    cut = log[: len(log) // 2]
    assert not cut.endswith(b"\n")
    (folder / "events.jsonl").write_bytes(cut)
    run.resume(folder)
    assert trajectory(folder) == trajectory(finished)


def test_no_search_holds_the_test_part(monkeypatch: pytest.MonkeyPatch, finished: Path, tmp_path: Path) -> None:
    """All test ratings NaN: the searches go the same way, the scores have no test RMSE."""

    def poisoned(*args: object, **kwargs: object) -> object:
        split = random_split(*args, **kwargs)  # type: ignore[arg-type]
        assert split.test is not None
        test = replace(split.test, values=np.full_like(split.test.values, np.nan))
        return replace(split, test=test)

    monkeypatch.setattr(run, "random_split", poisoned)
    run.start(small_study(), tmp_path / "poisoned")
    assert trajectory(tmp_path / "poisoned") == trajectory(finished)
    assert all(e["rmse"] is None for e in counted_events(tmp_path / "poisoned") if e["kind"] == "score")


def test_a_searcher_that_raises_ends_its_own_cell_only(tmp_path: Path) -> None:
    class Broken(AskTellSearcher):
        def propose(self, number: int) -> None:
            raise ZeroDivisionError("on purpose")

    searchers.register("broken-for-test")(Broken)
    try:
        run.start(small_study(searchers=["broken-for-test", "bias-only"]), tmp_path / "r")
    finally:
        del searchers._registered["broken-for-test"]
    kinds = {(e["cell"].split("/")[2], e["kind"]): e for e in counted_events(tmp_path / "r")}
    assert "on purpose" in kinds["broken-for-test", "cell_failed"]["error"]
    assert "ZeroDivisionError" in kinds["broken-for-test", "cell_failed"]["traceback"]
    assert ("bias-only", "cell_scored") in kinds


def test_think_time_is_charged(tmp_path: Path) -> None:
    class Slow(AskTellSearcher):
        def propose(self, number: int) -> object:  # type: ignore[override]
            time.sleep(0.05)
            return self.space.sample(self.rng)

    searchers.register("slow-for-test")(Slow)
    try:
        run.start(small_study(searchers=["slow-for-test"], budget={"trials": 4}), tmp_path / "r")
    finally:
        del searchers._registered["slow-for-test"]
    last = [e for e in counted_events(tmp_path / "r") if e["kind"] == "cell_finished"][-1]
    assert last["clock"]["think"] >= 4 * 0.05


def test_scoring_is_done_by_other_code_and_only_once(
    finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With all but the last scores cut off, resume scores what is missing and nothing else."""
    events = read_events(finished / "events.jsonl")
    first_score = next(i for i, e in enumerate(events) if e["kind"] == "score")
    folder = tmp_path / "cut"
    folder.mkdir()
    for name in ("study.json", "manifest.json"):
        (folder / name).write_bytes((finished / name).read_bytes())
    lines = (finished / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[: first_score + 1]))
    scored: list[str] = []
    original = scoring_module._score

    def counted(job: object, task: object, architecture: Architecture) -> dict[str, object]:
        scored.append(architecture.id)
        return original(job, task, architecture)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring_module, "_score", counted)
    run.resume(folder)
    assert sorted(scored) == sorted(e["id"] for e in events[first_score + 1 :] if e["kind"] == "score")


def test_two_runs_on_one_folder(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a run already"):
        run.start(small_study(), finished)
    first = start_process(small_study(), tmp_path / "shared")
    while not (tmp_path / "shared" / "events.jsonl").exists():
        time.sleep(0.01)
    with pytest.raises(InputError, match="another run"):
        run.resume(tmp_path / "shared")
    first.kill()
    first.wait()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"not empty, 'thesis.tex'"):
        run.start(small_study(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("there", [False, True])
def test_a_refused_study_leaves_nothing(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    nowhere = {"name": str(tmp_path / "nowhere.csv")}
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        run.start(small_study(datasets=[nowhere]), folder)
    assert folder.exists() == there
    assert not there or not list(folder.iterdir())


def test_resume_refuses_changed_data(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    changed = small_study(datasets=[{"name": "planted", "options": {**small_study().datasets[0].options, "seed": 9}}])
    (folder / "study.json").write_text(changed.model_dump_json())
    (folder / "events.jsonl").write_bytes((finished / "events.jsonl").read_bytes())
    with pytest.raises(InputError, match="data have changed"):
        run.resume(folder)


def test_a_full_disk_is_explained_and_resumable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    room = [8]

    def full(descriptor: int, line: bytes) -> int:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        return real(descriptor, line)

    with monkeypatch.context() as patch:
        patch.setattr("automl_cf.suite.store.os.write", full)
        with pytest.raises(AutomlCfError, match="No space left"):
            run.start(small_study(searchers=["random"]), tmp_path / "full")
    run.resume(tmp_path / "full")
    run.start(small_study(searchers=["random"]), tmp_path / "roomy")
    assert trajectory(tmp_path / "full") == trajectory(tmp_path / "roomy")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_explained(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        run.start(small_study(), tmp_path / "run")


def test_a_folder_under_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run.start(small_study(), tmp_path / "file" / "run")


def test_more_gpus_than_there_are(tmp_path: Path) -> None:
    for backend in ("inline", "ray"):
        study = small_study(
            resources={"backend": backend, "gpus_per_cell": 64, "workers": 1}, training={"engine": "reference"}
        )
        with pytest.raises(InputError, match="64"):
            run.start(study, tmp_path / backend)
        assert not (tmp_path / backend / "study.json").exists()  # so that the folder can be used
