"""Outside baseline: SVD of scikit-surprise (Hug 2020). Needs the extra `baselines`."""

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._surprise import SurpriseModel


@searchers.register("surprise-svd")
class SurpriseSvd(SurpriseModel):
    """scikit-surprise's SVD."""

    model = "surprise-svd"
