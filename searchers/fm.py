"""Baseline: the factorisation machine (Rendle 2010; paper, section 4.2 and A.4)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import BOTH, TunedModel


@searchers.register("fm")
class FactorizationMachine(TunedModel):
    """Factorisation machine of degree 2: biases and inner products."""

    capabilities = BOTH
    model = "fm"
