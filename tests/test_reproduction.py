"""The paper's studies, exhibits and claims: on planted truths and tiny runs, and on what is committed."""

import gzip
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stored_runs import Found, StoredRun

from automl_cf.analysis.run import Run
from automl_cf.errors import InputError
from automl_cf.reproduction import carrying_out, claims, drawing, leak, studies, transfer
from automl_cf.reproduction.exhibits import EXHIBITS
from automl_cf.reproduction.frames import CHOSEN, at_chosen_dimension, dimensions_chosen, without_repeats
from automl_cf.reproduction.reasons import read_reasons
from automl_cf.suite.study import Study, make_study


@pytest.mark.parametrize("name", studies.names())
def test_studies_are_valid_at_both_scales_and_the_quick_one_is_smaller(name):
    full, quick = studies.read(name, "full"), studies.read(name, "quick")
    assert len(quick.seeds) < len(full.seeds)
    assert len(quick.cells()) < len(full.cells())
    assert {dataset.title for dataset in quick.datasets} == {dataset.title for dataset in full.datasets}
    assert set(quick.dims) <= set(full.dims)
    titles = {entry.title for entry in full.searchers}
    assert {"bias-only", "all"} & titles
    assert "all" in titles or {entry.title for entry in quick.searchers} <= titles


def test_every_study_is_of_an_exhibit_or_of_the_report_and_exhibits_have_theirs():
    used = {study for exhibit in EXHIBITS.values() for study in exhibit.studies}
    assert used | {"leak"} == set(studies.names())
    for exhibit in EXHIBITS.values():
        assert {study for picture in exhibit.pictures for study in picture.studies} <= set(exhibit.studies)
    places = {exhibit.place for exhibit in EXHIBITS.values()}
    assert {f"Table {n}" for n in range(3, 8)} | {f"Figure {n}" for n in range(2, 9)} <= places


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match=r"There is no .table-9. to reproduce\. Did you mean"):
        carrying_out.reproduce("table-9", "quick", "nowhere")
    with pytest.raises(InputError, match="There is no study 'method'"):
        studies.read("method", "quick")


@pytest.mark.parametrize(
    ("speaks", "verdict"),
    [
        (["for", "for"], "supported"),
        (["against", "undecided"], "not supported"),
        (["for", "against", "undecided"], "mixed"),
        (["for", "undecided"], "undecided"),
        (["undecided"], "undecided"),
        ([], "undecided"),
    ],
)
def test_a_verdict_follows_by_rule(speaks, verdict):
    assert claims.verdict(pd.DataFrame({"speaks": speaks})) == verdict


def _run(folder: Path, errors: dict[tuple[str, int], list[float]], seconds: dict[str, float] | None = None) -> Run:
    """A run of searchers at dimensions, with the validation and test errors of each seed: equal ones."""
    stored = StoredRun(folder)
    for (searcher, dim), values in errors.items():
        for seed, value in enumerate(values, start=1):
            after = (seconds or {}).get(searcher, 1.0)
            stored.cell("ml", dim, searcher, seed, [Found(after, value, 0.5, score={"validation": value})])
    return Run.load(stored.write())


def test_validation_chooses_a_dimension_for_each_searcher_and_seed(tmp_path):
    run = _run(tmp_path / "r", {("a", 2): [0.8, 0.9], ("a", 8): [0.85, 0.7], ("b", 2): [0.5, 0.5]})
    chosen = at_chosen_dimension(run)
    assert set(chosen.cells["dim"]) == {CHOSEN}
    found = dimensions_chosen(run).set_index(["searcher", "seed"])["dim"].to_dict()
    assert found == {("a", 1): 2, ("a", 2): 8, ("b", 1): 2, ("b", 2): 2}
    assert set(chosen.scores["cell"]) == set(chosen.cells["cell"])


def test_what_an_earlier_run_has_is_not_there_twice(tmp_path):
    first = _run(tmp_path / "1", {("a", 2): [0.8], ("b", 2): [0.9]})
    second = _run(tmp_path / "2", {("b", 2): [0.9], ("c", 2): [0.7]})
    kept = without_repeats([first, second])
    assert [list(run.cells["searcher"]) for run in kept] == [["a", "b"], ["c"]]
    assert [list(run.cells["searcher"]) for run in without_repeats([first, second], ["b"])] == [["b"]]


