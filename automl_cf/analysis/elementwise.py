"""Element-wise functions of found architectures, computed with NumPy for figures and reports.

The form is that of `cf/elementwise.py`: a network of one input, H hidden units and one output is a flat vector of
3H + 1 numbers, [input weights (H), input biases (H), output weights (H), output bias].
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from automl_cf.analysis.statistics import FloatArray
from automl_cf.errors import InputError, suggest

ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0.0),
}


def elementwise(parameters: Sequence[float] | None, x: npt.ArrayLike, activation: str = "sigmoid") -> FloatArray:
    """Return g(x; parameters) for each element of ``x``, of the same shape.

    ``parameters`` are 3H + 1 numbers; None is the identity, as where an architecture has no such function. Raises
    InputError for another number of them, for what is no number, and for an activation that there is not.
    """
    values = np.asarray(x, dtype=np.float64)
    if parameters is None:
        return values.copy()
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise InputError(f"Unknown activation '{activation}'.{suggest(activation, ACTIVATIONS)} Known: {known}.")
    try:
        vector = np.asarray(parameters, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"parameters: {parameters!r:.60} must be a list of 3 x units + 1 numbers.") from None
    if vector.ndim != 1 or len(vector) < 4 or len(vector) % 3 != 1:
        raise InputError(f"parameters: there are {vector.size}, but they must be 3 x units + 1 numbers.")
    units = len(vector) // 3
    inner, biases, outer = vector[: 3 * units].reshape(3, units)
    return np.asarray(ACTIVATIONS[activation](values[..., None] * inner + biases) @ outer + vector[-1])
