"""Outside baseline: the Bayesian factorisation machine of myFM, by Gibbs sampling. Needs the extra `baselines`."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from automl_cf.cf.baselines.outside import MYFM_ITERATIONS, require
from automl_cf.searchers._interface import AskTellSearcher, Capabilities, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture


@dataclass(frozen=True)
class MyFmOptions:
    """`iterations` of the sampler; it predicts with the last half of them."""

    iterations: Annotated[int, Field(gt=0)] = MYFM_ITERATIONS


@searchers.register("myfm")
class MyFm(AskTellSearcher):
    """Bayesian factorisation machine, once: it draws its own penalties, so that nothing is left to tune.

    Raises InputError where myFM is not installed.
    """

    Options = MyFmOptions
    capabilities = Capabilities(fixed_proposals=True)

    def __init__(self, task: SearchTask, options: MyFmOptions) -> None:
        super().__init__(task, options)
        require("myfm", "searcher 'myfm'")

    def propose(self, number: int) -> Architecture | None:
        return Architecture({"model": "myfm", "iterations": self.options.iterations}) if number == 0 else None
