"""Neural models as in the paper's A.4: Deep&Wide (Cheng et al. 2016), NCF (He et al. 2017), for any number of modes.

Layers end in the common linear predictor w.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from automl_cf.cf.baselines.form import PREDICTOR, Form, Weights


def deep_wide_form(dim: int, order: int, wide: bool = False) -> Form:
    """w . relu(B relu(A [u; v; ...] + a) + b): two layers of order * dim and dim units.

    The paper leaves out the wide part, a linear model of the one-hot modes: with `wide` every row has a bias, too.
    """
    inputs, linear = order * dim, int(wide)

    def score(rows: Sequence[Tensor], weights: Weights) -> Tensor:
        hidden = torch.cat([row[:, linear:] for row in rows], dim=1)
        for layer, bias in (("A", "a"), ("B", "b")):
            hidden = torch.relu(hidden @ weights[layer].T + weights[bias])
        deep = hidden @ weights[PREDICTOR]
        return deep + torch.stack([row[:, 0] for row in rows]).sum(0) if wide else deep

    shapes = {PREDICTOR: (dim,), "A": (inputs, inputs), "a": (inputs,), "B": (dim, inputs), "b": (dim,)}
    return Form(dim + linear, score, shapes, linear, numbers=4 * inputs)


def ncf_form(dim: int, order: int) -> Form:
    """w . [u * v * ...; relu(A [u; v; ...] + a)]: matrix factorisation beside one layer of dim units.

    Both parts share the embeddings, as in the paper (He et al. have some for each).
    """
    inputs = order * dim

    def score(rows: Sequence[Tensor], weights: Weights) -> Tensor:
        product = torch.stack(list(rows)).prod(0)
        hidden = torch.relu(torch.cat(list(rows), dim=1) @ weights["A"].T + weights["a"])
        return torch.cat([product, hidden], dim=1) @ weights[PREDICTOR]

    return Form(dim, score, {PREDICTOR: (2 * dim,), "A": (dim, inputs), "a": (dim,)}, numbers=4 * inputs)
