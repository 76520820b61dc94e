"""The common part of the baselines that are models of scikit-surprise."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from automl_cf.cf.baselines.outside import require
from automl_cf.searchers._interface import SearchTask
from automl_cf.searchers._tuned import MATRIX, Rates, SgdOptions, TunedModel


@dataclass(frozen=True)
class SurpriseOptions(SgdOptions):
    """Each setting is tried with each number of `epochs`, since the library knows no validation."""

    learning_rates: Rates = (0.01, 0.005)
    epochs: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (60, 30)


class SurpriseModel(TunedModel):
    """Raises InputError where scikit-surprise is not installed."""

    Options = SurpriseOptions
    capabilities = MATRIX

    def __init__(self, task: SearchTask, options: SurpriseOptions) -> None:
        super().__init__(task, options)
        require("surprise", f"searcher '{self.model}'")

    def settings(self) -> list[dict[str, Any]]:
        return [{"epochs": epochs} for epochs in self.options.epochs]
