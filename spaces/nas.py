"""The space of a standard neural architecture search: the widths of an MLP's layers (paper, section 4.5.1)."""

from automl_cf.spaces.parameters import Choice
from automl_cf.spaces.space import Space

WIDTHS = (0, 2, 4, 8, 16)
LAYERS = 5


def nas_space() -> Space:
    """Return the space of MLPs with up to five layers: `width1` ... `width5` are the numbers of their units.

    A width of 0 ends the MLP: the layers after it do not exist, and with `width1` 0 there is none. So there are
    1 + 4 + 16 + ... + 4^5 = 1365 architectures. Weights are no part of them: training finds those. The paper says
    neither which widths it tries nor how many layers; these are ours.
    """
    widths = [
        Choice(f"width{layer}", WIDTHS, unless=(f"width{layer - 1}", (0,)) if layer > 1 else None)
        for layer in range(1, LAYERS + 1)
    ]
    return Space("nas", tuple(widths), {"model": "mlp"})
