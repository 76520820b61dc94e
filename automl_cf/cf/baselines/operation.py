"""Models that are one vector-wise operation under the linear predictor (paper, Table 1 and A.4).

AltGrad and CP are multiply (the inner product, weighted by w), CML's interaction is minus, and those of ConvMF and
ConvNCF, without the networks around them, are conv and outer.
"""

from automl_cf.cf.baselines.form import PREDICTOR, Form
from automl_cf.cf.operations import operations


def operation_form(name: str, dim: int, order: int) -> Form:
    """w . O(u, v, ...) for the operation of that name: what the reference engine trains without networks."""
    operation = operations.get(name)
    width = operation.width(dim, order)
    return Form(
        dim,
        lambda rows, weights: operation.combine(rows) @ weights[PREDICTOR],
        {PREDICTOR: (width,)},
        numbers=2 * width + order * dim,
    )
