"""How searchers look in the report: the colours, dashes and markers of `styles`, for both colour schemes."""

import math
from collections.abc import Iterable
from typing import Any

from automl_cf.analysis.styles import REFERENCE, styles

LIGHT, DARK = "#ffffff", "#14181d"
"""The backgrounds of the charts in the two colour schemes, as in style.css."""

CONTRAST = {LIGHT: 3.0, DARK: 4.5}
"""Of lines and markers against their background: WCAG 2 asks for 3 (1.4.11), and thin lines fade in the dark."""


def _star() -> str:
    radii = (1.0, 0.42)
    corners = [(radii[n % 2] * math.sin(n * math.pi / 5), -radii[n % 2] * math.cos(n * math.pi / 5)) for n in range(10)]
    return "M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in corners) + "Z"


# matplotlib's markers as SVG paths within a square from -1 to 1.
MARKERS = {
    "o": "M-1,0A1,1,0,1,1,1,0A1,1,0,1,1,-1,0Z",
    "s": "M-0.9,-0.9L0.9,-0.9L0.9,0.9L-0.9,0.9Z",
    "^": "M0,-1L1,0.85L-1,0.85Z",
    "D": "M0,-1.1L1.1,0L0,1.1L-1.1,0Z",
    "v": "M0,1L1,-0.85L-1,-0.85Z",
    "P": (
        "M-0.35,-1L0.35,-1L0.35,-0.35L1,-0.35L1,0.35L0.35,0.35L0.35,1L-0.35,1L-0.35,0.35L-1,0.35L-1,-0.35L-0.35,-0.35Z"
    ),
    "X": "M-1,-0.55L-0.55,-1L0,-0.45L0.55,-1L1,-0.55L0.45,0L1,0.55L0.55,1L0,0.45L-0.55,1L-1,0.55L-0.45,0Z",
    "p": "M0,-1L0.95,-0.31L0.59,0.81L-0.59,0.81L-0.95,-0.31Z",
    "<": "M-1,0L0.85,-1L0.85,1Z",
    ">": "M1,0L-0.85,-1L-0.85,1Z",
    "h": "M0,-1L0.87,-0.5L0.87,0.5L0,1L-0.87,0.5L-0.87,-0.5Z",
    "*": _star(),
    "|": "M-0.15,-1.2L0.15,-1.2L0.15,1.2L-0.15,1.2Z",
}
KINDS = {
    "think": "#de8f05",
    "train": "#0173b2",
    "validate": "#56b4e9",
    "retrain": "#029e73",
    "setup": "#949494",
    "store": "#cc78bc",
    "queue": "#ca9161",
}
"""The colours of the kinds of seconds, in the order in which they are stacked."""


def looks_of(searchers: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the look of each searcher as the page has it: a CSS colour, dashes, and a marker as an SVG path."""
    return {
        name: {"color": variable(look.color), "dash": list(look.dashes) or [1, 0], "path": MARKERS[look.marker]}
        | {"reference": name == REFERENCE}
        for name, look in styles(searchers).items()
    }


def variable(color: str) -> str:
    """Return the CSS variable that stands for a colour, which is another shade in the dark."""
    return f"var(--c-{color.lstrip('#')})"


def colors_css(searchers: Iterable[str]) -> str:
    """Return the CSS that gives the colours' variables their values in both schemes."""
    colors = sorted({look.color for look in styles(searchers).values()} | set(KINDS.values()))
    light, dark = (
        "".join(f"--c-{color.lstrip('#')}:{readable(color, background, CONTRAST[background])};" for color in colors)
        for background in (LIGHT, DARK)
    )
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}"


def readable(color: str, background: str, least: float = 3.0) -> str:
    """Return a colour mixed with as little black or white as gives it the contrast against a background."""
    towards = 0 if luminance(background) > 0.5 else 255
    parts = _parts(color)
    for step in range(101):
        mixed = [round(part + (towards - part) * step / 100) for part in parts]
        found = "#" + "".join(f"{part:02x}" for part in mixed)
        if contrast(found, background) >= least:
            return found
    return found


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours such as "#0173b2", as WCAG 2 defines it."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    linear = [p / 12.92 if (p := part / 255) <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for part in _parts(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _parts(color: str) -> list[int]:
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]
