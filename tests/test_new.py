"""`automl-cf new`: what it writes works, and what it refuses."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from automl_cf.cli import app
from automl_cf.cli.new import render
from automl_cf.errors import InputError

KINDS = ("searcher", "operation", "model", "dataset")
LINES = 40


def new(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["new", *arguments])


def refusal(*arguments: str) -> str:
    result = new(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_two_files_are_written_and_the_next_commands_are_said(kind: str, here: Path) -> None:
    result = new(kind, "my-own")
    assert result.exit_code == 0, result.output
    assert {path.name for path in here.iterdir()} == {"my_own.py", "test_my_own.py"}
    assert {path.name: path.read_text() for path in here.iterdir()} == render(kind, "my-own")
    commands = [line.split() for line in result.stdout.splitlines() if line.startswith("  ")]
    assert ["python", "-m", "pytest", "test_my_own.py"] in commands
    compare = next(words for words in commands if words[:2] == ["automl-cf", "compare"])
    assert compare[compare.index("--plugin") + 1] == "my_own.py"
    assert (["automl-cf", "check", "my-own", "--plugin", "my_own.py"] in commands) == (kind == "searcher")


@pytest.mark.parametrize("kind", [*KINDS[1:], pytest.param("searcher", marks=pytest.mark.slow)])
def test_what_is_written_passes_its_own_test(kind: str, here: Path) -> None:
    """In another process, as its author would run it."""
    assert new(kind, "my-own").exit_code == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_own.py"],
        cwd=here,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_that_is_said_compares_it(kind: str, here: Path) -> None:
    said = new(kind, "my-own").stdout
    (command,) = [line.split()[1:] for line in said.splitlines() if line.startswith("  automl-cf compare")]
    quick = ["--backend", "inline", "--seeds", "1", "--trials", "3", "--out", "out"]
    done = subprocess.run(
        [sys.executable, "-m", "automl_cf.cli", *command, *quick], cwd=here, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    assert (here / "out" / "curve.png").exists()


names = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,2}", fullmatch=True).filter(lambda name: len(name) <= 30)


@given(kind=st.sampled_from(KINDS), name=names)
@settings(max_examples=60)
def test_any_name_gives_short_and_valid_python(kind: str, name: str) -> None:
    try:
        written = render(kind, name)
    except InputError:  # a keyword, or a name that the file needs
        assume(False)
    for file, text in written.items():
        ast.parse(text)
        assert text.count("\n") <= LINES
        assert max(map(len, text.splitlines())) <= 120
        assert "my-thing" not in text
        assert "my_thing" not in text
        assert "MyThing" not in text
        assert file.removesuffix(".py").isidentifier()
    own, test = written.values()
    assert f'"{name}"' in own
    assert name in test


@pytest.mark.parametrize(
    "name", ["", "My-Own", "my own", "my_own", "-own", "own-", "my--own", "3d", "a/b", "../up", "é", "[red]", "x" * 31]
)
def test_bad_names_are_refused(name: str, here: Path) -> None:
    assert "NAME is" in refusal("searcher", "--", name)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("searcher", "random", "there is a searcher of that name already"),
        ("searcher", "sif-robust", "there is a searcher of that name already"),
        ("searcher", "all", "there is a searcher of that name already"),
        ("operation", "concat", "there is an operation of that name already"),
        ("model", "interaction", "there is a model of that name already"),
        ("model", "bayes", "there is a searcher of that name already"),
        ("dataset", "planted", "there is a data set of that name already"),
        ("searcher", "json", "'json.py' would hide a Python module"),
        ("dataset", "torch", "'torch.py' would hide a Python module"),
        ("operation", "class", "the file needs for something else"),
        ("searcher", "none", "the file needs for something else"),
        ("model", "true", "the file needs for something else"),
        ("dataset", "np", "the file needs for something else"),
        ("model", "architecture", "the file needs for something else"),
        ("sercher", "my-own", "KIND is 'sercher', but must be one of"),
    ],
)
def test_names_that_are_taken_are_refused(kind: str, name: str, words: str, here: Path) -> None:
    assert words in refusal(kind, name)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("file", ["my_own.py", "test_my_own.py"])
def test_existing_files_are_left_alone(file: str, here: Path) -> None:
    (here / file).write_text("mine")
    assert f"'{file}' exists already" in refusal("searcher", "my-own")
    assert {path.name: path.read_text() for path in here.iterdir()} == {file: "mine"}


def test_a_folder_that_cannot_be_written_is_explained(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.open

    def full(path: Path, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
        if mode == "x":
            raise OSError(28, "No space left on device")
        return original(path, mode, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", full)
    assert "'my_own.py' cannot be written: No space left on device" in refusal("searcher", "my-own")
