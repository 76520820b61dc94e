"""The dependencies: declared and used, pinned within their ranges, tested at lower bounds, heavy ones imported late."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOLDERS = ("automl_cf", "searchers", "spaces", "benchmarks")

# Of a distribution, what it imports as, where that is another name.
IMPORTED_AS = {
    "pytest-xdist": "xdist",
    "scikit-learn": "sklearn",
    "scikit-surprise": "surprise",
    "vl-convert-python": "vl_convert",
}
# Declared, but imported by no line of ours: why it is there.
USED_OTHERWISE = {
    "build": "run as `python -m build` by tests/test_packaging.py",
    "cmaes": "Optuna's CMA-ES imports it",
    "import-linter": "`make lint` runs it",
    "mypy": "`make lint` runs it",
    "pandas-stubs": "mypy reads it",
    "pytest-xdist": "`make test` runs pytest with it",
    "ruff": "`make lint` runs it",
    "setuptools": "the build backend",
}
# Imported, but not declared: a part of a package that is, which pins or ranges it.
BROUGHT_BY = {"joblib": "scikit-learn", "llvmlite": "numba", "markupsafe": "jinja2"}
# Comes about while its user waits for a command, so only the command that needs it imports it.
HEAVY = {"matplotlib", "numba", "numpy", "pandas", "pyarrow", "ray", "scipy", "seaborn", "sklearn", "torch"}


def requirements(*lists: list[str]) -> dict[str, Requirement]:
    found = map(Requirement, (line for lines in lists for line in lines))
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def pins(name: str) -> dict[str, Version]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    found = [line.split("==") for line in lines]
    return {canonicalize_name(package): Version(version) for package, version in found}


DIRECT = requirements(PROJECT["dependencies"], *EXTRAS.values())


def imports(file: Path, *, top: bool = False) -> Iterator[str]:
    """The first parts of the names that a file imports, also in functions (unless `top`) and by import_module."""
    tree = ast.parse(file.read_text())
    for node in tree.body if top else ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module.split(".")[0]
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(module)), *_]):
                yield module.split(".")[0]


def third_party(*folders: str) -> dict[str, Path]:
    """The names from outside the standard library and this project that are imported, each with a file that does."""
    ours = {"automl_cf", *(file.stem for file in (ROOT / "tests").iterdir())}
    found = {name: file for folder in folders for file in (ROOT / folder).rglob("*.py") for name in imports(file)}
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | ours}


def import_name(distribution: str) -> str:
    return IMPORTED_AS.get(distribution, DIRECT[distribution].name)


@pytest.mark.parametrize("folders", [FOLDERS, ("tests", "tools")], ids=" ".join)
def test_every_import_is_a_declared_dependency(folders: tuple[str, ...]) -> None:
    declared = {import_name(name) for name in DIRECT} | {*BROUGHT_BY}
    assert {name: file for name, file in third_party(*folders).items() if name not in declared} == {}


def test_what_is_imported_at_the_top_needs_no_extra() -> None:
    """So that a plain `pip install automl-cf` has all that a module needs to be imported."""
    plain = {import_name(name) for name in requirements(PROJECT["dependencies"])} | {*BROUGHT_BY, "automl_cf"}
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    missing = [
        (name, file)
        for file in files
        if file.parent.name != "templates"  # these become tests of the user's own
        for name in imports(file, top=True)
        if name not in sys.stdlib_module_names | plain
    ]
    assert missing == []


def test_every_declared_dependency_is_imported_or_explained() -> None:
    used = set(third_party(*FOLDERS, "tests", "tools")) | set(imports(ROOT / "setup.py"))
    unused = {name for name in DIRECT if import_name(name) not in used}
    assert unused == {*USED_OTHERWISE} - {"setuptools"}
    package = set(third_party(*FOLDERS))
    assert {name for name in requirements(PROJECT["dependencies"]) if import_name(name) not in package} == {"cmaes"}


@pytest.mark.parametrize(("part", "whole"), BROUGHT_BY.items())
def test_what_is_imported_undeclared_comes_with_a_dependency(part: str, whole: str) -> None:
    assert whole in requirements(PROJECT["dependencies"])
    assert part in requirements(metadata.requires(whole) or [])


def test_optunas_cma_es_is_made_of_cmaes() -> None:
    optuna = util.find_spec("optuna")
    assert optuna is not None
    assert optuna.origin is not None
    assert "cmaes" in set(imports(Path(optuna.origin).parent / "samplers" / "_cmaes.py"))


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["list", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        f"import sys; sys.argv = ['automl-cf', *{arguments}]\n"
        "from automl_cf.cli import main\n"
        "try: main()\n"
        f"finally: print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-lowest.txt"])
def test_pins_are_within_the_declared_ranges(file: str) -> None:
    pinned = pins(file)
    assert {name: str(it) for name, it in DIRECT.items() if pinned[name] not in it.specifier} == {}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-lowest.txt"])
def test_pins_can_be_installed_from_any_index(file: str) -> None:
    """None is a build of one index only, as torch 2.13.0+cpu is."""
    assert {name: version for name, version in pins(file).items() if version.local} == {}


def test_the_lowest_pins_are_the_lower_bounds() -> None:
    bounds = {
        name: Version(part.version) for name, it in DIRECT.items() for part in it.specifier if part.operator == ">="
    }
    assert {*bounds} == {*DIRECT}, "each has a lower bound"
    pinned = pins("constraints-lowest.txt")
    assert {name: pinned[name] for name in DIRECT} == bounds


def test_the_build_backend_is_the_setuptools_that_is_tested() -> None:
    """The wheel is built without isolation in tests, so with the setuptools of the extra `dev`."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert requirements(build)["setuptools"].specifier == requirements(EXTRAS["dev"])["setuptools"].specifier


def test_all_that_an_environment_with_the_pins_needs_is_pinned() -> None:
    """What the pins' packages require in turn, as this environment's metadata has it, is in the file too."""
    pinned = pins("constraints.txt")
    missing = set()
    for name, version in pinned.items():
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if Version(installed.version).public == version.public:
            needed = map(Requirement, installed.requires or [])
            missing |= {
                canonicalize_name(it.name) for it in needed if it.marker is None or it.marker.evaluate({"extra": ""})
            } - {*pinned}
    assert missing == set()
