"""Baseline: the outer product, ConvNCF's interaction (He et al. 2018; paper, Table 1 and Figure 6(c))."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import MATRIX, TunedModel


@searchers.register("outer")
class Outer(TunedModel):
    """All products of two elements, weighted by w: a bilinear form."""

    capabilities = MATRIX
    model = "outer"
