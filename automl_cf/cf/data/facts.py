"""What a data set is, in a few numbers."""

from dataclasses import dataclass

import numpy as np

from automl_cf.cf.data.dataset import Dataset
from automl_cf.cf.ratings import content_hash


@dataclass(frozen=True)
class ModeFacts:
    """How the ratings spread over the rows of a mode: least, median and most of those rows that have any."""

    rows: int
    without: int
    least: int
    median: float
    most: int


@dataclass(frozen=True)
class Facts:
    """Name, source, and what the ratings are.

    ``density`` is the share of all entries that have a rating. ``values`` has each different value and how
    many ratings have it, if they are few (20 at most); else it is empty. ``sha256`` is the data set's,
    ``contents`` the hash of shape, indices and values, which two forms of one data set share. ``planted`` names
    the operation that made planted data.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    ratings: int
    density: float
    mean: float
    std: float
    least: float
    most: float
    values: tuple[tuple[float, int], ...]
    modes: tuple[ModeFacts, ...]
    sha256: str
    contents: str
    planted: str | None


_FEW_VALUES = 20


def facts(dataset: Dataset) -> Facts:
    """Return what there is to say about a data set."""
    ratings = dataset.ratings
    values = ratings.values.astype(np.float64)
    different, counts = np.unique(ratings.values, return_counts=True)
    few = len(different) <= _FEW_VALUES
    modes = []
    for mode, rows in enumerate(ratings.shape):
        having = ratings.counts(mode)
        having = having[having > 0]
        least, most = int(having.min()), int(having.max())
        modes.append(ModeFacts(rows, rows - len(having), least, float(np.median(having)), most))
    return Facts(
        name=dataset.name,
        source=dataset.source,
        shape=ratings.shape,
        ratings=len(ratings),
        density=len(ratings) / float(np.prod(ratings.shape, dtype=np.float64)),
        mean=float(values.mean()),
        std=float(values.std()),
        least=float(values.min()),
        most=float(values.max()),
        values=tuple(zip(different.tolist(), counts.tolist(), strict=True)) if few else (),
        modes=tuple(modes),
        sha256=dataset.sha256,
        contents=content_hash(ratings),
        planted=str(dataset.architecture["operation"]) if dataset.architecture else None,
    )
