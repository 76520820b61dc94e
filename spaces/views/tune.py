"""A space as Ray Tune's `param_space`."""

from collections.abc import Mapping
from typing import Any

from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.parameters import Category
from automl_cf.spaces.space import Space


def tune_space(space: Space) -> dict[str, Any]:
    """Return `tune.choice` of the classes for each Category and `tune.uniform` for each Unit, by name."""
    from ray import tune

    return {
        coordinate.name: tune.choice(list(range(coordinate.n)))
        if isinstance(coordinate, Category)
        else tune.uniform(0.0, 1.0)
        for coordinate in space.coordinates
    }


def from_tune(space: Space, config: Mapping[str, Any]) -> Architecture:
    """Return the architecture at a Tune trial's config, which may hold other keys too."""
    return space.from_coordinates(config)
