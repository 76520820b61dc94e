"""The outside peer: matrix factorisation by SVD of scikit-surprise, compiled C code and one of the fastest around.

Without its bias terms, so that it is the model that `multiply` is without networks. It takes one gradient step after
each rating, in double precision, always in the same order.
"""

import time
from functools import cache
from importlib.util import find_spec
from typing import Any

import pandas as pd

from automl_cf.benchmarks.speed.cases import Case
from automl_cf.benchmarks.speed.records import Sample
from automl_cf.cf.splits import SearchData

_EPOCHS = 20


def installed() -> bool:
    """Whether scikit-surprise is here; it comes with the extra `bench`."""
    return find_spec("surprise") is not None


@cache
def _trainset(data: SearchData) -> Any:
    from surprise import Dataset, Reader

    users, items = data.train.indices.T
    frame = pd.DataFrame({"user": users, "item": items, "rating": data.train.values})
    return Dataset.load_from_df(frame, Reader(rating_scale=(-10, 10))).build_full_trainset()


def surprise_epoch(case: Case, seed: int) -> Sample:
    """Seconds per epoch of 20."""
    from surprise import SVD

    trainset = _trainset(case.data)
    algorithm = SVD(n_factors=case.dim, n_epochs=_EPOCHS, biased=False, random_state=seed)
    start = time.perf_counter()
    algorithm.fit(trainset)
    return {"seconds": (time.perf_counter() - start) / _EPOCHS}
