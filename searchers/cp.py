"""Baseline: the CP decomposition of a tensor (paper, section 4.2 and A.4)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import TENSOR, TunedModel


@searchers.register("cp")
class Cp(TunedModel):
    """CP: the product of all modes' embeddings, weighted by w."""

    capabilities = TENSOR
    model = "cp"
