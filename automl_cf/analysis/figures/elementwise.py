"""The element-wise functions of each searcher's final architectures, a thin line per seed (Figure 6b).

Tensors have one function per mode; an architecture that has none, or none of some mode, takes embeddings as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D

from automl_cf.analysis.elementwise import elementwise
from automl_cf.analysis.figures.lines import few_ticks
from automl_cf.analysis.figures.page import LINE, Page, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    listed,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.run import groups
from automl_cf.analysis.statistics import FloatArray
from automl_cf.analysis.tables import cell_table
from automl_cf.errors import InputError
from automl_cf.spaces.tensor import MODE_VECTORS

_POINTS = 161
_LOOKS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("#0173b2", ()),
    ("#d55e00", (4, 1.5)),
    ("#029e73", (1, 1)),
    ("#cc78bc", (5, 1.2, 1.2, 1.2)),
    ("#4d4d4d", (2.5, 1)),
    ("#de8f05", (7, 2)),
)


def functions(architecture: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the networks of an architecture by name, those of the modes that have one; of none g is the identity."""
    return {name: list(architecture[name]) for name in MODE_VECTORS if isinstance(architecture.get(name), list | tuple)}


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim, searcher) that found networks, all on the same axes."""
    cells = cell_table(subject.run)
    cells = cells[cells["problem"].isna()]
    shown, identity = [], []
    for dataset, dim, searcher, own in groups(cells, "dataset", "dim", "searcher"):
        if any(functions(architecture) for architecture in own["architecture"]):
            shown.append((dataset, dim, searcher, own))
        elif searcher not in identity:
            identity.append(searcher)
    if not shown:
        raise InputError("No final architecture of these runs has element-wise networks: there is nothing to draw.")
    low, high = subject.options.x
    x = np.linspace(low, high, _POINTS)
    several = len(list(subject.panels())) > 1
    axes = page.panels(len(shown), 1.45, _columns(len(shown)) if page.is_wide else 2, sharey=True)
    modes: set[str] = set()
    without = 0
    for (dataset, dim, searcher, own), ax in zip(shown, axes, strict=True):
        ax.plot([low, high], [low, high], color="0.75", linewidth=0.6, zorder=1)
        for architecture in own["architecture"]:
            networks = functions(architecture)
            without += not networks
            activation = str(architecture.get("activation", "sigmoid"))
            for name, vector in networks.items():
                color, dashes = _LOOKS[MODE_VECTORS.index(name)]
                look: dict[str, Any] = {"color": color, "dashes": dashes or (None, None)}
                ax.plot(x, elementwise(vector, x, activation), linewidth=0.75, alpha=0.85, **look)
            modes |= set(networks)
        titled(ax, searcher, *([f"{dataset}, {dim}"] if several else []))
        ax.set_xlim(low, high)
        few_ticks(ax, "x", 4)
        few_ticks(ax, "y", 5)
        sns.despine(ax=ax)
    for ax in axes:
        place = ax.get_subplotspec()
        if place is not None and place.is_first_col():
            ax.set_ylabel("g(x)")
        ax.set_xlabel("x")
    _limit(axes, x)
    order = [name for name in MODE_VECTORS if name in modes]
    looks = [_LOOKS[MODE_VECTORS.index(name)] for name in order]
    handles = [Line2D([], [], color=c, dashes=d or (None, None), linewidth=LINE) for c, d in looks]
    page.legend(
        [*handles, Line2D([], [], color="0.75", linewidth=0.8)],
        [*(f"{name} (mode {MODE_VECTORS.index(name) + 1})" for name in order), "identity"],
    )
    sizes = [len(own) for *_, own in shown]
    setting = "" if several else f"{shown[0][0]}, dimension {shown[0][1]}. "
    return sentences(
        f"{setting}Networks of the final architectures over x from {low:g} to {high:g} (an embedding's values are not "
        f"stored), a line per seed, {seeds_in_words(sizes)}.",
        f"{without} more of these cells found another form, without such networks." if without else "",
        f"No element-wise networks: {listed(identity)}." if identity else "",
        problems_in_words(subject.run),
    )


def _columns(count: int) -> int:
    """How many panels a row of a page has: the most that leave the fewest places empty."""
    return min((5, 4, 3), key=lambda columns: (-count % columns, -columns)) if count > 3 else count


def _limit(axes: Sequence[Any], x: FloatArray) -> None:
    """Show all of every function; the identity may be cut."""
    values = [line.get_ydata() for ax in axes for line in ax.get_lines() if len(line.get_xdata()) == len(x)]
    low, high = float(np.min(values)), float(np.max(values))
    margin = 0.06 * (high - low) or 0.5
    axes[0].set_ylim(low - margin, high + margin)
