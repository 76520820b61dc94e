"""Baseline: Deep&Wide (Cheng et al. 2016; paper, section 4.2 and A.4)."""

from dataclasses import dataclass
from typing import Any

from automl_cf.searchers._interface import searchers
from automl_cf.searchers._tuned import TunedModel, TunedOptions


@dataclass(frozen=True)
class DeepWideOptions(TunedOptions):
    """`wide` adds the wide part, biases, which the paper leaves out."""

    wide: bool = False


@searchers.register("deep-wide")
class DeepWide(TunedModel):
    """Deep&Wide: two layers on the concatenation of the embeddings."""

    Options = DeepWideOptions
    model = "deep-wide"

    def settings(self) -> list[dict[str, Any]]:
        return [{"wide": True} if self.options.wide else {}]
