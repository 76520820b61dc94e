"""Strong baseline: SVD++ (Koren 2008)."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import MATRIX, SgdOptions, TunedModel


@searchers.register("svdpp")
class SvdPlusPlus(TunedModel):
    """Biased MF with implicit feedback: a user is also the items that he or she rated."""

    Options = SgdOptions
    capabilities = MATRIX
    model = "svdpp"
