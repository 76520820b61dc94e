"""The best that a search can find, for planted data: the architecture that made them."""

from automl_cf.searchers._interface import AskTellSearcher, Capabilities, searchers
from automl_cf.spaces.architecture import Architecture


@searchers.register("oracle")
class Oracle(AskTellSearcher):
    """Proposes the planted architecture, once, be it in the space or not: how far are the others from it?

    Its parameters are trained as everybody's are, so that its RMSE is no lower bound: on few ratings a simpler
    architecture may generalise better.
    """

    capabilities = Capabilities(fixed_proposals=True, needs_truth=True)

    def propose(self, number: int) -> Architecture | None:
        return self.task.truth if number == 0 else None
