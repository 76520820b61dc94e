"""NAS (random): random search for the widths of an MLP, whose weights are trained (paper, section 4.5.1)."""

from dataclasses import replace
from typing import Any

from automl_cf.searchers._interface import SearchTask, searchers
from automl_cf.searchers.random import Random
from automl_cf.spaces.nas import nas_space


@searchers.register("nas-random")
class NasRandom(Random):
    """Draws MLPs from `nas_space`, whatever the study's space: each layer's width uniformly, until one is 0.

    That is not uniform over architectures, three quarters of which have all five layers.
    """

    def __init__(self, task: SearchTask, options: Any) -> None:
        super().__init__(replace(task, space=nas_space()), options)
