"""Spaces that several tests use."""

from automl_cf.spaces import Choice, Parameter, Space, Vector, interaction_space
from automl_cf.testing.problems import MIXED_SPACE

WIDTHS = (0, 2, 4, 8, 16)


def nas_space() -> Space:
    """An MLP of up to five layers, a width of 0 ending it, whose weights training finds."""
    widths: list[Parameter] = [Choice("width_1", WIDTHS)]
    widths += [Choice(f"width_{i}", WIDTHS, unless=(f"width_{i - 1}", (0,))) for i in range(2, 6)]
    return Space("nas", (*widths, Vector("weights", 40, 1.0, role="trained")), {"activation": "tanh"})


def mixed_space() -> Space:
    """Every kind of parameter, both kinds of condition: what the contract of searchers is tried on."""
    return MIXED_SPACE


SPACES = {
    "interaction": interaction_space(units=1),
    "interaction-k2": interaction_space(units=1, k=2, norm_bound=1.0),
    "nas": nas_space(),
    "mixed": mixed_space(),
}
