"""What is trained: data, an architecture, and the protocol of the study's defaults."""

from dataclasses import dataclass
from functools import cache

from automl_cf.cf import data
from automl_cf.cf.elementwise import near_identity
from automl_cf.cf.splits import SearchData, random_split
from automl_cf.cf.training import Training
from automl_cf.spaces.architecture import Architecture

UNITS, NORM_BOUND = 5, 3.0  # the default space's networks
TEXTBOOK_BATCH = 512  # what the authors' public code takes
OUR_BATCH = Training().batch_size


@cache
def named(name: str) -> SearchData:
    """A data set, split with seed 1: half of its ratings train, a quarter validates."""
    return random_split(data.load(name).ratings, seed=1).for_search()


@cache
def planted(ratings: int) -> SearchData:
    """Planted data with about that many ratings, 50 a user and 100 an item, split as above."""
    dataset = data.plant(users=ratings // 50, items=ratings // 100, density=min(1.0, 5000 / ratings), dim=8, noise=0.5)
    return random_split(dataset.ratings, seed=1).for_search()


def candidate(operation: str = "multiply", networks: bool = True) -> Architecture:
    """An interaction function; its networks p and q are those that are nearly the identity."""
    network = tuple(near_identity(UNITS, "sigmoid", NORM_BOUND).tolist())
    vectors = {"p": network, "q": network, "activation": "sigmoid"} if networks else {}
    return Architecture({"operation": operation, **vectors})


@dataclass(frozen=True)
class Case:
    """A training of `epochs` epochs, not one less: its patience is without end."""

    data: SearchData
    architecture: Architecture
    batch: int
    dim: int = 8

    def training(self, epochs: int) -> Training:
        """The protocol: the study's defaults but for the batch size."""
        return Training(batch_size=self.batch, max_epochs=epochs, patience=epochs + 1)

    @property
    def l2(self) -> float:
        """The search's default."""
        return Training().search_l2
