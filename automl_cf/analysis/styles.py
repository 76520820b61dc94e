"""How each searcher looks: the same in every figure, to colour-blind eyes and in grey too."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

# Seaborn's "colorblind" palette, less its two that are too pale for lines and its grey.
_BLUE, _ORANGE, _GREEN, _RED, _PINK, _BROWN, _SKY = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#56b4e9",
)
_GREY = "#4d4d4d"
_COLORS = (_BLUE, _ORANGE, _GREEN, _RED, _PINK, _BROWN, _SKY)

Dashes = tuple[float, ...]
_SOLID: Dashes = ()
_DASHED: Dashes = (5, 2)
_DOTTED: Dashes = (1, 1.2)
_DASH_DOT: Dashes = (6, 1.5, 1.5, 1.5)
_DASHES = (_SOLID, _DASHED, _DOTTED, _DASH_DOT)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h", "*")


@dataclass(frozen=True)
class Style:
    """A line's colour, its dashes (lengths on and off; none is solid) and its marker, as in matplotlib."""

    color: str
    dashes: Dashes
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Colour and dashes as matplotlib's keywords for a line."""
        return {"color": self.color, "dashes": self.dashes or (None, None)}


REFERENCE = "bias-only"
"""The searcher that is drawn as a reference."""

_KNOWN = {
    REFERENCE: Style(_GREY, _DASHED, "|"),
    "single-op": Style(_PINK, _DASH_DOT, "v"),
    "sif": Style(_RED, _DASHED, "s"),
    "sif-robust": Style(_BLUE, _SOLID, "o"),
    "sif-no-auto": Style(_SKY, _DASH_DOT, "D"),
    "random": Style(_ORANGE, _DOTTED, "^"),
    "bayes": Style(_GREEN, _SOLID, "P"),
}


def styles(searchers: Iterable[str]) -> dict[str, Style]:
    """Return the look of each searcher.

    It depends on the name alone, except that of two other searchers that happen to look the same the later in
    the alphabet gets another marker.
    """
    looks: dict[str, Style] = {}
    for name in sorted(set(searchers)):
        look = _KNOWN[name] if name in _KNOWN else _from_name(name)
        free = [marker for marker in _MARKERS if replace(look, marker=marker) not in looks.values()]
        looks[name] = replace(look, marker=free[0]) if look in looks.values() and free else look
    return looks


def _from_name(name: str) -> Style:
    digest = sha256(name.encode()).digest()
    return Style(
        _COLORS[digest[0] % len(_COLORS)],
        _DASHES[digest[1] % len(_DASHES)],
        _MARKERS[digest[2] % len(_MARKERS)],
    )
