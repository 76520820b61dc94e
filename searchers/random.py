"""Random search (Bergstra and Bengio 2012; paper, section 4.3 and A.5)."""

from automl_cf.searchers._interface import AskTellSearcher, searchers
from automl_cf.spaces.architecture import Architecture


@searchers.register("random")
class Random(AskTellSearcher):
    """Draws architectures independently and uniformly from the space."""

    def propose(self, number: int) -> Architecture:
        return self.space.sample(self.rng)
