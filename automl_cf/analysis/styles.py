"""How each searcher looks: the same in every figure, to colour-blind eyes and in grey too."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

T = TypeVar("T")

# Seaborn's "colorblind" palette, less its two that are too pale for lines, its grey, and its brown, which is hard to
# tell from its orange; a purple stands in its place, darker than all of them.
_BLUE, _ORANGE, _GREEN, _RED, _PINK, _PURPLE, _SKY = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#4a2377",
    "#56b4e9",
)
_GREY = "#4d4d4d"
_COLORS = (_BLUE, _ORANGE, _GREEN, _RED, _PINK, _PURPLE, _SKY)

Dashes = tuple[float, ...]
_SOLID: Dashes = ()
_DASHED: Dashes = (4, 1.6)
_DOTTED: Dashes = (1, 1.2)
_DASH_DOT: Dashes = (6, 1.5, 1.5, 1.5)
_DASH_DOT_DOT: Dashes = (5, 1.2, 1.2, 1.2, 1.2, 1.2)
_LONG: Dashes = (9, 2)
_DASHES = (_SOLID, _DASHED, _DOTTED, _DASH_DOT, _DASH_DOT_DOT, _LONG)
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

# No two of them have both the same dashes and the same marker, which is what grey leaves, and none of one colour has
# the dashes or the marker of another. What is added goes to the end, so that the others keep their looks.
_KNOWN = {
    REFERENCE: Style(_GREY, _DASHED, "|"),
    "single-op": Style(_PINK, _DASH_DOT, "v"),
    "sif": Style(_RED, _DASHED, "s"),
    "sif-robust": Style(_BLUE, _SOLID, "o"),
    "sif-no-auto": Style(_SKY, _DASH_DOT, "D"),
    "random": Style(_ORANGE, _DOTTED, "^"),
    "bayes": Style(_GREEN, _SOLID, "P"),
    "altgrad": Style(_PURPLE, _DASH_DOT_DOT, "X"),
    "fm": Style(_BLUE, _LONG, "<"),
    "deep-wide": Style(_ORANGE, _DASHED, "p"),
    "ncf": Style(_GREEN, _DOTTED, ">"),
    "conv": Style(_RED, _SOLID, "h"),
    "minus": Style(_SKY, _DASH_DOT_DOT, "*"),
    "outer": Style(_PINK, _LONG, "o"),
    "biased-mf": Style(_PURPLE, _DASHED, "^"),
    "svdpp": Style(_BLUE, _DOTTED, "s"),
    "surprise-svd": Style(_ORANGE, _DASH_DOT, "P"),
    "surprise-svdpp": Style(_GREEN, _DASH_DOT_DOT, "D"),
    "myfm": Style(_SKY, _SOLID, "v"),
    "conv-ncf": Style(_RED, _LONG, "X"),
    "cp": Style(_PURPLE, _DOTTED, "p"),
    "tucker": Style(_PINK, _DASHED, "*"),
    "hofm": Style(_GREEN, _DASH_DOT, "h"),
    "sif-ensemble": Style(_PURPLE, _LONG, "s"),
    "ensemble": Style(_RED, _DASH_DOT_DOT, "<"),
    "rl": Style(_BLUE, _DASHED, "P"),
    "evolution": Style(_ORANGE, _SOLID, "D"),
    "nasp": Style(_PINK, _DOTTED, "X"),
    "darts": Style(_SKY, _LONG, "p"),
    "snas": Style(_GREEN, _LONG, "*"),
    "gen-approx": Style(_PURPLE, _DASH_DOT, ">"),
    "nas-random": Style(_PINK, _DASH_DOT_DOT, "s"),
    "nas-reinforce": Style(_SKY, _DASHED, "X"),
    "smac": Style(_BLUE, _DASH_DOT, "*"),
    "oracle": Style(_RED, _DOTTED, "o"),
    "optuna-tpe": Style(_ORANGE, _DASH_DOT_DOT, "v"),
    "optuna-cmaes": Style(_PURPLE, _SOLID, "*"),
    "optuna-gp": Style(_GREEN, _DASHED, "<"),
    "tune-hyperopt": Style(_RED, _DASH_DOT, "^"),
    "tune-optuna": Style(_SKY, _DOTTED, "h"),
    "successive-halving": Style(_BLUE, _DASH_DOT_DOT, ">"),
    "asha": Style(_PINK, _SOLID, "p"),
    "hyperband": Style(_ORANGE, _LONG, "h"),
    "given": Style(_GREY, _SOLID, "s"),
}

# Of labels that are usual: the paper's operations, each as a searcher of its own, which are shown together.
_COLOR_OF_LABEL = {"multiply": _SKY, "plus": _BLUE, "min": _GREEN, "max": _ORANGE, "concat": _PURPLE}


def styles(searchers: Iterable[str]) -> dict[str, Style]:
    """Return the look of each searcher.

    Of one that ships with the package it depends on the name alone. Of another, such as a label or a plug-in's, the
    colour does; its dashes and marker are those by its name that are least like what is there before it: the shipped
    ones, then others by the alphabet.
    """
    names = sorted(set(searchers), key=lambda name: (name not in _KNOWN, name))
    looks: dict[str, Style] = {}
    for name in names:
        looks[name] = _KNOWN[name] if name in _KNOWN else _from_name(name, looks.values())
    return {name: looks[name] for name in sorted(looks)}


def _from_name(name: str, others: Collection[Style]) -> Style:
    digest = sha256(name.encode()).digest()
    color = _COLOR_OF_LABEL.get(name) or _COLORS[digest[0] % len(_COLORS)]
    options = [
        Style(color, dashes, marker)
        for dashes in _turned(_DASHES, digest[1])
        for marker in _turned(_MARKERS, digest[2])
    ]
    return min(options, key=lambda look: sum(_likeness(look, other) for other in others))


def _likeness(look: Style, other: Style) -> int:
    """How easily two looks are taken for each other; in grey, only dashes and markers count."""
    dashes, marker = look.dashes == other.dashes, look.marker == other.marker
    if look.color == other.color:
        return 100 * (dashes and marker) + 3 * marker + 2 * dashes
    return 10 * (dashes and marker)


def _turned(values: Sequence[T], by: int) -> list[T]:
    start = by % len(values)
    return [*values[start:], *values[:start]]