def test_claims_on_planted_differences(tmp_path):
    rng = np.random.default_rng(0)
    base = 0.85 + rng.normal(0, 0.005, 6)
    small = lambda: rng.normal(0, 1e-4, 6)  # noqa: E731
    run = _run(
        tmp_path / "r",
        {
            ("sif", 8): list(base - 0.02 + small()),
            ("random", 8): list(base + small()),
            ("bias-only", 8): list(base - 0.03 + small()),
            ("sif-no-auto", 8): list(base - 0.02 + small()),
        },
    )
    found = claims.pairs(claims.cell_table(run), run, "sif", ("random", "bias-only", "sif-no-auto", "rl"))
    speaks = found.set_index("other")["speaks"].to_dict()
    assert speaks == {"random": "for", "bias-only": "against", "sif-no-auto": "against"}
    row = found.set_index("other").loc["random"]
    assert row["mean"] == pytest.approx(-0.02, abs=5e-4)
    assert row["low"] < row["mean"] < row["high"]
    several = claims.pairs(claims.cell_table(run), run, ["sif", "random"], ("bias-only", "sif"))
    assert list(zip(several["first"], several["other"], strict=True)) == [("random", "bias-only"), ("sif", "bias-only")]


def test_speed_is_the_time_to_what_the_rival_delivers(tmp_path):
    errors = {("sif", 8): [0.8, 0.81, 0.8], ("random", 8): [0.9, 0.9, 0.9], ("rl", 8): [0.7, 0.7, 0.9]}
    run = _run(tmp_path / "r", errors, {"sif": 1.5, "random": 7.5, "rl": 3.5})
    found = claims._time_to_match(run, "sif", ("random", "rl", "bayes"), dim=8).set_index("other")
    assert found.loc["random", "mean"] == pytest.approx(2.0 / 8.0)  # with half a second of retraining
    assert found.loc["random", "n"] == 3
    assert found.loc["rl", "n"] == 1
    assert found.loc["rl", "speaks"] == "against"  # on two of three seeds it never gets there


def test_the_leak_is_the_difference_of_two_selections(tmp_path):
    stored = StoredRun(tmp_path / "r")
    for seed in (1, 2):
        tried = [(0.80, 0.86), (0.81, 0.82), (0.90, 0.95)]
        found = [
            Found(1.0 + n, test, operation=op, score={"validation": validation})
            for n, ((validation, test), op) in enumerate(zip(tried, ("plus", "min", "max"), strict=True))
        ]
        stored.cell("ml", 8, "random", seed, found)
        stored.cell("ml", 8, "bias-only", seed, [Found(1.0, 0.84)])
    rows = leak.optimism(Run.load(stored.write()))
    assert list(rows["searcher"]) == ["random"]
    row = rows.iloc[0]
    assert (row["by_validation"], row["by_test"], row["candidates"]) == pytest.approx((0.86, 0.82, 3))
    assert row["mean"] == pytest.approx(-0.04)


def test_sources_are_told_apart_and_averaged(tmp_path):
    stored = StoredRun(tmp_path / "r")
    for source, value in {"ml d8 s1": 0.8, "ml d8 s2": 0.82, "ml d2 s1": 0.9, "other d8 s1": 0.7}.items():
        for dim in (2, 8):
            stored.cell("ml", dim, source, 1, [Found(1.0, value)])
    means = transfer.by_source(Run.load(stored.write())).set_index(["dim", "searcher"])["rmse_std"].to_dict()
    assert means == pytest.approx(
        {
            (8, "here"): 0.81,
            (8, "at dimension 2"): 0.9,
            (8, "on other"): 0.7,
            (2, "here"): 0.9,
            (2, "at dimension 8"): 0.81,
        }
    )


