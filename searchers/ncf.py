"""Baseline: neural collaborative filtering (He et al. 2017; paper, section 4.2 and A.4)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import BOTH, TunedModel


@searchers.register("ncf")
class Ncf(TunedModel):
    """NCF: the element-wise product beside a layer on the concatenation."""

    capabilities = BOTH
    model = "ncf"
