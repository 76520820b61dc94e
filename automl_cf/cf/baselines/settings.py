"""What an architecture of a human-designed model says beside its name: read and checked in one place."""

import math

from automl_cf.cf.training import Training
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture


def positive(architecture: Architecture, name: str, default: float) -> float:
    """A number above 0. Raises InputError for anything else."""
    value = architecture.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise InputError(f"'{name}' of model '{architecture['model']}' is {value!r}, but must be a number above 0.")
    return float(value)


def whole(architecture: Architecture, name: str, default: int, least: int = 1) -> int:
    """A whole number of at least `least`. Raises InputError for anything else."""
    value = architecture.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        model = architecture["model"]
        raise InputError(f"'{name}' of model '{model}' is {value!r}, but must be a whole number of at least {least}.")
    return value


def yes(architecture: Architecture, name: str) -> bool:
    """A switch, off if it is not there. Raises InputError for anything but true and false."""
    value = architecture.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"'{name}' of model '{architecture['model']}' is {value!r}, but must be true or false.")
    return value


def with_learning_rate(architecture: Architecture, training: Training) -> Training:
    """The study's training with the architecture's learning rate, if it has one. Raises InputError as `positive`."""
    rate = positive(architecture, "learning_rate", training.learning_rate)
    return training.model_copy(update={"learning_rate": rate})


def check_order(architecture: Architecture, order: int, right: int) -> None:
    """Raise InputError if the data have not as many modes as the model is made for."""
    if order != right:
        raise InputError(f"model '{architecture['model']}' is for data with {right} modes, but these have {order}.")
