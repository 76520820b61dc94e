"""Planted data by the name ``planted``: its options are those of :func:`automl_cf.cf.data.planted.plant`."""

from automl_cf.cf.data.dataset import datasets
from automl_cf.cf.data.planted import plant

datasets.register("planted")(plant)
