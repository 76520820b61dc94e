"""Baseline without any interaction: mu + b_u + b_i. The bar that every searcher's result is held to."""

from automl_cf.searchers._interface import AskTellSearcher, Capabilities, searchers
from automl_cf.spaces.architecture import Architecture


@searchers.register("bias-only")
class BiasOnly(AskTellSearcher):
    """Proposes the bias model, once."""

    capabilities = Capabilities(fixed_proposals=True)

    def propose(self, number: int) -> Architecture | None:
        return Architecture({"model": "bias-only"}) if number == 0 else None
