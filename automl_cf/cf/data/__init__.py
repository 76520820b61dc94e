"""Where ratings come from: named data sets, files of one's own, planted data.

A named data set is a small module in ``sets/``, or a plug-in's; see ``sets/ml_100k.py`` for one that is
fetched.
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
from automl_cf.cf.data.files import load_file
from automl_cf.cf.data.planted import Truth, plant
from automl_cf.cf.data.sources import find_cached, obtain
from automl_cf.errors import InputError, suggest

__all__ = [
    "Dataset",
    "Listed",
    "Truth",
    "cache_folder",
    "datasets",
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
    """A data set in a list; its ``state`` is "cached", "not fetched", "corrupt" or "generated"."""

    name: str
    summary: str
    state: str


def load(name_or_path: str | PathLike[str], /, **options: Any) -> Dataset:
    """Return the data set of that name, or the ratings in the file of that path.

    What has a folder or a suffix, and is no data set's name, counts as a path. Options are those of the data
    set, or of :func:`load_file`. Raises ``InputError`` for an unknown name or option, and for data that
    cannot be had or used.
    """
    name = str(name_or_path)
    path = Path(name).expanduser()
    is_file = name not in datasets.names() and bool(len(path.parts) > 1 or path.suffix or path.exists())
    loader: Callable[..., Dataset] = partial(load_file, path) if is_file else datasets.get(name)
    known = _options(loader)
    for option in options:
        if option not in known:
            takes = f"one of {', '.join(known)}" if known else "absent, since it has none"
            raise InputError(
                f"data set '{name}': an option is '{option}', but must be {takes}.{suggest(option, known)}"
            )
    return loader(**options)


def fetch(name: str, progress: bool | None = None) -> tuple[Path, ...]:
    """Make sure that the files of the data set ``name`` are in the cache, and return their paths.

    ``progress`` shows how downloads come along; by default if standard error is a terminal. Raises
    ``InputError`` if the data set has no files, and, naming each address, if none can be fetched.
    """
    return tuple(obtain(name, _fetched(name).sources, progress).values())


def verify(name: str) -> tuple[Path, ...]:
    """Return the paths of the cached files of the data set ``name`` if all are there with the right SHA-256.

    Raises ``InputError`` otherwise; nothing is fetched.
    """
    state, files = find_cached(name, _fetched(name).sources)
    if not files:
        raise InputError(
            f"data set '{name}': what {cache_folder() / name} should have is {state}; "
            f"'automl-cf data fetch {name}' brings it."
        )
    return tuple(files.values())


def listing() -> list[Listed]:
    """Return all named data sets, in the order of their names, with what the cache has of them."""
    result = []
    for name in datasets.names():
        loader = datasets.get(name)
        state = str(find_cached(name, loader.sources)[0]) if isinstance(loader, Fetched) else "generated"
        result.append(Listed(name, (inspect.getdoc(loader) or "").partition("\n")[0], state))
    return result


def _fetched(name: str) -> Fetched:
    loader = datasets.get(name)
    if not isinstance(loader, Fetched):
        raise InputError(f"data set '{name}': is generated, so there is nothing to fetch or verify.")
    return loader


def _options(loader: Callable[..., Dataset]) -> list[str]:
    """Return the names of the options of a loader."""
    parameters = inspect.signature(loader, follow_wrapped=False).parameters.values()
    return [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
