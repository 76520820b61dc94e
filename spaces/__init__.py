"""Declarative spaces: what may be built, and the one map from the unit cube onto it."""

from automl_cf.spaces.architecture import Architecture, Scalar, Value
from automl_cf.spaces.interaction import interaction_space
from automl_cf.spaces.nas import nas_space
from automl_cf.spaces.parameters import (
    Category,
    Choice,
    Condition,
    Coordinate,
    Int,
    Parameter,
    Real,
    Role,
    Subset,
    Unit,
    Vector,
)
from automl_cf.spaces.space import Space
from automl_cf.spaces.tensor import compositions, tensor_space

__all__ = [
    "Architecture",
    "Category",
    "Choice",
    "Condition",
    "Coordinate",
    "Int",
    "Parameter",
    "Real",
    "Role",
    "Scalar",
    "Space",
    "Subset",
    "Unit",
    "Value",
    "Vector",
    "compositions",
    "interaction_space",
    "nas_space",
    "tensor_space",
]
