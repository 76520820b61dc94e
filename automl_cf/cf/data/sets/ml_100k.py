"""MovieLens-100K (Harper and Konstan, 2015); its licence forbids to redistribute it, so it is fetched."""

from collections.abc import Mapping
from pathlib import Path

from automl_cf.cf.data.cache import CachedFile
from automl_cf.cf.data.dataset import fetched
from automl_cf.cf.data.files import read_ratings
from automl_cf.cf.data.sources import Member, WebArchive, Wheel
from automl_cf.cf.ratings import RatingTensor

_RATINGS = CachedFile("u.data", "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490", size=1_979_173)


@fetched(
    "ml-100k",
    WebArchive(
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        (Member("ml-100k/u.data", _RATINGS),),
    ),
    # The same file byte for byte, after one header line.
    Wheel(
        "recbole==1.2.1",
        (Member("recbole/dataset_example/ml-100k/ml-100k.inter", _RATINGS, skip_lines=1),),
    ),
)
def ml_100k(files: Mapping[str, Path]) -> RatingTensor:
    """MovieLens-100K: 100,000 ratings from 1 to 5 by 943 users of 1,682 films."""
    return read_ratings(files["u.data"], index_columns=[0, 1], value_column=2, separator="\t", header=False)
