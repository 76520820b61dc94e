"""A space as Optuna's, define-by-run or fixed in advance."""

from typing import TYPE_CHECKING

from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.parameters import Category, Coordinate
from automl_cf.spaces.space import Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


def distributions(space: Space) -> "dict[str, BaseDistribution]":
    """Return every coordinate's distribution, as `study.ask` and `create_trial` take them."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        coordinate.name: CategoricalDistribution(range(coordinate.n))
        if isinstance(coordinate, Category)
        else FloatDistribution(0.0, 1.0)
        for coordinate in space.coordinates
    }


def suggest(space: Space, trial: "BaseTrial") -> Architecture:
    """Return the architecture that `trial` suggests; it is asked only for parameters that exist there."""

    def read(coordinate: Coordinate) -> float:
        if isinstance(coordinate, Category):
            return trial.suggest_categorical(coordinate.name, range(coordinate.n))
        return trial.suggest_float(coordinate.name, 0.0, 1.0)

    return space.build(read)
