"""Vector-wise operations: how the modes' transformed embeddings combine into one vector (paper, section 3.2).

The torch expression is the oracle for every engine. `combine` takes one tensor of shape (n, dim) per mode and
returns (n, width); `width` says how many numbers come out, hence how long the predictor w is. Compositions, such as
`plus(multiply(1,2),3)`, are operations by their formula (section 3.4), without being registered.

The paper's space has the first five; minus, conv and outer stand in its Table 1 and Figure 6(c) only, since they cost
more or are no better (section 3.2). Under a linear predictor minus is plus with the signs of all but the first mode
turned, and conv is outer with weights that it shares: w_k for all u_i v_j with i + j = k, or k + dim. All engines have
all eight (the fused one no concat or outer of more than two terms).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from automl_cf.cf.compositions import Composition, is_composition
from automl_cf.registry import Registry
from automl_cf.spaces.formula import parse


@dataclass(frozen=True)
class Operation:
    """One way of combining embeddings, for any number of modes."""

    name: str
    combine: Callable[[Sequence[Tensor]], Tensor]
    width: Callable[[int, int], int]  # (dim, order) -> length of the output


def _same_width(dim: int, order: int) -> int:
    return dim


def _circular_convolution(parts: Sequence[Tensor]) -> Tensor:
    """(u * v)_k = sum_l u_l v_(k - l mod dim), in O(dim log dim): a product of Fourier transforms."""
    spectrum = reduce(torch.mul, [torch.fft.rfft(part) for part in parts])
    convolved: Tensor = torch.fft.irfft(spectrum, n=parts[0].shape[-1])
    return convolved


def _outer(parts: Sequence[Tensor]) -> Tensor:
    """All products of one element of each mode, the first mode's index running slowest."""
    return reduce(lambda a, b: (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2), parts)


class Operations(Registry[Operation]):
    """The registered operations, and compositions of them."""

    def __init__(self, group: str) -> None:
        super().__init__("operation", None, group)
        self._composed: dict[str, Operation] = {}

    def get(self, name: str) -> Operation:
        """Return the operation `name`, or the composition of that formula.

        Raises as `Registry.get` does, and InputError for a formula that makes no sense.
        """
        if not is_composition(name):
            return super().get(name)
        if name not in self._composed:
            composition = Composition(parse(name), super().get)
            self._composed[name] = Operation(name, composition.combine, composition.width)
        return self._composed[name]


operations = Operations("automl_cf.operations")

for _operation in (
    Operation("multiply", lambda parts: reduce(torch.mul, parts), _same_width),
    Operation("plus", lambda parts: reduce(torch.add, parts), _same_width),
    Operation("min", lambda parts: reduce(torch.minimum, parts), _same_width),
    Operation("max", lambda parts: reduce(torch.maximum, parts), _same_width),
    Operation("concat", lambda parts: torch.cat(tuple(parts), dim=-1), lambda dim, order: dim * order),
    Operation("minus", lambda parts: reduce(torch.sub, parts), _same_width),
    Operation("conv", _circular_convolution, _same_width),
    Operation("outer", _outer, lambda dim, order: int(dim**order)),
):
    operations.register(_operation.name)(_operation)
