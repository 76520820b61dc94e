"""The page: templates filled with the words, tables and data of runs, and everything that it needs within it."""

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import platformdirs
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from automl_cf.analysis.curves import CLOCKS
from automl_cf.analysis.output import whole_file
from automl_cf.analysis.report.content import Content, across, named, run_content
from automl_cf.analysis.report.data import (
    GRID,
    METRICS,
    SHOWN_FIRST,
    Panel,
    clocks_of,
    numbers,
    panels,
    points_per_curve,
)
from automl_cf.analysis.report.looks import colors_css
from automl_cf.analysis.report.specs import COLUMNS, CONFIG, specs
from automl_cf.analysis.run import Run
from automl_cf.analysis.styles import REFERENCE
from automl_cf.analysis.tables import final_table
from automl_cf.analysis.verdicts import READING
from automl_cf.errors import InputError

REPORT_NAME = "report.html"

_LEADS = {"sure": "sure", "shared": "shared", "unsure": "not sure", "alone": "no other", "none": "–"}
_SNIPPET = "window.vegaEmbed=vegaEmbed;"


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write a run's report, by default ``report.html`` in its folder, and return its path.

    Raises InputError if it cannot be written.
    """
    return _write([run], path or run.path / REPORT_NAME)


def write_reports(runs: Sequence[Run], path: Path) -> Path:
    """Write one report of several runs, with a section for each and what can be said across them; return its path.

    Raises InputError without a run, and if it cannot be written.
    """
    if not runs:
        raise InputError("A report needs one run or more, and there is none.")
    return _write(runs, path)


def _write(runs: Sequence[Run], path: Path) -> Path:
    page = page_of(runs)
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")
    return path


def page_of(runs: Sequence[Run]) -> str:
    """Return the page of one run or several as HTML."""
    tables = [final_table(run) for run in runs]
    points = points_per_curve(runs)
    all_panels: list[Panel] = []
    contents: list[Content] = []
    for number, (run, table) in enumerate(zip(runs, tables, strict=True)):
        content = run_content(run, table)
        content |= {"number": number, "first": len(all_panels), "budget": _budget(run), "facts": _facts(run)}
        for panel in panels(run, table, points):
            lines = [line["k"] for item in panel["functions"] for line in item["lines"]]
            all_panels.append(panel | {"run": number, "modes": len(set(lines))})
        contents.append(content)
    script, library = _read("report.js"), vega_bundle()
    names = {name for run in runs for name in run.cells["searcher"]}
    data = {"panels": all_panels, "grid": numbers(GRID, 4), "specs": specs(), "config": CONFIG, "columns": COLUMNS}
    data["metrics"] = {name: asdict(metric) | {"clocks": clocks_of(name)} for name, metric in METRICS.items()}
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=contents[0]["name"] if len(runs) == 1 else f"{len(runs)} runs: {named(c['name'] for c in contents)}",
            version=metadata.version("automl-cf"),
            policy=_policy(script, library),
            style=Markup(_read("style.css") + colors_css(names)),
            data=Markup(embedded(data)),
            library=Markup(library),
            script=Markup(script),
            runs=contents,
            panels=all_panels,
            across=across(runs, tables) if len(runs) > 1 else [],
            metrics=METRICS,
            clocks=CLOCKS,
            leads=_LEADS,
            reference=REFERENCE,
            shown_first=SHOWN_FIRST,
            how_to_read=" ".join(READING.split()),
        )
    )


def embedded(value: Any) -> str:
    """Return a value as JSON that HTML takes for nothing else, in an element of script: it holds no ``<`` or ``&``."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(*scripts: str) -> str:
    """The content security policy: nothing is loaded from anywhere, and no script runs but these.

    Vega places marks by inline styles; its expressions are interpreted, for which it needs no 'unsafe-eval'.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    loader = DictLoader({"page.html": _read("page.html")})
    return Environment(autoescape=True, undefined=StrictUndefined, loader=loader, trim_blocks=True, lstrip_blocks=True)


def _read(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def vega_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that sets ``vegaEmbed``, and nothing else, globally.

    Bundling takes seconds, so the result is kept in the user's cache folder, under a name that has its SHA-256: a file
    that is not what it was is made again.
    """
    version = metadata.version("vl-convert-python")
    wanted = f"vega-{version}-{hashlib.sha256(_SNIPPET.encode()).hexdigest()[:8]}"
    folder = platformdirs.user_cache_path("automl-cf") / "charts"
    with suppress(OSError):
        for path in sorted(folder.glob(f"{wanted}-*.js")):
            text = path.read_bytes()
            if path.stem == f"{wanted}-{hashlib.sha256(text).hexdigest()}":
                return text.decode("utf-8")
    import vl_convert

    made = vl_convert.javascript_bundle(_SNIPPET).replace("\r\n", "\n").replace("\r", "\n")
    # Neither is in the libraries now; within a script element they would end it, or hide its end.
    made = made.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    made = f"(function(){{\n{made}\n}})();"
    path = folder / f"{wanted}-{hashlib.sha256(made.encode()).hexdigest()}.js"
    with suppress(OSError, InputError):  # without a cache it is only slower
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_bytes(made.encode())
    return made


def _budget(run: Run) -> str:
    limits = run.study.get("budget") or {}
    return " or ".join(f"{limit:,g} {kind}" for kind, limit in limits.items() if limit) or "not recorded"


def _facts(run: Run) -> list[dict[str, str]]:
    """The run at a glance."""
    cells: pd.DataFrame = run.cells
    states = cells["state"].value_counts()
    finished = int(states.get("finished", 0))
    facts = [
        _fact(cells["searcher"].nunique(), "searcher"),
        _fact(cells["dataset"].nunique(), "data set"),
        _fact(cells["seed"].nunique(), "seed"),
        {"value": _budget(run), "what": "a cell"},
        {"value": f"{finished} of {len(cells)}", "what": "cells finished"},
    ]
    engines = sorted({str(engine) for engine in cells["engine"].dropna()})
    return [*facts, {"value": ", ".join(engines), "what": "engine"}] if engines else facts


def _fact(count: int, what: str) -> dict[str, str]:
    return {"value": str(count), "what": what if count == 1 else f"{what}s"}
