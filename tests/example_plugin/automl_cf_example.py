"""A distribution with one thing of each kind; its pyproject.toml offers them to automl-cf."""

from itertools import product

import numpy as np
import torch

from automl_cf.cf.data import Dataset
from automl_cf.cf.models import ModelFamily
from automl_cf.cf.operations import Operation
from automl_cf.cf.ratings import RatingTensor, content_hash
from automl_cf.cf.training import Fit
from automl_cf.searchers import AskTellSearcher, Capabilities
from automl_cf.spaces.architecture import Architecture

distance = Operation("example-distance", lambda parts: torch.stack(tuple(parts)).var(0), lambda dim, order: dim)


class Nothing:
    """Predicts the mean of all ratings, which is 0 in standardised units."""

    def predict(self, indices):
        return np.zeros(len(indices))


def train(architecture, task, l2, meter, epochs):
    with meter.timed("validate"):
        rmse = float(np.sqrt(np.mean(task.data.valid.values.astype(float) ** 2)))
    return Fit("ok", rmse, l2, 1, 1, (rmse,), Nothing())


nothing = ModelFamily(train, l2_grid=(0.0,))


class Turns(AskTellSearcher):
    """Proposes the operation and the model in turn."""

    capabilities = Capabilities(fixed_proposals=True)

    def propose(self, number):
        return Architecture([{"model": "example-nothing"}, {"operation": "example-distance"}][number % 2])


def waves(users: int = 30) -> Dataset:
    """Ratings that depend on how far apart a user and an item are on a line."""
    indices = np.array(list(product(range(users), range(20))))
    values = np.cos(indices[:, 0] / users - indices[:, 1] / 20)
    ratings = RatingTensor(indices, values.astype(np.float32), (users, 20))
    return Dataset("example-waves", ratings, content_hash(ratings), "computed")
