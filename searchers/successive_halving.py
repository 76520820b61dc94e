"""Synchronous successive halving (Jamieson and Talwalkar: "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016), around any ask/tell searcher, with epochs as the resource."""

from collections.abc import Iterator
from itertools import repeat

from automl_cf.searchers._halving import BracketSearcher
from automl_cf.searchers._interface import searchers


@searchers.register("successive-halving")
class SuccessiveHalving(BracketSearcher):
    """Successive halving of another searcher's proposals: of eta^s, the best 1/eta are trained longer, s times.

    With s as large as the epochs allow, one is left to be trained in full; then the next bracket begins.
    """

    def halvings(self) -> Iterator[int]:
        return repeat(len(self.rungs) - 1)
