"""The command line: what options mean, what is printed where, and how a command ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stored_runs import Found, StoredRun
from typer.testing import CliRunner, Result

import automl_cf.api as api
from automl_cf import __version__
from automl_cf.analysis.run import Run
from automl_cf.cf.data import listing as data_listing
from automl_cf.cli import app, doctor
from automl_cf.cli.compare import compare_study_values, named_as_options
from automl_cf.cli.studies import shipped
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.searchers import searchers
from automl_cf.suite.study import Resources, Study, make_study

HEAVY = {"torch", "ray", "pandas", "matplotlib", "numba", "scipy", "pyarrow", "hyperopt", "optuna"}
COMMANDS = [
    [],
    ["compare"],
    ["run"],
    ["resume"],
    ["report"],
    ["list"],
    ["data"],
    ["data", "fetch"],
    ["doctor"],
    ["new"],
    ["export"],
    ["predict"],
    ["recommend"],
    ["published"],
    ["verdict"],
    ["compare-runs"],
    ["watch"],
]


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def process(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from automl_cf.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": ""})


def error_of(result: Result, status: int = 2) -> str:
    """The one line that a failing command prints."""
    assert result.exit_code == status, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").strip()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The folder of a finished run in which one of four cells failed."""
    run = StoredRun(tmp_path / "stored")
    for seed in (1, 2):
        run.cell("ml-100k", 8, "bias-only", seed, [Found(1.0, 0.85 + seed / 100)], end=2.0)
    run.cell("ml-100k", 8, "sif", 1, [Found(3.0, 0.84, operation="plus")], end=4.0)
    run.cell("ml-100k", 8, "sif", 2, [], end=4.0, last="cell_failed")
    return run.write()


class FakeApi:
    """Stands in for the api: records what it is asked for, and answers with a stored run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study: Study | None = None
        self.out: Path | None = None
        self.events: list[dict[str, Any]] = []
        self.raises: BaseException | None = None

    def run_study(
        self, study: Study, out: Path, on_event: Callable[[dict[str, Any]], None], resources: Resources | None = None
    ) -> Run:
        self.study, self.out, self.resources = study, out, resources
        return self.resume(self.folder, on_event)

    def resume(
        self,
        run: Path,
        on_event: Callable[[dict[str, Any]], None],
        plugins: Sequence[Path] = (),
        *options: object,
        **more: object,
    ) -> Run:
        for event in self.events:
            on_event(event)
        if self.raises:
            raise self.raises
        return Run.load(run)

    def report(self, run: Path) -> Run:
        if self.raises:
            raise self.raises
        (run / "curve.png").write_bytes(b"")
        return Run.load(run)


@pytest.fixture
def fake(stored: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi(stored)
    for name in ("run_study", "resume", "report"):
        monkeypatch.setattr(api, name, getattr(fake, name))
    return fake


# --- what it costs, and help ---


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_imports_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    script = f"""
import sys
from automl_cf.cli import app
try:
    app({[*command, "--help"]!r})
