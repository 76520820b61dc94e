"""The element-wise network g(x; p): one input, H hidden units, one output (paper, section 3.2).

A network is a flat vector of 3H + 1 numbers, [input weights (H), input biases (H), output weights (H), output
bias], so that the paper's bound on its norm is a bound on one vector.
"""

import numpy as np
import torch
from torch import Tensor

from automl_cf.spaces.tensor import MODE_VECTORS

__all__ = ["ACTIVATIONS", "MODE_VECTORS", "apply_network", "near_identity", "project_to_ball"]

ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}


def apply_network(table: Tensor, vector: Tensor, activation: str) -> Tensor:
    """g of every element of `table` (any shape): for embedding tables, never for every rating."""
    units = (vector.shape[0] - 1) // 3
    hidden = ACTIVATIONS[activation](table.unsqueeze(-1) * vector[:units] + vector[units : 2 * units])
    return hidden @ vector[2 * units : 3 * units] + vector[3 * units]


def project_to_ball(vector: np.ndarray, bound: float) -> np.ndarray:
    """The nearest point with norm at most `bound`: z / max(1, ||z|| / bound).

    The paper's Algorithm 2 prints z / ||z||, which is the projection onto the sphere.
    """
    return vector / max(1.0, float(np.linalg.norm(vector)) / bound)


def near_identity(units: int, activation: str, bound: float) -> np.ndarray:
    """A network of norm at most `bound` that is odd and has slope 1 at 0, or what slope the bound allows.

    Entering the search where g(x) is about x means starting from the plain operation, instead of from a
    random squashing of the embeddings. Units come in pairs (w, a) and (-w, -a), which together are odd for
    any activation; a spare unit is 0. A unit that is the only one is centred by the output bias: that makes
    it odd for sigmoid and tanh, but not for relu, which needs two.
    """
    at_zero, slope = {"sigmoid": (0.5, 0.25), "tanh": (0.0, 1.0), "relu": (0.0, 0.5)}[activation]
    active = units - units % 2 or 1
    weights = np.zeros(units)
    weights[:active] = (slope * active) ** -0.5 * (-1.0) ** np.arange(active)
    centre = [-at_zero * weights.sum()]
    return project_to_ball(np.concatenate([weights, np.zeros(units), weights, centre]), 0.95 * bound)
