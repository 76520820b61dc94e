"""Youtube's users and five kinds of interaction between them (Tang, Wang and Liu, ICDM 2009): the paper's tensor."""

from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_cf.cf.data.cache import sha256_of
from automl_cf.cf.data.dataset import Dataset, datasets, joint_sha256
from automl_cf.cf.data.folders import folder_with
from automl_cf.cf.ratings import FloatArray, RatingTensor
from automl_cf.errors import InputError

Users = NDArray[np.int32]  # their ids; the whole data set has millions of pairs, so small numbers are kept small

_FILES = tuple(f"{kind}-edges.csv" for kind in range(1, 6))
_STREAM = 0x10C7BE  # names the random stream of the sample of rows: no other use of a seed draws from it


@datasets.register("youtube")
def youtube(
    *, folder: str | PathLike[str] | None = None, rows: int = 600, more_than: int = 20, seed: int = 0
) -> Dataset:
    """Youtube's interactions, in a folder of yours: user x user x kind, sampled as in the paper.

    The folder has 1-edges.csv to 5-edges.csv, one for each kind of interaction, with lines ``user,user,intensity``;
    interactions are symmetric, and each pair is there once, so that a line makes two entries of the tensor. The
    paper's rule for its subset (section 4.1): of the rows with more than ``more_than`` interactions, counted over all
    kinds, ``rows`` are sampled (0: all are taken). Columns are the users with whom those have any. The paper does not
    say how it drew its 600; ``seed`` determines ours, so sizes will differ a little from its 600 x 14,340 x 5.

    Raises ``InputError`` for a missing file, for lines of another form, for a pair that is there twice, and if
    there are too few rows.
    """
    for name, value in (("rows", rows), ("more_than", more_than), ("seed", seed)):
        if not isinstance(value, int) or value < 0:
            raise InputError(f"data set 'youtube': {name} is {value!r}, but must be an integer of at least 0.")
    path = folder_with("youtube", folder, _FILES)
    kinds = [_read(path / file) for file in _FILES]
    users = np.unique(np.concatenate([np.unique(pairs) for pairs, _ in kinds]))
    chosen = _sample(users, [pairs for pairs, _ in kinds], rows, more_than, seed)
    indices, values = [], []
    for kind, (pairs, intensity) in enumerate(kinds):
        from_row, to_column = pairs.T
        of_other = from_row != to_column  # who interacts with himself does it once
        for row, column, there in ((from_row, to_column, True), (to_column, from_row, of_other)):
            kept = np.isin(row, chosen) & there
            indices.append(np.stack([row[kept], column[kept], np.full(kept.sum(), kind)], axis=1))
            values.append(intensity[kept])
    entries = np.concatenate(indices).astype(np.int64)
    columns = np.unique(entries[:, 1])
    entries[:, 0] = np.searchsorted(chosen, entries[:, 0])
    entries[:, 1] = np.searchsorted(columns, entries[:, 1])
    shape = (len(chosen), len(columns), len(kinds))
    labels = (chosen, columns, np.arange(1, len(kinds) + 1))
    ratings = RatingTensor(entries, np.concatenate(values), shape, labels)
    ratings.check_usable(str(path))
    digest = joint_sha256({file: sha256_of(path / file) for file in _FILES})
    return Dataset("youtube", ratings, digest, str(path), columns=("user", "other", "kind"))


def _sample(users: Users, kinds: list[Users], rows: int, more_than: int, seed: int) -> Users:
    """Return the ids of the chosen rows, sorted."""
    counts = np.zeros(len(users), np.int64)
    for pairs in kinds:
        of_other = pairs[:, 0] != pairs[:, 1]
        for ends in (pairs[:, 0], pairs[of_other, 1]):
            counts += np.bincount(np.searchsorted(users, ends), minlength=len(users))
    enough = users[counts > more_than]
    if len(enough) < max(rows, 1):
        raise InputError(
            f"data set 'youtube': {len(enough)} rows have more than {more_than} interactions, but there must be "
            f"{max(rows, 1)} or more; lower rows or more_than."
        )
    if not rows:
        return enough
    rng = np.random.default_rng(np.random.SeedSequence([_STREAM, seed]))
    return np.sort(rng.choice(enough, size=rows, replace=False))


def _read(file: Path) -> tuple[Users, FloatArray]:
    """Return pairs of users (n, 2) and their intensities (n,)."""
    form = "must have lines 'user,user,intensity' of two integers and a number"
    try:
        table = pd.read_csv(file, header=None, dtype={0: np.int32, 1: np.int32, 2: np.float32}, na_filter=False)
    except pd.errors.EmptyDataError:
        return np.empty((0, 2), np.int32), np.empty(0, np.float32)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{file}: {form}, but cannot be read so: {' '.join(str(error).split()):.300}.") from error
    if table.shape[1] != 3:
        raise InputError(f"{file}: {form}, but has {table.shape[1]} columns.")
    return table[[0, 1]].to_numpy(np.int32), table[2].to_numpy(np.float32)
