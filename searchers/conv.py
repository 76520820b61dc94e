"""Baseline: circular convolution, the paper's reading of ConvMF (Kim et al. 2016; Table 1 and Figure 6(c))."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import BOTH, TunedModel


@searchers.register("conv")
class Conv(TunedModel):
    """Circular convolution of the embeddings."""

    capabilities = BOTH
    model = "conv"
