"""Baseline: matrix factorisation by gradient descent (paper, section 4.2 and A.4)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import MATRIX, TunedModel


@searchers.register("altgrad")
class AltGrad(TunedModel):
    """AltGrad: the inner product, weighted by w."""

    capabilities = MATRIX
    model = "altgrad"