def test_reasons_are_of_claims_and_without_numbers(tmp_path):
    assert read_reasons(tmp_path) == {}
    file = tmp_path / "reasons.toml"
    file.write_text('faster = "another machine, on ml-1m as well"\n')
    assert read_reasons(tmp_path) == {"faster": "another machine, on ml-1m as well"}
    file.write_text('faster = "it takes 3 times as long"\n')
    with pytest.raises(InputError, match="must be a text without numbers"):
        read_reasons(tmp_path)
    file.write_text('fast = "a machine"\n')
    with pytest.raises(InputError, match=r"which is no claim\. Did you mean .faster."):
        read_reasons(tmp_path)


def _tiny(name: str, scale: studies.Scale) -> Study:
    """A study of the paper, quick, with planted data in the place of its own and next to no budget."""
    values = _READ(name, scale).model_dump(mode="json", exclude={"skipped"})
    tensor = name.startswith("tensor")
    planted = {"users": 40, "items": 30, "density": 0.3, "dim": 2, "more": [3] if tensor else []}
    planted |= {"operation": "plus(multiply(1,2),3)"} if tensor else {}
    label = values["datasets"][0]["label"] or values["datasets"][0]["name"]
    values["datasets"] = [{"name": "planted", "label": label, "options": planted}]
    left_out = {"rl", "sif-ensemble", "sif-robust", "darts", "snas", "asha"}
    labels = {"relu-10", "relu-15", "relu-20", "tanh-10", "tanh-15", "tanh-20", "sigmoid-15", "sigmoid-20"}
    values["searchers"] = [
        entry for entry in values["searchers"] if entry["name"] not in left_out and entry["label"] not in labels
    ]
    values["budget"] = {"trials": 2, "visits": 20_000}
    values["training"] |= {"max_epochs": 2, "batch_size": 256, "l2_grid": [0.0, 1e-4]}
    values["resources"] = {"backend": "inline"}
    return make_study({**values, "seeds": [1, 2], "scoring": {"points": 1, "top_k": 2}}, name)


_READ = studies.read


@pytest.fixture
def _roughly(monkeypatch):
    """Pictures of few pixels: drawing them is most of what such small studies take."""
    monkeypatch.setattr(drawing, "_DPI", 30)


@pytest.mark.slow
@pytest.mark.usefixtures("_roughly")
def test_all_is_made_once_and_then_only_read(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "read", _tiny)
    monkeypatch.setattr(carrying_out, "_WHERE_DATA_ARE", frozenset())
    began = []

    def around(study, folder):
        began.append(study.name)
        return nullcontext()

    written = carrying_out.reproduce("all", "quick", tmp_path, around=around)
    assert {path.stem for path in written} == {*EXHIBITS, "REPRODUCTION"}
    assert set(began) == {*studies.names(), *transfer.TARGETS}
    text = written[-1].read_text()
    for claim in claims.CLAIMS.values():
        assert f"### {claim.says}: " in text
    assert "bias-only" in text
    for name, exhibit in EXHIBITS.items():
        assert f"exhibits/{name}.md" in text
        page = (tmp_path / "exhibits" / f"{name}.md").read_text()
        assert "could not be drawn" not in page, page
        assert page.count("![") == len(exhibit.pictures)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pdf"}
    monkeypatch.setattr(studies.api, "run_study", None)  # nothing is run again
    carrying_out.reproduce(["table-5", "figure-8"], "quick", tmp_path, around=around)
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(InputError, match=r"holds a run of another study or scale \(budget differ\)"):
        studies.carry_out(
            _tiny("methods", "quick").model_copy(
                update={"budget": _tiny("trials", "quick").budget.model_copy(update={"trials": 9})}
            ),
            tmp_path / "runs" / "methods",
        )


ROOT = Path(__file__).parent.parent
PAPER = ROOT / "results" / "paper"


