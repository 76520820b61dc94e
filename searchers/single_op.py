"""Baseline: every operation of the space by itself, without element-wise networks (paper, Figure 6(c))."""

from itertools import product
from typing import Any

from automl_cf.errors import InputError
from automl_cf.searchers._interface import AskTellSearcher, Capabilities, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.parameters import Choice, Subset


@searchers.register("single-op")
class SingleOp(AskTellSearcher):
    """Proposes each operation with each l2 of the study's grid; the best by validation is the best single-op.

    Without networks the embeddings live on another scale, so the search's common l2 would not rank operations
    as the final retraining over the grid does. Raises InputError for a space without operations.
    """

    capabilities = Capabilities(fixed_proposals=True)

    def __init__(self, task: SearchTask, options: Any) -> None:
        super().__init__(task, options)
        self._operations = [
            option
            for parameter in self.space.parameters
            if isinstance(parameter, Choice | Subset) and parameter.name in ("operation", "operations")
            for option in parameter.options
        ]
        # What all of the space have in common, such as a predictor; without networks they need no activation.
        self._constants = {name: value for name, value in self.space.constants.items() if name != "activation"}
        if not self._operations:
            raise InputError(f"searcher 'single-op' needs a space of operations, but '{self.space.name}' has none.")

    def propose(self, number: int) -> Architecture | None:
        grid = list(product(reversed(self.task.l2_grid), self._operations))
        if number >= len(grid):
            return None
        l2, operation = grid[number]
        return Architecture({"operation": operation, "l2": l2, **self._constants})
