"""The charts as Vega-Lite specifications; `report.js` adds the data, the axes' ranges and titles, and draws them.

All fields have fixed short names (`s` a searcher's key, `x`, `y`, `lo`, `hi`, `k` one line), so that whatever names and
messages a run holds are values of data, never parts of a specification nor names of groups. Colours are CSS variables
of the page: the charts follow its colour scheme without being drawn again.
"""

from typing import Any

from automl_cf.analysis.report.looks import KINDS, variable

Spec = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

CONFIG: Spec = {
    "background": "transparent",
    "font": FONT,
    "aria": False,  # the page describes each chart and has its data in a table
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--grid)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelLimit": 150,
    },
    "legend": {"labelColor": "var(--text)", "titleColor": "var(--muted)", "labelFontSize": 12, "symbolSize": 90},
}
"""The look that all charts have in common."""

COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "curves": [
        *(("s", "Searcher", "text"), ("seed", "Seed", "text"), ("x", "Time", "g"), ("y", "Value", "value")),
        *(("lo", "Low", "value"), ("hi", "High", "value"), ("n", "Seeds", "text")),
    ],
    "ranks": [("s", "Searcher", "text"), ("x", "Time", "g"), ("y", "Mean rank", "2")],
    "shares": [("s", "Searcher", "text"), ("x", "Time", "g"), ("y", "Share reached", "3")],
    "optimism": [
        *(("s", "Searcher", "text"), ("y", "Optimism", "+4"), ("lo", "Low", "+4"), ("hi", "High", "+4")),
        ("n", "Seeds", "text"),
    ],
    "times": [("s", "Searcher", "text"), ("k", "Kind", "text"), ("y", "Mean seconds", "g")],
    "function": [("k", "Function", "text"), ("seed", "Seed", "text"), ("x", "x", "2"), ("y", "g(x)", "3")],
}
"""What is said of each kind of chart's data, in its table and where the pointer is: field, title, format."""


_NAME = "names[toNumber(slice(datum.value, 1))]"  # of the key "s3", in the list that `report.js` gives


def specs() -> dict[str, Spec]:
    """Return the specification of each kind of chart."""
    return {
        "curves": _lines(height=360),
        "ranks": _lines(height=260),
        "shares": _lines(height=260),
        "optimism": _optimism(),
        "times": _times(),
        "function": _function(),
    }


def _sized(height: int, fit: str = "fit") -> Spec:
    return {"width": "container", "height": height, "autosize": {"type": fit, "contains": "padding", "resize": True}}


def _searcher(kind: str, domain: list[str] | None = None) -> Spec:
    return {
        "field": "s",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": domain or [], "range": []},
        "sort": None,
    }


def _lines(height: int) -> Spec:
    """Step lines with bands (`t` is "b"), before all seeds have a result ("e"), after ("l"), references and markers."""
    x = {"field": "x", "type": "quantitative", "scale": {"nice": False}, "axis": {"grid": False, "labelOverlap": True}}
    y = {"field": "y", "type": "quantitative", "scale": {"zero": False, "nice": False}}
    step = {"interpolate": "step-after", "clip": True}
    color, dash = _searcher("color"), _searcher("strokeDash")
    line = {"color": color, "strokeDash": dash, "detail": {"field": "k"}}
    band = {"y": {**y, "field": "lo"}, "y2": {"field": "hi"}, "color": color, "detail": {"field": "k"}}
    return {
        **_sized(height),
        "encoding": {"x": x, "y": y},
        "layer": [
            {**_only("b"), "mark": {"type": "area", "opacity": 0.14, **step}, "encoding": band},
            {**_only("r"), "mark": {"type": "line", "strokeWidth": 1.5, **step}, "encoding": line},
            {**_only("e"), "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.7, **step}, "encoding": line},
            {**_only("l"), "mark": {"type": "line", "strokeWidth": 2, **step}, "encoding": line},
            {
                **_only("m"),
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 52, "clip": True},
                "encoding": {"color": color, "shape": _searcher("shape"), "detail": {"field": "k"}},
            },
        ],
    }


def _only(kind: str) -> Spec:
    return {"transform": [{"filter": f"datum.t === '{kind}'"}]}


def _rows() -> Spec:
    """A row per searcher, in the order of the domain that `report.js` gives: as ``sort`` it would be an expression."""
    return {
        "field": "s",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": []},
        "title": None,
        "axis": {"ticks": False, "domain": False, "labelPadding": 7, "labelExpr": _NAME},
    }


def _optimism() -> Spec:
    x = {"field": "y", "type": "quantitative", "title": "test minus validation, RMSE / std", "axis": {"tickCount": 6}}
    x["scale"] = {"padding": 10}
    color = _searcher("color")
    return {
        **_sized(200, "fit-x"),
        "layer": [
            {
                "mark": {"type": "rule", "color": "var(--line)", "strokeWidth": 1},
                "encoding": {"x": {"datum": 0, "type": "quantitative"}},
            },
            {
                "transform": [{"filter": "datum.lo !== null"}],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {**x, "field": "lo"}, "x2": {"field": "hi"}, "y": _rows(), "color": color},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"x": x, "y": _rows(), "color": color, "shape": _searcher("shape")},
            },
        ],
    }


def _times() -> Spec:
    kinds = {"domain": list(KINDS), "range": [variable(color) for color in KINDS.values()]}
    legend = {"orient": "top", "title": None, "columns": {"expr": "width < 420 ? 3 : 7"}}
    return {
        **_sized(200, "fit-x"),
        "mark": {"type": "bar", "height": {"band": 0.72}},
        "encoding": {
            "y": _rows(),
            "x": {"field": "y", "type": "quantitative", "title": "mean seconds of a cell", "axis": {"tickCount": 6}},
            "color": {"field": "k", "type": "nominal", "scale": kinds, "legend": legend},
            "order": {"field": "o", "type": "quantitative"},
        },
    }


def _function() -> Spec:
    names = ["p", "q", "r", "s", "t", "u"]
    dashes = [[1, 0], [5, 2], [1, 1.5], [6, 2, 1, 2], [8, 3], [3, 3]]
    colors = list(map(variable, list(KINDS.values())[1::-1] + list(KINDS.values())[2:]))[: len(names)]
    mode = {"field": "k", "type": "nominal", "legend": None}
    axis = {"tickCount": 3, "title": None, "grid": True}
    x = {"field": "x", "type": "quantitative", "axis": axis, "scale": {"nice": False}}
    y = {"field": "y", "type": "quantitative", "axis": axis, "scale": {"zero": False, "nice": False}}
    return {
        **_sized(112),
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "transform": [{"filter": "datum.k === 'identity'"}],
                "mark": {"type": "line", "color": "var(--line)", "strokeWidth": 1, "clip": True},
            },
            {
                "transform": [{"filter": "datum.k !== 'identity'"}],
                "mark": {"type": "line", "strokeWidth": 1.6, "clip": True},
                "encoding": {
                    "color": {**mode, "scale": {"domain": names, "range": colors}},
                    "strokeDash": {**mode, "scale": {"domain": names, "range": dashes}},
                    "detail": {"field": "id"},
                },
            },
        ],
    }
