"""Synchronous successive halving (Jamieson and Talwalkar: "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016), around any ask/tell searcher, with epochs as the resource."""

from collections.abc import Iterator
from itertools import repeat

from automl_cf.searchers._halving import BracketSearcher
from automl_cf.searchers._interface import searchers


@searchers.register("successive-halving")
class SuccessiveHalving(BracketSearcher):
    """Brackets of eta^s architectures, halved s times: the one that is left is trained in full, then another begins."""

    def halvings(self) -> Iterator[int]:
        return repeat(len(self.rungs) - 1)
