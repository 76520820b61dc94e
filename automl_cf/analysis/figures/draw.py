"""Drawing a kind of figure of runs into files."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path

from automl_cf.analysis.curves import CLOCKS, clock_named, timed_cells
from automl_cf.analysis.figures import ANY, FORMATS, KINDS, WIDTHS, Kind, kind_named
from automl_cf.analysis.figures.page import DPI, PAPER, Page, printed, save_figure
from automl_cf.analysis.figures.subject import Options, Subject
from automl_cf.analysis.merge import RunLike, merged, stored_runs, thresholds_by_dataset
from automl_cf.analysis.run import Run
from automl_cf.analysis.styles import styles
from automl_cf.errors import InputError, suggest

_DEFAULTS = Options()
_FLAGS = {"thresholds": "threshold"}


@dataclass(frozen=True)
class Drawn:
    """The files of a figure, and its caption."""

    files: tuple[Path, ...]
    caption: str


def draw_figure(
    kind: str,
    runs: RunLike | Sequence[RunLike],
    out: Path | str | None = None,
    *,
    formats: Sequence[str] = (),
    width: str = "column",
    clock: str | None = None,
    searchers: Sequence[str] = (),
    dim: int | None = None,
    options: Options = _DEFAULTS,
    caption: bool = True,
    dpi: int | None = None,
) -> Drawn:
    """Draw one of `KINDS` of one or several runs; return the files and the caption.

    ``out`` is a path without its suffix, to which .svg and so on are added, or with it: then that is the format, if
    none is given. By default it is the kind's name, in the run's folder if there is one run. Without ``caption`` the
    figure has none; it is returned, and stored in the files' metadata, either way. ``dpi`` is the resolution of PNG, by
    default 300 of a column and 200 of a page.

    Raises InputError for what is not known, for options that the kind does not take, for runs that cannot be one
    (`merge.merged`), and where there is nothing to draw; then nothing is written.
    """
    chosen = kind_named(kind)
    stored = stored_runs(runs)
    stem, forms = _target(kind, stored, out, formats)
    if width not in PAPER:
        raise InputError(f"width: '{width}' is not one of {', '.join(WIDTHS)}.{suggest(width, WIDTHS)}")
    if dpi is not None and not 30 <= dpi <= 2400:
        raise InputError(f"dpi: {dpi} is not from 30 to 2400 dots per inch.")
    _check_options(kind, chosen, clock, options)
    run = merged(stored, searchers, dim)
    subject = Subject(
        run=run,
        looks=styles({name for each in stored for name in each.cells["searcher"]}),
        clock=clock or (next(iter(CLOCKS)) if chosen.clock == ANY else chosen.clock),
        declared=thresholds_by_dataset(stored),
        options=options,
    )
    problems = timed_cells(run, subject.clock or next(iter(CLOCKS)))["problem"]
    if problems.notna().all():
        raise InputError(
            f"{kind}: {'this run has' if len(stored) == 1 else 'these runs have'} no finished cell with a result, so "
            f"there is nothing to draw; the first: {problems.iloc[0]}."
        )
    module = import_module(f"automl_cf.analysis.figures.{chosen.module}")
    with printed(PAPER[width]):
        page = Page(PAPER[width])
        text: str = module.draw(page, subject)
        figure = page.finish(text if caption else "")
        return Drawn(save_figure(figure, stem, forms, dpi or DPI[width], f"{kind}. {text}"), text)


def _target(
    kind: str, runs: Sequence[Run], out: Path | str | None, formats: Sequence[str]
) -> tuple[Path, tuple[str, ...]]:
    """Return the stem and the formats."""
    for form in formats:
        if form not in FORMATS:
            raise InputError(f"format: '{form}' is not one of {', '.join(FORMATS)}.{suggest(form, FORMATS)}")
    stem = Path(out) if out is not None else (runs[0].path / kind if len(runs) == 1 else Path(kind))
    suffix = stem.suffix[1:]
    if suffix in FORMATS and (not formats or suffix in formats):
        stem, formats = stem.with_suffix(""), formats or (suffix,)
    return stem, tuple(dict.fromkeys(formats)) or FORMATS


def _check_options(kind: str, chosen: Kind, clock: str | None, options: Options) -> None:
    """Refuse what this kind does not take: silence would look like consent."""
    if clock is not None:
        clock_named(clock)
        if not chosen.clock:
            raise InputError(f"clock: a figure of kind '{kind}' shows no clock.")
        if chosen.clock not in (ANY, clock):
            raise InputError(f"clock: a figure of kind '{kind}' is by '{chosen.clock}' only, not by '{clock}'.")
    for field in fields(Options):
        if getattr(options, field.name) != getattr(_DEFAULTS, field.name) and field.name not in chosen.options:
            takers = [name for name, other in KINDS.items() if field.name in other.options]
            what = _FLAGS.get(field.name, field.name)
            raise InputError(f"{what}: a figure of kind '{kind}' takes none; it is for {', '.join(takers)}.")
    low, high = options.x
    if not -1e6 < low < high < 1e6:
        raise InputError(f"x: the range {low:g} to {high:g} must be two numbers, the lower first.")
