"""Plug-ins: files given by --plugin or a study, and what installed distributions offer."""

import hashlib
import html
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from small_runs import PLANTED, counted_events, small_study, trajectory
from typer.testing import CliRunner, Result

import automl_cf
from automl_cf import plugins
from automl_cf.cf.data import datasets
from automl_cf.cf.models import models
from automl_cf.cf.operations import operations
from automl_cf.cli import app
from automl_cf.errors import InputError
from automl_cf.events import read_events
from automl_cf.registry import definition
from automl_cf.searchers import SearchTask, build, searchers
from automl_cf.spaces import interaction_space
from automl_cf.suite import run
from automl_cf.suite.study import make_study, read_study

REGISTRIES = (searchers, operations, models, datasets)

SEARCHER = """
from automl_cf.searchers import AskTellSearcher, searchers


@searchers.register("NAME")
class Mine(AskTellSearcher):
    '''Draws at random, as a plug-in.'''

    def propose(self, number):
        return self.space.sample(self.rng)
"""
OPERATION = """
import torch
from automl_cf.cf.operations import Operation, operations

operations.register("NAME")(Operation("NAME", lambda parts: torch.stack(tuple(parts)).prod(0), lambda dim, order: dim))
"""
MODEL = """
import numpy as np
from automl_cf.cf.models import ModelFamily, models
from automl_cf.cf.training import Fit
from automl_cf.searchers import AskTellSearcher, Capabilities, searchers
from automl_cf.spaces.architecture import Architecture


class Zero:
    def predict(self, indices):
        return np.zeros(len(indices))


models.register("NAME")(ModelFamily(lambda a, task, l2, meter, epochs: Fit("ok", 1.0, l2, 1, 1, (1.0,), Zero())))


@searchers.register("NAME")
class Only(AskTellSearcher):
    capabilities = Capabilities(fixed_proposals=True)

    def propose(self, number):
        return Architecture({"model": "NAME"}) if number == 0 else None
"""
DATASET = """
from dataclasses import replace
from automl_cf.cf.data import datasets, plant


@datasets.register("NAME")
def data(seed: int = 0):
    return replace(plant(users=40, items=30, density=0.4, seed=seed), name="NAME")
"""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Leave this process as it was: a plug-in stays for good otherwise."""
    yield
    for registry in REGISTRIES:
        for name, entry in list(registry._registered.items()):
            if any(str(module).startswith("automl_cf_plugin_") for module, _ in definition(entry)):
                del registry._registered[name]
    for module in plugins._executed:
        sys.modules.pop(module, None)
    plugins._executed.clear()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(file: str, source: str, name: str = "") -> Path:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(source.replace("NAME", name))
        return path

    return write


Write = Callable[..., Path]


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_of(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").strip()


# --- loading ---


def test_a_plugin_is_executed_once_until_it_is_edited(write: Write, tmp_path: Path) -> None:
    counter = f"with open({str(tmp_path / 'count')!r}, 'a') as file: file.write('x')\n"
    path = write("mine.py", counter + SEARCHER, "mine-here")
    plugins.load([path])
    plugins.load([str(path)])
    assert (tmp_path / "count").read_text() == "x"
    assert plugins.loaded() == (str(path),)
    first = searchers.get("mine-here")
    assert sys.modules[first.__module__].Mine is first
    write("mine.py", counter + SEARCHER + "    changed = True\n", "mine-here")
    plugins.load([path])
    assert searchers.get("mine-here").changed
    assert plugins.loaded() == (str(path),)


@pytest.mark.parametrize(
    "source", [SEARCHER, OPERATION, MODEL, DATASET], ids=["searcher", "operation", "model", "data"]
)
def test_whatever_a_plugin_registers_can_be_edited_in_one_process(source: str, write: Write) -> None:
    plugins.load([write("mine.py", source, "mine-here")])
    plugins.load([write("mine.py", "# edited\n" + source, "mine-here")])
    assert any("mine-here" in registry.names() for registry in REGISTRIES)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\n1 / 0\n", ", line 2: ZeroDivisionError: division by zero."),
        ("x = 1\n\ndef f(:\n", ", line 3: SyntaxError: "),
        ("def f():\n    raise ValueError('two\\nlines')\n\nf()\n", ", line 2: ValueError: two lines."),
        ("import no_such_module_at_all\n", ", line 1: ModuleNotFoundError: No module named 'no_such_module_at_all'."),
        ("import sys\nsys.exit(3)\n", ", line 2: SystemExit: 3."),
        ("\n" + SEARCHER.replace("NAME", "random"), "The searcher name 'random' is already taken"),
        ("x = 'a\0b'\n", "null byte"),
        ("# coding: no-such-code\n", "no-such-code"),
        ("import json\njson.loads('{')\n", ", line 2: JSONDecodeError: "),
    ],
    ids=["raises", "syntax", "deeper", "import", "exit", "taken", "null", "coding", "elsewhere"],
)
def test_what_is_wrong_in_a_plugin_is_one_sentence_with_its_line(source: str, words: str, write: Write) -> None:
    path = write("wrong.py", source)
    with pytest.raises(InputError) as caught:
        plugins.load([path])
    assert str(caught.value).startswith(f"plug-in '{path}'")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert plugins.loaded() == ()
    assert "automl_cf_plugin_wrong" not in sys.modules


def test_what_is_no_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    for path, words in (
        (tmp_path / "nowhere.py", "No such file"),
        (tmp_path / "folder.py", "Is a directory"),
        (tmp_path / "notes.txt", "must be a Python file"),
        ("a\0b.py", "cannot be read"),
    ):
        with pytest.raises(InputError, match=words):
            plugins.load([path])


def test_every_command_reports_a_wrong_plugin_in_one_line(write: Write, tmp_path: Path) -> None:
    path = write("wrong.py", "1 / 0\n")
    study = write("study.toml", 'datasets = ["planted"]\nsearchers = ["random"]\nbudget.trials = 1\n')
    out = ("--out", tmp_path / "out")
    for command in (["list"], ["compare", "--backend", "inline", *out], ["run", study, *out]):
        assert "line 1: ZeroDivisionError" in error_of(invoke(*command, "--plugin", path))
    assert not (tmp_path / "out").exists()


# --- in a study ---


def test_all_four_kinds_can_be_named_in_the_same_command(write: Write, tmp_path: Path) -> None:
    files = [
        write("a.py", SEARCHER, "mine-searcher"),
        write("b.py", OPERATION, "mine-operation"),
        write("c.py", MODEL, "mine-model"),
        write("d.py", DATASET, "mine-data"),
    ]
    arguments = [argument for file in files for argument in ("--plugin", file)]
    arguments += ["--dataset", "mine-data", "--data-option", "seed=3", "--searchers", "mine-searcher,mine-model"]
    arguments += ["--operations", "mine-operation", "--engine", "reference", "--backend", "inline"]
    result = invoke("compare", *arguments, "--trials", "2", "--seeds", "1", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    trials = [event for event in counted_events(tmp_path / "out") if event["kind"] == "trial"]
    assert {trial["status"] for trial in trials} == {"ok"}
    assert {trial["architecture"].get("operation", "") for trial in trials} == {"", "mine-operation"}
    assert {trial["architecture"].get("model", "") for trial in trials} == {"", "mine-model"}
    study, manifest = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("study", "manifest"))
    for file, entry in zip(files, study["plugins"], strict=True):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert entry == {"file": f"plugins/{file.name}", "sha256": digest}
        assert (tmp_path / "out" / entry["file"]).read_bytes() == file.read_bytes()
        assert manifest["plugins"][file.name] == digest


def test_an_operation_without_a_kernel_is_refused_before_anything_runs(write: Write, tmp_path: Path) -> None:
    path = write("mine.py", OPERATION, "mine-operation")
    result = invoke(
        *(
            "compare",
            "--plugin",
            path,
            "--operations",
            "mine-operation",
            "--dataset",
            "planted",
            "--searchers",
            "random",
        ),
        *("--backend", "inline", "--out", tmp_path / "out"),
    )
    assert "--engine is 'fused', which has no kernel for operation 'mine-operation'" in error_of(result)


def test_from_python(write: Write, tmp_path: Path) -> None:
    path = write("mine.py", SEARCHER, "mine-here")
    study = small_study().model_dump(mode="json")
    values = {key: study[key] for key in ("training", "scoring", "resources", "dims")}
    found = automl_cf.compare(
        PLANTED, ["mine-here"], [1], tmp_path / "out", plugins=[path], budget={"trials": 2}, **values
    )
    assert set(found.scores["searcher"]) == {"mine-here"}


def test_a_study_names_plugins_beside_its_own_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("studies/mine.py", SEARCHER, "mine-here")
    text = 'datasets = ["planted"]\nsearchers = ["mine-here"]\nbudget.trials = 1\nplugins = ["mine.py"]\n'
    path = write("studies/study.toml", text)
    monkeypatch.chdir(tmp_path)
    for study in (read_study(path), read_study("studies/study.toml")):
        study.load_plugins()
        study.check()
    assert "mine-here" in searchers.names()
    assert read_study(path).with_plugins([tmp_path / "studies" / "mine.py"]).plugins == read_study(path).plugins


def test_two_plugins_of_one_name_are_refused(write: Write) -> None:
    first, second = write("one/mine.py", SEARCHER, "mine-one"), write("two/mine.py", SEARCHER, "mine-two")
    with pytest.raises(InputError, match=r"'mine\.py' is there twice"):
        small_study(plugins=[first, second])
    with pytest.raises(InputError, match=r"'mine\.py' is there twice"):
        small_study(plugins=[first]).with_plugins([second])


@pytest.mark.parametrize(
    "wrong", [{"plugins": "mine.py"}, {"plugins": [3]}, {"plugins": [{"file": "a.py", "sha": ""}]}], ids=str
)
def test_plugins_that_are_no_list_of_files_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="plugins") as caught:
        small_study(**wrong)
    assert "\n" not in str(caught.value)


def test_a_searcher_that_raises_ends_its_own_cell_only(write: Write, tmp_path: Path) -> None:
    source = SEARCHER.replace("return self", "raise LookupError('on purpose')\n        return self")
    study = small_study(plugins=[write("mine.py", source, "mine-here")], searchers=["mine-here", "bias-only"])
    run.start(study, tmp_path / "out")
    ends = {e["cell"].split("/")[2]: e for e in counted_events(tmp_path / "out") if e["kind"].startswith("cell_f")}
    assert ends["mine-here"]["kind"] == "cell_failed"
    assert ends["mine-here"]["error"] == "LookupError: on purpose"
    assert "raise LookupError" in ends["mine-here"]["traceback"]  # the plug-in's own line
    assert ends["bias-only"]["kind"] == "cell_finished"


# --- resume ---


@pytest.fixture
def cut(write: Write, tmp_path: Path) -> Path:
    """A run with a plug-in, as if it had been killed after the second trial; the plug-in's file is gone since."""
    path = write("mine.py", SEARCHER, "mine-here")
    folder = tmp_path / "cut"
    run.start(small_study(plugins=[path], searchers=["mine-here"]), folder)
    shutil.copytree(folder, tmp_path / "whole")
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    last = [number for number, line in enumerate(lines) if b'"kind":"trial"' in line.replace(b" ", b"")][1]
    (folder / "events.jsonl").write_bytes(b"".join(lines[: last + 1]))
    path.rename(tmp_path / "mine-moved.txt")
    return folder


