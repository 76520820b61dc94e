"""Tucker's decomposition (paper, section 4.2 and A.4): a core with one weight for every tuple of dimensions.

The paper takes tensor products along all modes and a linear predictor on the result, which is the core. It is
contracted with one mode after the other here, so that no rating ever holds dim^order numbers. For two modes it is the
bilinear form u' W v.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from automl_cf.cf.baselines.form import PREDICTOR, Form, Weights


def tucker_form(dim: int, order: int) -> Form:
    """sum over a, b, c, ... of W[a, b, c, ...] u_a v_b s_c ..., with ||W|| <= 1."""

    def score(rows: Sequence[Tensor], weights: Weights) -> Tensor:
        first, *others = rows
        left = first @ weights[PREDICTOR].reshape(dim, -1)
        for row in others:
            left = torch.einsum("na,nab->nb", row, left.view(len(row), dim, -1))
        return left.squeeze(1)

    return Form(dim, score, {PREDICTOR: (dim,) * order}, numbers=2 * dim ** (order - 1))
