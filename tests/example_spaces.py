"""Spaces that several tests use."""

from automl_cf.spaces import Choice, Int, Parameter, Real, Space, Subset, Vector, interaction_space

WIDTHS = (0, 2, 4, 8, 16)


def nas_space() -> Space:
    """An MLP of up to five layers, a width of 0 ending it, whose weights training finds."""
    widths: list[Parameter] = [Choice("width_1", WIDTHS)]
    widths += [Choice(f"width_{i}", WIDTHS, unless=(f"width_{i - 1}", (0,))) for i in range(2, 6)]
    return Space("nas", (*widths, Vector("weights", 40, 1.0, role="trained")), {"activation": "tanh"})


def mixed_space() -> Space:
    """Every kind of parameter, both kinds of condition."""
    return Space(
        "mixed",
        (
            Subset("operations", ("plus", "min", "max"), 2),
            Vector("p", 3, 2.0),
            Choice("predictor", ("linear", "mlp")),
            Int("dimension", 2, 5),
            Real("penalty", 1e-6, 1e-1, log=True),
            Real("shift", -1.0, 2.0, when=("predictor", ("mlp",))),
            Vector("q", 2, 1.0, unless=("predictor", ("linear",))),
            Vector("w", 8, 1.0, role="trained"),
        ),
    )


SPACES = {
    "interaction": interaction_space(units=1),
    "interaction-k2": interaction_space(units=1, k=2, norm_bound=1.0),
    "nas": nas_space(),
    "mixed": mixed_space(),
}
