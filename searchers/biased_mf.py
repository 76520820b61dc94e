"""Strong baseline: matrix factorisation with biases, by per-rating SGD (Koren et al. 2009)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import MATRIX, SgdOptions, TunedModel


@searchers.register("biased-mf")
class BiasedMf(TunedModel):
    """mu + b_u + b_i + p_u . q_i, with enough l2."""

    Options = SgdOptions
    capabilities = MATRIX
    model = "biased-mf"