def test_only_reading_makes_what_can_be_made_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "read", _tiny)
    monkeypatch.setattr(carrying_out, "_WHERE_DATA_ARE", frozenset())
    with pytest.raises(InputError, match=r"No run of scale quick is in .*; leave out --only-read"):
        carrying_out.reproduce("all", "quick", tmp_path, only_read=True)
    carrying_out.reproduce("figure-8", "quick", tmp_path)
    monkeypatch.setattr(studies.api, "run_study", None)
    monkeypatch.setattr(studies.api, "resume", None)
    written = carrying_out.reproduce("all", "quick", tmp_path, report=tmp_path / "R.md", only_read=True)
    assert [path.stem for path in written] == ["figure-8", "R"]
    text = written[-1].read_text()
    assert "### SIF's space is easier to search than general ones of perceptrons: " in text
    assert "![SIF's space is easier" in text
    assert "table-3" not in text
    assert "Not run: " in text
    with pytest.raises(InputError, match="table-5: none of the studies that it is made of was run: k-operations"):
        carrying_out.reproduce("table-5", "quick", tmp_path, only_read=True)
    with pytest.raises(InputError, match=r"The report cannot be .*nowhere.* is no folder"):
        carrying_out.reproduce("all", "quick", tmp_path, report=tmp_path / "nowhere" / "R.md")
    with pytest.raises(InputError, match=r"The report cannot be .*: it is a folder"):
        carrying_out.reproduce("all", "quick", tmp_path, report=tmp_path)
    with pytest.raises(InputError, match=r"The report 'R\.md' is of all"):
        carrying_out.reproduce("figure-8", "quick", tmp_path, report="R.md", only_read=True)
    log = tmp_path / "runs" / "spaces" / "events.jsonl.gz"
    lines = gzip.decompress(log.read_bytes()).splitlines(keepends=True)
    log.write_bytes(gzip.compress(b"".join(lines[:-1])))
    with pytest.raises(InputError, match=r"events\.jsonl\.gz' has no end of 1 of its cells, such as "):
        carrying_out.reproduce("figure-8", "quick", tmp_path, only_read=True)
    log.write_bytes(gzip.compress(b"".join([*lines[:5], *lines[6:]])))
    with pytest.raises(InputError, match=r"is missing; bring back the log as it was, or remove the run\.$"):
        carrying_out.reproduce("figure-8", "quick", tmp_path, only_read=True)


def test_a_run_of_all_searchers_stays_one_of_its_study_when_there_are_more(tmp_path):
    """What a later version registers must not make committed runs those of another study."""
    study = studies.read("searchers", "full")
    known = study.model_copy(update={"searchers": study.searchers[1:3]})
    (tmp_path / "study.json").write_text(known.model_dump_json())
    assert studies.with_searchers(study, tmp_path).searchers == known.searchers
    assert len(studies.with_searchers(study, tmp_path / "empty").searchers) > 20


@pytest.mark.slow
@pytest.mark.usefixtures("_roughly")
def test_what_is_committed_is_what_its_runs_give(tmp_path):
    folder = tmp_path / "results" / "paper"
    folder.mkdir(parents=True)
    (folder / "runs").symlink_to(PAPER / "runs")
    shutil.copy(PAPER / "reasons.toml", folder)
    carrying_out.reproduce("all", "full", folder, report=tmp_path / "REPRODUCTION.md", only_read=True)
    assert (tmp_path / "REPRODUCTION.md").read_text() == (ROOT / "REPRODUCTION.md").read_text()
    for file in sorted((PAPER / "exhibits").iterdir()):
        assert (folder / "exhibits" / file.name).exists(), file.name
        if file.suffix in (".md", ".csv"):
            assert (folder / "exhibits" / file.name).read_text() == file.read_text(), file.name


def test_the_readmes_headline_is_the_reports():
    report = (ROOT / "REPRODUCTION.md").read_text().splitlines()
    begun, rest = (ROOT / "README.md").read_text().split("<!-- headline: lines of REPRODUCTION.md -->")
    lines = [line for line in rest.split("<!-- end -->")[0].splitlines() if line.strip()]
    assert begun.count("\n") < 40, "not on the first screen"
    assert sum(line.startswith("|") for line in lines) > 6
    assert [line for line in lines if line not in report] == []


def test_what_is_committed_is_small_and_whole():
    files = [path for path in PAPER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60e6
    for folder in (PAPER / "runs").iterdir():
        assert {"manifest.json", "study.json", "scores.csv", "events.jsonl.gz"} <= {
            file.name for file in folder.iterdir()
        }
