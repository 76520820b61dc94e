"""Baseline: the interaction of collaborative metric learning (Hsieh et al. 2017; paper, Table 1)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import BOTH, TunedModel


@searchers.register("minus")
class Minus(TunedModel):
    """CML's minus, under the linear predictor: as expressive as plus, a bias model."""

    capabilities = BOTH
    model = "minus"
