"""A space as ConfigSpace's, which SMAC searches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.parameters import Category, Parameter
from automl_cf.spaces.space import Space

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def configuration_space(space: Space) -> "ConfigurationSpace":
    """Return a categorical hyperparameter for each Category and a uniform float for each Unit, by name.

    They are active where their parameter exists, as far as choices and subsets decide that. Where a number or a
    vector decides, ConfigSpace's conditions cannot say it: then they are always active, and ignored where the
    parameter does not exist.
    """
    from ConfigSpace import (
        AndConjunction,
        CategoricalHyperparameter,
        ConfigurationSpace,
        InCondition,
        UniformFloatHyperparameter,
    )

    made = ConfigurationSpace(space.name)
    for parameter in space.searched:
        for coordinate in parameter.coordinates():
            child = (
                CategoricalHyperparameter(coordinate.name, range(coordinate.n))
                if isinstance(coordinate, Category)
                else UniformFloatHyperparameter(coordinate.name, 0.0, 1.0)
            )
            made.add(child)
            conditions = [
                InCondition(child, made[parent], classes) for parent, classes in _classes(space, parameter).items()
            ]
            if conditions:
                made.add(AndConjunction(*conditions) if len(conditions) > 1 else conditions[0])
    return made


def from_configuration(space: Space, configuration: Mapping[str, Any]) -> Architecture:
    """Return the architecture at a configuration of `configuration_space`."""
    return space.from_coordinates(configuration)


def _classes(space: Space, parameter: Parameter) -> dict[str, list[int]]:
    """By the names of choices and subsets: their classes with which the parameter exists."""
    parents = {parent.name: parent for parent in space.searched}
    found: dict[str, list[int]] = {}
    for condition, listed in ((parameter.when, True), (parameter.unless, False)):
        if condition is None:
            continue
        name, values = condition
        match parents[name].coordinates():
            case (Category() as category,):
                classes = found.get(name, range(category.n))
                found[name] = [c for c in classes if (parents[name].decode([c]) in values) is listed]
    return {name: classes for name, classes in found.items() if classes}
