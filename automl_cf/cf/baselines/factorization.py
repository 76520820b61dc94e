"""Factorisation machines on one-hot modes: FM (Rendle 2010) and HOFM (Blondel et al. 2016).

The score is w0 + sum of the modes' biases + sum over degrees t of the ANOVA kernel of degree t of the modes' factors,
summed over `dim` dimensions: the sum over all sets of t modes of the product of their factors. Each degree has factors
of its own. A row is [bias, factors of degree 2, factors of degree 3, ...]. There is no predictor w; biases and factors
are penalised alike.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from automl_cf.cf.baselines.form import Form, Weights


def pairs(factors: Sequence[Tensor]) -> Tensor:
    """sum over dimensions and pairs of modes of v_a v_b: half of square of sum less sum of squares, in linear time."""
    total = torch.stack(list(factors))
    return 0.5 * (total.sum(0).square() - total.square().sum(0)).sum(-1)


def anova(factors: Sequence[Tensor], degree: int) -> Tensor:
    """The ANOVA kernel of that degree, summed over dimensions, (n,): 0 for fewer modes than `degree`.

    In O(modes * degree) by the recursion of Blondel et al. (their Algorithm 1), a_t = a_t without a mode + v a_(t-1).
    """
    levels = [torch.ones_like(factors[0])] + [torch.zeros_like(factors[0])] * degree
    for factor in factors:
        levels = [levels[0]] + [levels[t] + factor * levels[t - 1] for t in range(1, degree + 1)]
    return levels[degree].sum(-1)


def fm_form(dim: int, order: int) -> Form:
    """FM of degree 2."""

    def score(rows: Sequence[Tensor], weights: Weights) -> Tensor:
        return _linear(rows, weights) + pairs([row[:, 1:] for row in rows])

    return Form(1 + dim, score, {"w0": (1,)}, linear=1, numbers=4 * order * dim)


def hofm_form(dim: int, order: int, degree: int = 3) -> Form:
    """HOFM up to `degree`, or up to as many as there are modes."""
    degrees = range(2, min(degree, order) + 1)

    def score(rows: Sequence[Tensor], weights: Weights) -> Tensor:
        total = _linear(rows, weights)
        for t in degrees:
            start = 1 + (t - 2) * dim
            total = total + anova([row[:, start : start + dim] for row in rows], t)
        return total

    return Form(1 + dim * len(degrees), score, {"w0": (1,)}, linear=1, numbers=4 * order * dim * len(degrees))


def _linear(rows: Sequence[Tensor], weights: Weights) -> Tensor:
    return weights["w0"] + torch.stack([row[:, 0] for row in rows]).sum(0)
