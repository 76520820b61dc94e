"""The figures of runs, one module per kind; `automl-cf figure` draws them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from automl_cf.errors import InputError, suggest


@dataclass(frozen=True)
class Kind:
    """A kind of figure: the module in this package whose ``draw(page, subject) -> caption`` draws it.

    ``clock`` is the one of `curves.CLOCKS` by which it is drawn, `ANY` if one can be chosen, "" if it shows no time.
    ``options`` are the further options that it takes (fields of `subject.Options`).
    """

    module: str
    summary: str
    clock: str = ""
    options: tuple[str, ...] = ()


ANY = "any"
"""A clock that can be chosen; by default the time to deliverable."""

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "anytime": Kind("anytime", "test RMSE of what would be delivered, by time", ANY, ("linear",)),
        "dimensions": Kind("dimensions", "test RMSE by embedding dimension and searcher, with intervals"),
        "convergence": Kind("convergence", "validation RMSE by epoch while the final architectures are retrained"),
        "efficiency": Kind(
            "efficiency",
            "mean test RMSE of the top architectures found so far, by search time",
            "search",
            ("linear", "top"),
        ),
        "operations": Kind("operations", "which operation each searcher chose, in how many seeds"),
        "elementwise": Kind("elementwise", "the element-wise functions that each searcher found", "", ("x",)),
        "critical-difference": Kind(
            "critical_difference", "mean ranks over three or more data sets, with Nemenyi's bars"
        ),
        "rank": Kind("rank", "mean rank among the searchers, by time", ANY, ("linear",)),
        "ecdf": Kind("ecdf", "share of cells and thresholds reached, by time", ANY, ("linear", "thresholds")),
        "profile": Kind("profile", "performance profiles of the times to thresholds", ANY, ("thresholds",)),
        "time": Kind("time", "seconds by what they were spent on"),
        "optimism": Kind("optimism", "test minus validation RMSE of the final architectures"),
    }
)
"""All kinds by name. To add one, write its module and its line here."""

WIDTHS = ("column", "page")
FORMATS = ("svg", "pdf", "png")


def kind_named(name: str) -> Kind:
    """Return one of `KINDS`, or raise InputError naming them."""
    if name not in KINDS:
        raise InputError(f"kind: there is no figure '{name}'.{suggest(name, KINDS)} Known: {', '.join(KINDS)}.")
    return KINDS[name]
