"""Where ratings come from: named data sets, files of one's own, planted data.

A named data set is a small module in ``sets/``, or a plug-in's; see ``sets/ml_100k.py`` for one that is
fetched, ``sets/youtube.py`` for one in a folder that the user has.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from automl_cf.cf.data.cache import cache_folder
from automl_cf.cf.data.dataset import Dataset, Fetched, datasets, fetched
from automl_cf.cf.data.facts import Facts, facts
from automl_cf.cf.data.files import load_file
from automl_cf.cf.data.folders import form_of
from automl_cf.cf.data.planted import Truth, plant
from automl_cf.cf.data.sources import find_cached, obtain
from automl_cf.errors import AutomlCfError, InputError, suggest
from automl_cf.reading import expanded

__all__ = [
    "Dataset",
    "Facts",
    "Listed",
    "Truth",
    "cache_folder",
    "datasets",
    "facts",
    "fetch",
    "fetched",
    "listing",
    "load",
    "load_file",
    "plant",
    "verify",
]


@dataclass(frozen=True)
class Listed:
    """A data set in a list; its ``state`` is "cached", "not fetched", "corrupt", "generated" or "your folder"."""

    name: str
    summary: str
    state: str


def load(name_or_path: str | PathLike[str], /, **options: Any) -> Dataset:
    """Return the data set of that name, or the ratings in the file or folder of that path.

    What has a folder or a suffix, and is no data set's name, counts as a path. A folder must have the files of
    a data set that takes one, such as Youtube's. Options are those of the data set, or of :func:`load_file`.
    Raises ``InputError`` for an unknown name or option, and for data that cannot be had or used.
    """
    name = str(name_or_path)
    path = Path(name) if name in datasets.names() else expanded(name)
    is_path = name not in datasets.names() and bool(len(path.parts) > 1 or path.suffix or path.exists())
    loader = _loader_of(path) if is_path else datasets.get(name)
    known = _options(loader)
    for option in options:
        if option not in known:
            takes = f"one of {', '.join(known)}" if known else "absent, since it has none"
            raise InputError(
                f"data set '{name}': an option is {option!r:.60}, but must be {takes}.{suggest(option, known)}"
            )
    return loader(**options)


def fetch(name: str, progress: bool | None = None) -> tuple[Path, ...]:
    """Make sure that the files of the data set ``name`` are in the cache, and return their paths.

    ``progress`` shows how downloads come along; by default if standard error is a terminal. Raises
    ``InputError`` if the data set has no files, and, naming each address, if none can be fetched.
    """
    loader = _fetched(name)
    return tuple(obtain(loader.files_of, loader.sources, progress).values())


def verify(name: str) -> tuple[Path, ...]:
    """Return the paths of the cached files of the data set ``name`` if all are there with the right SHA-256.

    Raises ``InputError`` otherwise; nothing is fetched.
    """
    loader = _fetched(name)
    state, files = find_cached(loader.files_of, loader.sources)
    if not files:
        raise InputError(
            f"data set '{name}': what {cache_folder() / loader.files_of} should have is {state}; "
            f"'automl-cf data fetch {name}' brings it."
        )
    return tuple(files.values())


def listing() -> list[Listed]:
    """Return all named data sets, in the order of their names, with what the cache has of them."""
    result = []
    for name in datasets.names():
        try:
            loader = datasets.get(name)
        except AutomlCfError as error:  # one broken plug-in must not hide the others
            result.append(Listed(name, str(error), "broken"))
            continue
        if isinstance(loader, Fetched):
            state = str(find_cached(loader.files_of, loader.sources)[0])
        else:
            state = "your folder" if _takes_folder(loader) else "generated"
        result.append(Listed(name, (inspect.getdoc(loader) or "").partition("\n")[0], state))
    return result


def _loader_of(path: Path) -> Callable[..., Dataset]:
    """Return what reads the file or folder."""
    return partial(datasets.get(form_of(path)), folder=path) if path.is_dir() else partial(load_file, path)


def _takes_folder(loader: Callable[..., Dataset]) -> bool:
    """Tell whether the data set's files are in a folder that the user names."""
    return "folder" in _options(loader)


def _fetched(name: str) -> Fetched:
    loader = datasets.get(name)
    if not isinstance(loader, Fetched):
        what = "in a folder of yours" if _takes_folder(loader) else "generated"
        raise InputError(f"data set '{name}': is {what}, so there is nothing to fetch or verify.")
    return loader


def _options(loader: Callable[..., Dataset]) -> list[str]:
    """Return the names of the options of a loader."""
    parameters = inspect.signature(loader, follow_wrapped=False).parameters.values()
    return [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
