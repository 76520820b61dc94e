"""Data sets in a folder of the user's own, because they cannot be fetched, or come in several files."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from automl_cf.errors import InputError
from automl_cf.reading import expanded

_MARKS = {"tensor_shape.txt": "costco", "*-edges.csv": "youtube"}
"""What a folder of each form has, by the name of the data set."""


def form_of(folder: Path) -> str:
    """Return the name of the data set whose form the folder has. Raises ``InputError`` if it has none."""
    for mark, name in _MARKS.items():
        if next(folder.glob(mark), None) is not None:
            return name
    forms = " nor ".join(f"{mark} ('{name}')" for mark, name in _MARKS.items())
    raise InputError(f"{folder}: is a folder that has neither {forms}, so its form is unknown; name a file in it.")


def folder_with(name: str, folder: str | PathLike[str] | None, files: Sequence[str]) -> Path:
    """Return the folder that the data set ``name`` was given, if it has all of ``files``.

    Raises ``InputError`` otherwise; it names what is missing.
    """
    wanted = f"{', '.join(files[:-1])} and {files[-1]}"
    if folder is None:
        raise InputError(f"data set '{name}': the option folder is missing; it must be the folder that has {wanted}.")
    path = expanded(str(folder))
    if not path.is_dir():
        raise InputError(f"data set '{name}': folder is {str(folder)!r:.200}, but must be a folder that has {wanted}.")
    missing = [file for file in files if not (path / file).is_file()]
    if missing:
        raise InputError(f"data set '{name}': {path} has no {' and no '.join(missing)}, but must have {wanted}.")
    return path
