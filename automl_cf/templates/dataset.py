"""my-thing: ratings of items that are liked more or less, by kind or strict users."""

import numpy as np

from automl_cf.cf.data import Dataset, datasets
from automl_cf.cf.ratings import RatingTensor, content_hash


@datasets.register("my-thing")
def my_thing(users: int = 200, items: int = 100, seed: int = 0) -> Dataset:  # set by studies
    """Ratings made of a user's and an item's bias, and noise."""
    # Change from here: read your own, by NumPy or pandas, or fetch them (see automl_cf/cf/data/sets/ml_100k.py).
    rng = np.random.default_rng(seed)
    observed = np.flatnonzero(rng.random(users * items) < 0.3)
    indices = np.stack(np.divmod(observed, items), axis=1)  # int64 (n, 2): row numbers from 0; (n, 3) for a tensor
    biases = rng.normal(size=users)[indices[:, 0]] + rng.normal(size=items)[indices[:, 1]]
    values = biases + 0.5 * rng.normal(size=len(indices))  # float32 (n,)
    # To here.
    ratings = RatingTensor(indices, values.astype(np.float32), (users, items))
    ratings.check_usable("my-thing")
    return Dataset("my-thing", ratings, content_hash(ratings), source=f"made from seed {seed}")
