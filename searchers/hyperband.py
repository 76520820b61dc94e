"""Hyperband (Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, JMLR 2018), around any ask/tell searcher, with epochs
as the resource."""

from collections.abc import Iterator
from itertools import cycle

from automl_cf.searchers._halving import BracketSearcher
from automl_cf.searchers._interface import searchers


@searchers.register("hyperband")
class Hyperband(BracketSearcher):
    """Hyperband over another searcher's proposals: from the bracket that halves most often to one that never does.

    Algorithm 1, over and over.
    """

    def halvings(self) -> Iterator[int]:
        return cycle(range(len(self.rungs) - 1, -1, -1))
