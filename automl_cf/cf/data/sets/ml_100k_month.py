"""MovieLens-100K as a context tensor: the same file as ``ml-100k``, with the month of each rating as third mode."""

from collections.abc import Mapping
from pathlib import Path

from automl_cf.cf.data.dataset import fetched
from automl_cf.cf.data.files import read_ratings
from automl_cf.cf.data.sets.ml_100k import ml_100k
from automl_cf.cf.ratings import RatingTensor


@fetched("ml-100k-month", *ml_100k.sources, files_of="ml-100k", columns=("user", "item", "month"))
def ml_100k_month(files: Mapping[str, Path]) -> RatingTensor:
    """MovieLens-100K with months: 100,000 ratings by 943 users of 1,682 films in 8 months, a tensor.

    Months are those of the timestamps in UTC, September 1997 to April 1998.
    """
    return read_ratings(
        files["u.data"],
        index_columns=[0, 1],
        value_column=2,
        time_column=3,
        time_bin="month",
        separator="\t",
        header=False,
    )
