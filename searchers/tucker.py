"""Baseline: Tucker's decomposition of a tensor (paper, section 4.2 and A.4)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import TENSOR, TunedModel


@searchers.register("tucker")
class Tucker(TunedModel):
    """Tucker: a core that weighs all products of one element per mode."""

    capabilities = TENSOR
    model = "tucker"