def resumed(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """In another process, which knows nothing of the plug-in."""
    command = [sys.executable, "-m", "automl_cf.cli", "resume", str(folder), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_a_run_is_resumed_with_its_copy_of_the_plugin(cut: Path, tmp_path: Path) -> None:
    assert resumed(cut).returncode == 0
    assert trajectory(cut) == trajectory(tmp_path / "whole")


def test_a_run_whose_plugin_has_changed_is_not_resumed(cut: Path, tmp_path: Path, write: Write) -> None:
    given = write("mine.py", "# edited\n" + SEARCHER, "mine-here")
    other = write("other.py", SEARCHER, "mine-here")
    log = (cut / "events.jsonl").read_bytes()
    assert "'" + str(given) + "' has changed: its SHA-256" in error_of(invoke("resume", cut, "--plugin", given))
    assert "none of the run's: mine.py" in error_of(invoke("resume", cut, "--plugin", other))
    copy = cut / "plugins" / "mine.py"
    copy.write_text("# edited\n" + copy.read_text())
    assert f"'{copy}' has changed: its SHA-256" in error_of(invoke("resume", cut))
    copy.unlink()
    assert f"'{copy}' cannot be read" in error_of(invoke("resume", cut))
    assert (cut / "events.jsonl").read_bytes() == log
    copy.write_text((tmp_path / "mine-moved.txt").read_text())
    shutil.copy(tmp_path / "mine-moved.txt", given)
    result = invoke("resume", cut, "--plugin", given)
    assert result.exit_code == 0, result.output
    assert trajectory(cut) == trajectory(tmp_path / "whole")


def test_a_runs_own_study_runs_again(cut: Path, tmp_path: Path) -> None:
    """It names the copies beside it: what the manifest calls the command to run it again."""
    run.start(read_study(cut / "study.json"), tmp_path / "again")
    assert trajectory(tmp_path / "again") == trajectory(tmp_path / "whole")


@pytest.mark.slow
def test_workers_of_ray_get_the_source_and_need_no_file(write: Write, tmp_path: Path) -> None:
    """The plug-in removes its own file as soon as the driver has it."""
    gone = "import os\nif os.path.exists(__file__):\n    os.remove(__file__)\n"
    resources = {"backend": "ray", "workers": 1}
    path = write("mine.py", gone + SEARCHER, "mine-here")
    run.start(small_study(plugins=[path], searchers=["mine-here"], resources=resources), tmp_path / "ray")
    assert not path.exists()
    path = write("mine.py", gone + SEARCHER, "mine-here")
    run.start(small_study(plugins=[path], searchers=["mine-here"]), tmp_path / "inline")
    assert trajectory(tmp_path / "ray") == trajectory(tmp_path / "inline")
    assert {event["kind"] for event in counted_events(tmp_path / "ray")} >= {"cell_finished", "cell_scored"}


# --- what a slow searcher pays ---

SLOW = "import time\n" + SEARCHER.replace("return self", "time.sleep(0.2)\n        return self")


def test_a_slow_searcher_is_charged_for_its_thinking(write: Write, tmp_path: Path) -> None:
    path = write("slow.py", SLOW, "mine-slow")
    run.start(small_study(plugins=[path], searchers=["mine-slow"], budget={"trials": 3}), tmp_path / "trials")
    events = read_events(tmp_path / "trials" / "events.jsonl")
    trials = [event for event in events if event["kind"] == "trial"]
    assert len(trials) == 3
    for number, trial in enumerate(trials, start=1):
        assert trial["clock"]["think"] >= 0.2 * number
    study = small_study(plugins=[path], searchers=["mine-slow", "random"], budget={"seconds": 1.0})
    run.start(study, tmp_path / "seconds")
    counts = {"mine-slow": 0, "random": 0}
    for event in counted_events(tmp_path / "seconds"):
        counts[event["cell"].split("/")[2]] += event["kind"] == "trial"
    assert counts["mine-slow"] <= 5 < counts["random"]  # 5 sleeps are the whole budget


# --- list, and names that are no names ---


def test_list_tells_where_a_plugin_comes_from(write: Write) -> None:
    searcher, operation = write("mine.py", SEARCHER, "mine-here"), write("other.py", OPERATION, "mine-operation")
    lines = invoke("list", "--plugin", searcher, "--plugin", operation).stdout.splitlines()
    (mine,) = [line for line in lines if line.startswith("mine-here ")]
    assert mine.split(maxsplit=2)[2].strip() == "Draws at random, as a plug-in. (mine.py)"
    (mine,) = [line for line in lines if line.startswith("mine-operation ")]
    assert mine.strip().endswith("(other.py)")
    (ours,) = [line for line in lines if line.startswith("random ")]
    assert "(" not in ours


def test_a_name_is_shown_as_the_text_that_it_is(write: Write, tmp_path: Path) -> None:
    name = "[red]x[/red] $y_1$ <b>|*z*"
    path = write("mine [bold].py", SEARCHER, name)
    assert name in invoke("list", "searchers", "--plugin", path).stdout
    out = tmp_path / "out"
    study = make_study({**small_study(searchers=[name], plugins=[path]).model_dump(mode="json"), "seeds": [1, 2]})
    run.start(study, out)
    result = invoke("report", out)
    assert result.exit_code == 0, result.output
    assert name in result.stdout
    assert r"| [red]x[/red] $y_1$ &lt;b>\|\*z\* |" in (out / "summary.md").read_text()  # as Markdown has to say it
    assert f"<!-- {html.escape(name)} -->" in (out / "curve.svg").read_text()  # no formula


# --- distributions ---


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the example distribution is installed."""
    base = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(Path(__file__).parent / "example_plugin", base / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*command, "--target", str(base / "site"), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return base / "site"


def with_example(installed: Path, cwd: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "automl_cf.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_distribution_is_listed(installed: Path, tmp_path: Path) -> None:
    lines = with_example(installed, tmp_path, "list").splitlines()
    (turns,) = [line for line in lines if line.startswith("example-turns ")]
    assert turns.strip().endswith("Proposes the operation and the model in turn. (automl_cf_example)")
    for name in ("example-distance", "example-waves"):
        assert any(line.startswith(f"{name} ") for line in lines)


@pytest.mark.slow
def test_all_that_a_distribution_offers_is_used_in_a_comparison(installed: Path, tmp_path: Path) -> None:
    arguments = ["--dataset", "example-waves", "--searchers", "example-turns,random", "--seeds", "1", "--trials", "2"]
    arguments += ["--operations", "example-distance,multiply", "--engine", "reference", "--backend", "inline"]
    with_example(installed, tmp_path, "compare", *arguments, "--out", "out")
    events = counted_events(tmp_path / "out")
    turns = [e for e in events if e["kind"] == "trial" and "/example-turns/" in e["cell"]]
    assert [trial["status"] for trial in turns] == ["ok", "ok"]
    assert [trial["architecture"] for trial in turns] == [
        {"model": "example-nothing"},
        {"operation": "example-distance"},
    ]
    assert turns[1]["rmse"] < turns[0]["rmse"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["datasets"]["example-waves"]["source"] == "computed"
    assert manifest["plugins"] == {}


def test_what_this_process_alone_knows_is_refused_before_anything_runs(write: Write, tmp_path: Path) -> None:
    path = write("mine.py", SEARCHER, "mine")
    plugins.load([path])
    with pytest.raises(
        InputError, match=r"'Mine' is of the plug-in '.*mine\.py', which the study does not name; add it"
    ):
        run.start(small_study(searchers=["mine"]), tmp_path / "run")
    run.start(small_study(searchers=["mine"], plugins=[str(path)], budget={"trials": 1}), tmp_path / "named")


def test_what_is_defined_in_main_does_not_reach_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Here(searchers.get("random")):  # type: ignore[misc]
        pass

    monkeypatch.setattr(Here, "__module__", "__main__")
    monkeypatch.setitem(searchers._registered, "here", Here)
    study = small_study(searchers=["here"], budget={"trials": 1}, resources={"backend": "ray"})
    with pytest.raises(InputError, match="defined in __main__, where no worker finds it; put it into a file"):
        run.start(study, tmp_path / "run")
    run.start(small_study(searchers=["here"], budget={"trials": 1}), tmp_path / "inline")


def test_after_a_failed_edit_the_former_file_is_executed_again(write: Write) -> None:
    former = SEARCHER.replace("sample(self.rng)", "decode([0.0] * self.space.dimension)")
    path = write("mine.py", former, "mine")
    plugins.load([path])
    write("mine.py", SEARCHER + "\nraise RuntimeError('not yet')\n", "mine")
    with pytest.raises(InputError, match="not yet"):
        plugins.load([path])
    write("mine.py", former, "mine")
    plugins.load([path])
    task = SearchTask(interaction_space(units=1), 2, (0.0,), np.random.SeedSequence(0))
    first, second = (build("mine", task, {}).ask(1)[0].architecture for _ in range(2))
    assert first == second == interaction_space(units=1).decode([0.0] * interaction_space(units=1).dimension)


def test_an_edit_may_rename_the_class(write: Write) -> None:
    path = write("mine.py", SEARCHER, "mine")
    plugins.load([path])
    write("mine.py", SEARCHER.replace("class Mine", "class Renamed"), "mine")
    plugins.load([path])
    assert searchers.get("mine").__name__ == "Renamed"
    other = write("other.py", SEARCHER, "mine")
    with pytest.raises(InputError, match="name 'mine' is already taken"):
        plugins.load([other])


def test_one_file_may_be_given_from_python_without_a_list(write: Write, tmp_path: Path) -> None:
    for number, form in enumerate((str, Path)):
        found = automl_cf.compare(
            dataset=PLANTED,
            searchers="mine",
            plugins=form(write("mine.py", SEARCHER, "mine")),
            seeds=[1],
            budget={"trials": 1},
            resources={"backend": "inline"},
            out=tmp_path / str(number),
        )
        assert found.cells["state"].tolist() == ["finished"]


def test_a_link_keeps_its_own_name(write: Write, tmp_path: Path) -> None:
    target = write("mine_v3.py", SEARCHER, "mine")
    link = tmp_path / "mine.py"
    link.symlink_to(target)
    assert plugins.read(link).name == "mine.py"


def test_a_model_of_a_plugins_operation_predicts_on_the_command_line(write: Write, tmp_path: Path) -> None:
    path = write("prod.py", OPERATION, "prod")
    study = small_study(
        searchers=["single-op"],
        plugins=[str(path)],
        space={"options": {"operations": ["prod"]}},
        training={"engine": "reference", "max_epochs": 2, "l2_grid": [0.0]},
        budget={"trials": 1},
    )
    run.start(study, tmp_path / "run")
    _run_elsewhere("export", tmp_path / "run", "--out", tmp_path / "model")
    (tmp_path / "pairs.csv").write_text("user,item\n0,1\n")
    shown = _run_elsewhere("predict", tmp_path / "model", tmp_path / "pairs.csv", "--plugin", path)
    assert shown.splitlines()[0] == "user,item,prediction"


def _run_elsewhere(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "automl_cf.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_searcher_that_exits_ends_its_own_cell_only(write: Write, tmp_path: Path) -> None:
    source = SEARCHER.replace("return self.space.sample(self.rng)", "raise SystemExit(0)")
    path = write("leaves.py", source, "leaves")
    quick = ["--trials", "2", "--seeds", "1,", "--backend", "inline", "--dataset", "planted"]
    result = invoke("compare", "--plugin", path, "--searchers", "leaves,bias-only", *quick, "--out", tmp_path / "run")
    assert "leaves/s1: failed: SystemExit: 0" in result.stdout
    states = {row["searcher"]: row["state"] for row in automl_cf.load(tmp_path / "run").cells.to_dict("records")}
    assert states == {"leaves": "failed", "bias-only": "finished"}
    assert invoke("check", "leaves", "--plugin", path).exit_code == 1


def test_one_name_twice_in_a_file_is_refused(write: Write) -> None:
    second = SEARCHER.partition("@")[2].replace("class Mine", "class Other")
    with pytest.raises(InputError, match=r"twice\.py', line \d+: The searcher name 'mine' is already taken"):
        plugins.load([write("twice.py", f"{SEARCHER}\n\n@{second}", "mine")])


FUNCTION = """
from automl_cf.searchers import searchers


@searchers.register("mine")
def mine():
    pass
"""


@pytest.mark.parametrize(
    ("source", "words"),
    [(FUNCTION, "must be a class"), (SEARCHER.replace("def propose", "def suggest"), "searcher 'mine' lacks propose")],
)
def test_what_is_no_searcher_is_refused_when_it_is_registered(source: str, words: str, write: Write) -> None:
    with pytest.raises(InputError, match=words):
        plugins.load([write("mine.py", source, "mine")])


def test_what_is_no_architecture_is_said_of_propose(write: Write, tmp_path: Path) -> None:
    path = write("mine.py", SEARCHER.replace("self.space.sample(self.rng)", "{'operation': 'plus'}"), "mine")
    run.start(small_study(searchers=["mine"], plugins=[str(path)], budget={"trials": 1}), tmp_path / "run")
    (failed,) = [event for event in read_events(tmp_path / "run" / "events.jsonl") if event["kind"] == "cell_failed"]
    assert "propose(0) returned {'operation': 'plus'}, but must return an Architecture" in failed["error"]


def test_a_searcher_that_cannot_be_made_is_refused_before_anything_runs(write: Write, tmp_path: Path) -> None:
    broken = SEARCHER + "\n    def __init__(self, task, options):\n        raise ValueError('no')\n"
    path = write("mine.py", broken, "mine")
    result = invoke("compare", "--plugin", path, "--searchers", "mine", "--dataset", "planted", "--out", tmp_path / "r")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "error: searcher 'mine' cannot be made: ValueError: no."
