"""SIF(no-auto): the paper's ablation that fits S, too, on the training part (sections 4.2 and 4.3)."""

from typing import ClassVar

from automl_cf.cf.supernet import Part
from automl_cf.searchers._interface import searchers
from automl_cf.searchers.sif import Sif


@searchers.register("sif-no-auto")
class SifNoAuto(Sif):
    """Algorithm 2 with training batches in the place of validation batches."""

    part: ClassVar[Part] = "train"