finally:
    print("HEAVY:", *({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY:"


def test_every_option_of_compare_has_a_help() -> None:
    text = invoke("compare", "--help").stdout
    names = "dataset searchers dim trials time-budget visits seeds backend workers gpus-per-worker out"
    for name in names.split():
        assert f"--{name} " in text


def test_version() -> None:
    assert invoke("--version").stdout == f"automl-cf {__version__}\n"


def test_usage_errors_end_with_2() -> None:
    for arguments in (["compare", "--tirals", "3"], ["compare", "--trials", "x"], ["nothing"], ["run"]):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert "Traceback" not in result.output


# --- what the options of compare mean ---


def test_the_default_study() -> None:
    study = make_study(compare_study_values())
    assert [entry.title for entry in study.datasets] == ["ml-100k"]
    assert [entry.title for entry in study.searchers] == [
        *("bias-only", "single-op", "sif", "sif-robust", "sif-no-auto", "random", "bayes"),
    ]
    assert (study.dims, study.seeds, study.budget.seconds, study.budget.trials) == ((8,), (1, 2), 20, None)
    assert (study.resources.backend, study.resources.workers, study.name) == ("ray", 0, "compare-ml-100k")
    study.check()


def test_options_become_a_study(fake: FakeApi, tmp_path: Path) -> None:
    result = invoke(
        *("compare", "--dataset", "planted", "--data-option", "noise=0.5", "--data-option", "operation=max"),
        *("--searchers", "random, bayes", "--searchers", "sif", "--dim", "4,8", "--seeds", "1,3,5"),
        *("--trials", "7", "--time-budget", "2.5", "--visits", "1000", "--backend", "ray", "--workers", "3"),
        *("--gpus-per-worker", "0.5", "--out", tmp_path / "new"),
    )
    assert result.exit_code == 0, result.output
    assert fake.study is not None
    values = fake.study.model_dump(exclude_defaults=True)
    assert values["datasets"][0]["name"] == "planted"
    assert values["datasets"][0]["options"] == {"noise": 0.5, "operation": "max"}
    assert [entry["name"] for entry in values["searchers"]] == ["random", "bayes", "sif"]
    assert (values["dims"], values["seeds"]) == ((4, 8), (1, 3, 5))
    assert values["budget"] == {"trials": 7, "seconds": 2.5, "visits": 1000}
    assert (fake.study.resources.workers, fake.study.resources.gpus_per_cell) == (3, 0.5)
    assert fake.study.training.engine == "batched"  # the one that uses GPUs
    assert fake.out == tmp_path / "new"


def test_without_out_the_folder_is_new_in_results(fake: FakeApi) -> None:
    assert invoke("compare").exit_code == 0
    assert fake.out is not None
    assert fake.out.parent == Path("results")
    assert fake.out.name.startswith("compare-ml-100k-")


def test_a_budget_that_is_given_replaces_the_default() -> None:
    assert compare_study_values(trials=3)["budget"] == {"trials": 3}
    assert compare_study_values(visits=3, time_budget=1.0)["budget"] == {"visits": 3, "seconds": 1.0}


@pytest.mark.parametrize(
    ("text", "seeds"), [("1", [1]), ("3", [1, 2, 3]), ("1,3,5", [1, 3, 5]), ("7,", [7]), (" 2, 0 ", [2, 0])]
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert compare_study_values(seeds=text)["seeds"] == seeds


def test_a_file_is_called_by_its_name_without_folder_and_suffix() -> None:
    values = compare_study_values(dataset="some folder/my ratings.csv")
    assert values["datasets"][0] == {"name": "some folder/my ratings.csv", "label": "my ratings", "options": {}}
    assert make_study(values).name == "compare-my-ratings"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("3", 3),
        ("false", False),
        ("max", "max"),
        ("user,item", ["user", "item"]),
        ("0,1", [0, 1]),
        ("plus(multiply(1,2),3)", "plus(multiply(1,2),3)"),
        ('["a b", 2]', ["a b", 2]),
        ("'7'", "7"),
        (",", ","),
        ("\t", "\t"),
        ("a=b", "a=b"),
        ("2020-01-01", "2020-01-01"),
        ("1\nx = 2", "1\nx = 2"),
    ],
)
def test_values_of_data_options(text: str, value: Any) -> None:
    options = compare_study_values(data_options=[f"key={text}"])["datasets"][0]["options"]
    assert options == {"key": value}
    assert type(options["key"]) is type(value)
    json.dumps(options)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], "--seeds is '0', but must be a count"),
        (["--seeds", "-3"], "--seeds is '-3'"),
        (["--seeds", "20240101"], "a count from 1 to 1000"),
        (["--seeds", "1,x"], "--seeds is '1,x'"),
        (["--seeds", "1,1"], "--seeds names 1 twice"),
        (["--seeds", "-1,2"], "--seeds is [-1, 2]"),
        (["--dim", ""], "--dim is ''"),
        (["--dim", "0"], "--dim is [0]"),
        (["--searchers", "sif,sif"], "--searchers names sif twice"),
        (["--searchers", ","], "--searchers is []"),
        (["--trials", "0"], "--trials is 0"),
        (["--time-budget", "-1"], "--time-budget is -1.0"),
        (["--time-budget", "nan"], "--time-budget is nan"),
        (["--visits", "-5"], "--visits is -5"),
        (["--backend", "spark"], "--backend is 'spark'"),
        (["--engine", "steam"], "--engine is 'steam'"),
        (["--workers", "-1"], "--workers is -1"),
        (["--gpus-per-worker", "-1"], "--gpus-per-worker is -1.0"),
        (["--data-option", "noise"], "--data-option is 'noise', but must be key=value"),
        (["--data-option", "a=1", "--data-option", "a=2"], "--data-option gives 'a' twice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_terms_of_options(arguments: list[str], words: str, fake: FakeApi) -> None:
    assert words in error_of(invoke("compare", *arguments))
    assert fake.study is None


def test_what_the_suite_refuses_is_said_in_terms_of_options() -> None:
    for message, words in {
        "resources.gpus_per_cell is 4, but the machine has 0 GPUs.": "--gpus-per-worker is 4, but",
        "training.engine is 'fused', which is for the CPU.": "--engine is 'fused', which",
        "compare: budget.seconds is -1.0: too little.": "--time-budget is -1.0: too little.",
        "the budget.seconds is not renamed here.": "the budget.seconds is not",
    }.items():
        with pytest.raises(InputError) as caught, named_as_options():
            raise InputError(message)
        assert str(caught.value).startswith(words)


# --- run, resume, report ---


def test_the_result_and_the_files_are_printed(fake: FakeApi, stored: Path) -> None:
    result = invoke("report", stored)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    (sif,) = [row for row in rows if row[:1] == ["sif"]]
    (bias,) = [row for row in rows if row[:1] == ["bias-only"]]
    assert sif[1:3] == ["1/2", "0.8400"]
    assert bias[1:4] == ["2/2", "0.8650", "±0.0635"]  # 12.706 * 0.005
    assert "-0.0200" in sif
    assert ["Figure", str(stored / "curve.png")] in rows
    assert "ml-100k/d8/sif/s2: failed: ValueError: boom" in result.stdout


def test_the_result_fits_a_terminal_of_80_columns(fake: FakeApi, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = invoke("report", stored).stdout.splitlines()
    table = [line for line in lines if str(stored) not in line]
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)


def test_what_is_left_out_of_a_narrow_table_is_the_least_important(
    fake: FakeApi, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = []
    for columns in ("200", "64", "30"):
        monkeypatch.setenv("COLUMNS", columns)
        headers.append(
            next(line for line in invoke("report", stored).stdout.splitlines() if "Searcher" in line).split()
        )
    assert headers[0] == ["Searcher", "Seeds", "Test", "RMSE", "bias-only", "deliver", "Trials", "Found"]
    assert headers[1] == ["Searcher", "Seeds", "Test", "RMSE", "bias-only", "deliver", "Trials"]
    assert headers[2] == ["Searcher", "Test", "RMSE"]


def test_a_run_without_any_result_ends_with_1(fake: FakeApi, tmp_path: Path) -> None:
    run = StoredRun(tmp_path / "bad")
    run.cell("ml-100k", 8, "sif", 1, [], last="cell_failed")
    assert "no cell of the run gave a result" in error_of(invoke("report", run.write()), 1)


def test_progress_goes_to_stderr_and_the_result_to_stdout(fake: FakeApi, stored: Path) -> None:
    fake.events = [json.loads(line) for line in (stored / "events.jsonl").read_text().splitlines()]
    result = invoke("compare", "--searchers", "sif,bias-only")
    assert result.exit_code == 0
    assert "ml-100k/d8/sif/s1: started" in result.stderr
    assert "ml-100k/d8/sif/s2: failed: ValueError: boom" in result.stderr
    assert "started" not in result.stdout
    assert "Test RMSE" in result.stdout


def test_resume_says_nothing_of_what_was_there_before(fake: FakeApi, stored: Path) -> None:
    fake.events = [json.loads(line) for line in (stored / "events.jsonl").read_text().splitlines()]
    result = invoke("resume", stored)
    assert result.exit_code == 0
    assert result.stderr == ""


def test_a_study_is_found_by_path_and_by_name(fake: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('datasets = ["planted"]\nsearchers = ["random"]\nbudget.trials = 3\n')
    assert invoke("run", path, "--out", tmp_path / "new").exit_code == 0
    assert fake.study is not None
    assert (fake.study.name, fake.study.budget.trials, fake.out) == ("mine", 3, tmp_path / "new")
    for name in shipped():
        assert invoke("run", name).exit_code == 0


def test_an_unknown_study_is_refused_with_a_suggestion(fake: FakeApi) -> None:
    assert "Did you mean 'ml-100k'?" in error_of(invoke("run", "ml-10k"))
    assert "nowhere/x.toml" in error_of(invoke("run", "nowhere/x.toml"))


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for command in ("resume", "report"):
        assert str(tmp_path) in error_of(invoke(command, tmp_path))


# --- how a command ends ---


@pytest.mark.parametrize("command", ["compare", "report"])
def test_our_errors_are_one_line(command: str, fake: FakeApi, stored: Path) -> None:
    arguments = [command] if command == "compare" else [command, str(stored)]
    fake.raises = AutomlCfError("two\n  lines.")
    assert error_of(invoke(*arguments), 1) == "two lines."
    fake.raises = InputError("wrong.")
    assert error_of(invoke(*arguments), 2) == "wrong."


def test_the_unforeseen_is_one_line_and_a_saved_traceback(fake: FakeApi, stored: Path) -> None:
    fake.raises = KeyError("x\ny")
    line = error_of(invoke("report", stored), 1)
    assert line.startswith("unexpected KeyError: ")
    path = Path(line.rpartition(" ")[2].removesuffix("."))
    assert "Traceback" in path.read_text()
    path.unlink()


def test_an_interrupted_run_tells_how_to_go_on(fake: FakeApi, tmp_path: Path) -> None:
    fake.raises = KeyboardInterrupt()
    folder = tmp_path / "a run"
    result = invoke("compare", "--out", folder)
    assert (result.exit_code, result.stderr) == (130, "interrupted; nothing was recorded yet\n")
    folder.mkdir()
    (folder / "study.json").write_text("{}")
    result = invoke("compare", "--out", folder)
    assert (result.exit_code, result.stderr) == (130, f"interrupted; go on with: automl-cf resume '{folder}'\n")


def test_an_interruption_of_anything_else_ends_with_130(fake: FakeApi, stored: Path) -> None:
    fake.raises = KeyboardInterrupt()
    assert invoke("report", stored).exit_code == 130


def test_bad_input_to_a_real_process(tmp_path: Path) -> None:
    for arguments, words in (
        (["compare", "--dataset", "planted", "--backend", "inline", "--searchers", "sif-robst"], "'sif-robust'"),
        (["list", "searcher"], "'searchers'"),
    ):
        done = process(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_whole_comparison_in_a_real_process(tmp_path: Path) -> None:
    arguments = ["--dataset", "planted", "--data-option", "users=40", "--data-option", "items=30"]
    arguments += ["--searchers", "bias-only,random", "--trials", "2", "--seeds", "1", "--backend", "inline"]
    done = process("compare", *arguments, "--out", "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "planted/d8/random/s1: done: test RMSE" in done.stderr
    for file in ("new/curve.png", "new/summary.md", "new/scores.csv"):
        assert file in done.stdout
        assert (tmp_path / file).exists()
    again = process("resume", "new", cwd=tmp_path)
    assert (again.returncode, again.stderr, again.stdout) == (0, "", done.stdout)


# --- list, data, doctor ---


def test_list_names_everything() -> None:
    text = invoke("list").stdout
    for name in [*searchers.names(), *(entry.name for entry in data_listing()), *shipped(), "concat"]:
        assert f"\n{name} " in text


def test_list_of_one_kind() -> None:
    lines = invoke("list", "searchers").stdout.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("sif ")] == [["sif", "one-shot"]]
    assert not any(line.startswith("planted") for line in lines)
    assert "Did you mean 'studies'?" in error_of(invoke("list", "study"))


def test_a_broken_searcher_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(name: str) -> object:
        if name == "sif":
            raise AutomlCfError("it cannot be loaded.")
        return SimpleNamespace(capabilities=SimpleNamespace(one_shot=False), __doc__="Fine.\n")

    monkeypatch.setattr(searchers, "get", get)
    lines = [line.split(maxsplit=2) for line in invoke("list", "searchers").stdout.splitlines()]
    assert ["sif", "broken", "it cannot be loaded."] in [[part.strip() for part in line] for line in lines]
    assert len(lines) == len(searchers.names())


def test_data_verify_and_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path))
    assert "not fetched" in invoke("data", "list").stdout
    assert "automl-cf data fetch ml-100k" in error_of(invoke("data", "verify", "ml-100k"))
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "u.data").write_text("1\t2\t3\t4\n")
    assert "corrupt" in invoke("data", "list").stdout
    assert "corrupt" in error_of(invoke("data", "verify", "ml-100k"))


def test_data_fetch_prints_where_the_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_cf.cf.data.fetch", lambda name: (tmp_path / name,))
    assert invoke("data", "fetch", "a", "b").stdout == f"a: {tmp_path / 'a'}\nb: {tmp_path / 'b'}\n"


def test_doctor_checks_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOML_CF_DATA", str(tmp_path / "data"))
    result = invoke("doctor", "--no-ray")
    assert result.exit_code == 0, result.output
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert list(lines) == [
        *(f"ok      {name}" for name in ("versions", "torch", "results", "data cache")),
        "not ok  ml-100k",
        *("ok      cores", "ok      memory"),
    ]
    assert "automl-cf data fetch ml-100k" in lines["not ok  ml-100k"]
    assert not (tmp_path / "results").exists()


def test_doctor_ends_with_1_if_results_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("a file")
    result = invoke("doctor", "--no-ray")
    assert result.exit_code == 1
    assert f"not ok  results: {tmp_path / 'results'} cannot be written" in result.stdout
    assert result.stdout.endswith("1 essential check failed.\n")


def test_doctor_tries_ray_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    (ray,) = [check for check in doctor.checks(ray=True) if check.name == "ray"]
    monkeypatch.setattr(doctor, "_RAY_SCRIPT", "pass")
    assert ray().ok
    monkeypatch.setattr(doctor, "_RAY_SCRIPT", "raise OSError('no memory')")
    assert ray() == doctor.Finding(
        False, "does not start (OSError: no memory); use --backend inline, or install ray again."
    )
    monkeypatch.setattr(doctor, "_RAY_SCRIPT", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor, "_RAY_SECONDS", 0.2)
    assert "does not start within 0.2 s" in ray().text
    assert all(check.name != "ray" for check in doctor.checks(ray=False))


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken() -> doctor.Finding:
        raise RuntimeError("a\nb")

    assert doctor.Check("x", broken)() == doctor.Finding(False, "RuntimeError: a b")
