"""Vector-wise operations: how the modes' transformed embeddings combine into one vector (paper, section 3.2).

The torch expression is the oracle for every engine. `combine` takes one tensor of shape (n, dim) per mode and
returns (n, width); `width` says how many numbers come out, hence how long the predictor w is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from automl_cf.registry import Registry


@dataclass(frozen=True)
class Operation:
    """One way of combining embeddings, for any number of modes."""

    name: str
    combine: Callable[[Sequence[Tensor]], Tensor]
    width: Callable[[int, int], int]  # (dim, order) -> length of the output


def _same_width(dim: int, order: int) -> int:
    return dim


operations: Registry[Operation] = Registry("operation", None, "automl_cf.operations")

for _operation in (
    Operation("multiply", lambda parts: reduce(torch.mul, parts), _same_width),
    Operation("plus", lambda parts: reduce(torch.add, parts), _same_width),
    Operation("min", lambda parts: reduce(torch.minimum, parts), _same_width),
    Operation("max", lambda parts: reduce(torch.maximum, parts), _same_width),
    Operation("concat", lambda parts: torch.cat(tuple(parts), dim=-1), lambda dim, order: dim * order),
):
    operations.register(_operation.name)(_operation)
