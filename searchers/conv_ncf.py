"""Baseline: ConvNCF (He et al. 2018; paper, Table 1)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import MATRIX, TunedModel


@searchers.register("conv-ncf")
class ConvNcf(TunedModel):
    """ConvNCF: a convolutional network on the outer product."""

    capabilities = MATRIX
    model = "conv-ncf"
