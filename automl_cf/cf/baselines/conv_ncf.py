"""ConvNCF (He et al. 2018): a convolutional network on the map of all products u_a v_b.

Layers of 2 x 2 kernels with stride 2 and ReLU halve the map until one cell is left, whose channels the linear
predictor weighs. The original has 32 channels and ranks items; this one predicts ratings, with `CHANNELS`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from automl_cf.cf.baselines.form import PREDICTOR, Form, Weights

CHANNELS = 16


def conv_ncf_form(dim: int, channels: int = CHANNELS) -> Form:
    """The form for matrices; a map of odd size is padded by a row and a column of zeros."""
    layers = (dim - 1).bit_length()  # halvings, rounded up, from dim to 1
    shapes: dict[str, tuple[int, ...]] = {PREDICTOR: (channels if layers else 1,)}
    for i in range(layers):
        shapes[f"kernel{i}"] = (channels, 4 * (channels if i else 1))
        shapes[f"bias{i}"] = (channels,)

    def score(rows: Sequence[Tensor], weights: Weights) -> Tensor:
        first, second = rows
        maps = (first.unsqueeze(2) * second.unsqueeze(1)).unsqueeze(3)  # (n, dim, dim, 1): channels last
        for i in range(layers):
            maps = torch.relu(_blocks(maps) @ weights[f"kernel{i}"].T + weights[f"bias{i}"])
        return maps.flatten(1) @ weights[PREDICTOR]

    return Form(dim, score, shapes, numbers=2 * channels * dim * dim)


def _blocks(maps: Tensor) -> Tensor:
    """(n, s, s, c) cut into blocks of 2 x 2 cells: (n, ceil(s/2), ceil(s/2), 4c), with zeros beyond an odd s.

    Where the stride is as long as the kernel, a convolution is one matrix product of the blocks.
    """
    odd = maps.shape[1] % 2
    maps = pad(maps, (0, 0, 0, odd, 0, odd))
    n, size, _, channels = maps.shape
    half = size // 2
    return maps.view(n, half, 2, half, 2, channels).transpose(2, 3).reshape(n, half, half, 4 * channels)
