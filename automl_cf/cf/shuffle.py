"""A random order, drawn alike by every engine."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def shuffled(n: int, rng: np.random.Generator) -> NDArray[np.uint32]:
    """The numbers 0..n-1 in random order, from n uniforms of `rng`.

    The inside-out shuffle of Fisher and Yates, compiled: a third of `rng.permutation`'s time, which was a fifth of
    an epoch's.
    """
    return np.asarray(_inside_out(rng.random(n)))


@njit(cache=True, nogil=True)
def _inside_out(uniforms: Any) -> Any:
    order = np.empty(len(uniforms), np.uint32)
    for i in range(len(uniforms)):
        j = np.uint64(uniforms[i] * (i + 1))
        order[i] = order[j]
        order[j] = i
    return order
