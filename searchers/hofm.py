"""Baseline: the higher-order factorisation machine (Blondel et al. 2016; paper, section 4.2 and A.4)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import TENSOR, TunedModel


@searchers.register("hofm")
class Hofm(TunedModel):
    """HOFM of degree 3: biases, inner products of pairs and of triples."""

    capabilities = TENSOR
    model = "hofm"
