"""MovieLens-10M (Harper and Konstan, 2015); its licence forbids to redistribute it, so it is fetched."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from automl_cf.cf.data.cache import CachedFile
from automl_cf.cf.data.dataset import fetched
from automl_cf.cf.data.sources import ARCHIVE_ERRORS, Member, WebArchive
from automl_cf.cf.ratings import RatingTensor
from automl_cf.errors import InputError

# The archive itself is kept: GroupLens publishes its MD5, ce571fd55effeba0271552578f2648bd, and its SHA-256 and size
# are on record in several public projects that fetched it, independently of each other.
_ARCHIVE = CachedFile("ml-10m.zip", "813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862", size=65_566_137)
_RATINGS = "ml-10M100K/ratings.dat"
_MOST_BYTES = 300_000_000  # a little more than it has


@fetched(
    "ml-10m",
    WebArchive("https://files.grouplens.org/datasets/movielens/ml-10m.zip", (Member(None, _ARCHIVE),)),
)
def ml_10m(files: Mapping[str, Path]) -> RatingTensor:
    """MovieLens-10M: 10,000,054 ratings from 0.5 to 5 by 69,878 users of 10,677 films.

    Lines of ratings.dat are ``user::film::rating::timestamp``. Rows are the users and films that have ratings, by
    their ids, which are the labels; the 71,567 x 10,681 of the paper's Table 2 include some that have none. An
    unpacked ratings.dat can be given by its path, too; then no checksum is checked.
    """
    try:
        with zipfile.ZipFile(files[_ARCHIVE.name]) as archive, archive.open(_RATINGS) as stream:
            if archive.getinfo(_RATINGS).file_size > _MOST_BYTES:  # of which no more is read, whatever there is
                raise ValueError(f"it has more than {_MOST_BYTES} bytes")
            # Only the second colon of "::" is left to skip: pandas is fast with one character only.
            ratings = pd.read_csv(
                stream,
                sep=":",
                header=None,
                usecols=[0, 2, 4],
                names=["user", "item", "rating"],
                dtype={"user": np.int32, "item": np.int32, "rating": np.float32},
            )
    except (KeyError, *ARCHIVE_ERRORS) as error:  # its SHA-256 is known, but not to every caller
        reason = f"{' '.join(str(error).split()):.200}"
        raise InputError(f"{files[_ARCHIVE.name]}: has no readable {_RATINGS} ({reason}).") from error
    modes = [pd.factorize(ratings[name].to_numpy(), sort=True) for name in ("user", "item")]
    indices = np.stack([codes for codes, _ in modes], axis=1).astype(np.int64)
    labels = tuple(np.asarray(names) for _, names in modes)
    return RatingTensor(indices, ratings["rating"].to_numpy(), tuple(map(len, labels)), labels)
