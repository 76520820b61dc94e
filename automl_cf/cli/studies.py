"""The studies that ship with the package, by name."""

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from automl_cf.errors import InputError, suggest

if TYPE_CHECKING:
    from automl_cf.suite.study import Study

PACKAGE = "automl_cf.benchmarks"
_SUFFIX = ".toml"


def shipped() -> dict[str, Traversable]:
    """The shipped studies' files by name, sorted."""
    found = [entry for entry in files(PACKAGE).iterdir() if entry.name.endswith(_SUFFIX)]
    return {entry.name.removesuffix(_SUFFIX): entry for entry in sorted(found, key=lambda entry: entry.name)}


def first_comment(file: Traversable) -> str:
    """The comment in the first line of a study, which says what it is about; empty if there is none."""
    line = file.read_text(encoding="utf-8").partition("\n")[0]
    return line.removeprefix("#").strip() if line.startswith("#") else ""


def find_study(path_or_name: str) -> "Study":
    """Read the study at a path, that of a run's manifest too, or the shipped one of that name.

    Raises InputError for none or a bad one.
    """
    from automl_cf.suite.manifest import study_of
    from automl_cf.suite.study import read_study

    path = Path(path_or_name)
    if path.suffix == ".json" and (study := study_of(path)) is not None:
        return study
    if len(path.parts) > 1 or path.suffix == _SUFFIX or path.exists():
        return read_study(path)
    known = shipped()
    if path_or_name not in known:
        listing = ", ".join(known) or "none"
        raise InputError(
            f"study '{path_or_name}' is neither a TOML file nor a shipped study; "
            f"shipped: {listing}.{suggest(path_or_name, known)}"
        )
    with as_file(known[path_or_name]) as file:
        return read_study(file)
