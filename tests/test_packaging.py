"""What `pip install` brings: one import name, all modules, the studies, a working command."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "automl_cf": "automl_cf",
    **{name: f"automl_cf/{name}" for name in ("searchers", "spaces", "benchmarks")},
}
STUDY = "planted-study.toml"


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_the_package_itself_imports_nothing_heavy(tmp_path: Path) -> None:
    script = "import sys, automl_cf; print(*{'torch', 'ray', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules))"
    assert run(sys.executable, "-c", script, cwd=tmp_path) == ""


class Installed(NamedTuple):
    wheel: Path
    source: Path
    bin: Path
    elsewhere: Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Our wheel in an environment of its own, which borrows this one's dependencies.

    It is built from a copy of the sources that has a study and a sub-package more, so that the tests also
    show that these need no entry in any list.
    """
    base = tmp_path_factory.mktemp("packaging")
    source, elsewhere, environment = base / "source", base / "elsewhere", base / "venv"
    elsewhere.mkdir()
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    (source / "benchmarks" / STUDY).write_text("planted = true\n")
    (source / "spaces" / "planted").mkdir()
    (source / "spaces" / "planted" / "__init__.py").write_text("")
    python = sys.executable
    run(python, "-m", "build", "--wheel", "--no-isolation", "--outdir", base / "dist", source, cwd=elsewhere)
    (wheel,) = (base / "dist").iterdir()

    venv.create(environment, symlinks=True)
    paths = {"base": str(environment), "platbase": str(environment)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    # A path in a .pth file lends the packages but not our own editable install, whose .pth is not read there.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    scripts = Path(sysconfig.get_path("scripts", "venv", paths))
    pip = [python, "-m", "pip", "--python", scripts / "python"]
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", wheel, cwd=elsewhere)
    return Installed(wheel, source, scripts, elsewhere)


@pytest.mark.slow
def test_the_wheel_holds_every_module_under_one_name(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        f"{target}/{path.relative_to(installed.source / folder).as_posix()}"
        for folder, target in FOLDERS.items()
        for path in (installed.source / folder).rglob("*")
        if path.suffix in {".py", ".toml", ".csv", ".c", ".css", ".html", ".js"} or path.name == "py.typed"
    }
    assert f"automl_cf/benchmarks/{STUDY}" in wanted
    assert files == wanted


@pytest.mark.slow
def test_the_installed_package_is_used_and_finds_its_studies(installed: Installed) -> None:
    script = (
        "import automl_cf.searchers, automl_cf.spaces.planted; from importlib.resources import files;"
        f"print(automl_cf.__file__); print(files('automl_cf.benchmarks').joinpath('{STUDY}').read_text())"
    )
    where, study = run(installed.bin / "python", "-c", script, cwd=installed.elsewhere).splitlines()
    assert Path(where).is_relative_to(installed.bin.parent)
    assert study == "planted = true"


@pytest.mark.slow
def test_the_installed_command_answers(installed: Installed) -> None:
    assert "compare" in run(installed.bin / "automl-cf", "--help", cwd=installed.elsewhere)
