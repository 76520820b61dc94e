"""The suite from Python: run, resume and report studies; each returns the stored run as pandas frames."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from automl_cf.analysis.repair import Repaired
from automl_cf.analysis.repair import repair as repair_run
from automl_cf.analysis.run import Run
from automl_cf.analysis.verify import Verification, check_log
from automl_cf.analysis.verify import verify as verify_run
from automl_cf.events import DamageError, Event
from automl_cf.suite import run as suite_run
from automl_cf.suite.every import with_every_searcher
from automl_cf.suite.store import cannot_go_on
from automl_cf.suite.study import Resources, Study, make_study

if TYPE_CHECKING:
    from automl_cf.analysis.figures.draw import Drawn
    from automl_cf.analysis.run_comparison import RunComparison

OnEvent = Callable[[Event], None]


def run_study(
    study: Study,
    out: Path | str | None = None,
    on_event: OnEvent | None = None,
    resources: Resources | None = None,
) -> Run:
    """Run a study into the folder `out` (default: results/NAME-DATE-TIME), score it and draw its results.

    With `resources` it runs there and not where it says; they are not stored, and no result depends on them.

    Raises InputError before anything runs if the study, its data or the folder will not do.
    """
    folder = Path(out) if out else Path("results") / f"{study.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    study.load_plugins()
    suite_run.start(with_every_searcher(study), folder, on_event, resources)
    return report(folder)


def resume(
    folder: Path | str,
    on_event: OnEvent | None = None,
    plugins: Sequence[Path | str] = (),
    accept_changes: bool = False,
    repair: bool = False,
    resources: Resources | None = None,
) -> Run:
    """Go on with an interrupted run; see `run_study`. It has its plug-ins; those given again must be as they were.

    Raises InputError for a run whose log is damaged; with `repair` what is damaged is left out before, as by the
    function of that name. The code and the versions that results depend on must be as they were, too; with
    `accept_changes` they need not, and that is recorded.
    """
    if repair:
        repair_run(Path(folder))
    try:
        check_log(Path(folder))
    except DamageError as damage:
        raise cannot_go_on(Path(folder), damage) from damage
    suite_run.resume(Path(folder), on_event, plugins, accept_changes, resources)
    return report(folder)


def repair(folder: Path | str) -> Repaired:
    """Leave out what is damaged of a run's log, so that `resume` can go on from the last good events of each cell.

    What is kept is kept byte for byte, and the log as it was stays beside it. Returns what was left out.
    """
    return repair_run(Path(folder))


def verify(folder: Path | str) -> Verification:
    """Check that a run's files are as they were written; of one that is going on, too. Trains and writes nothing.

    Of a log the checksums and the order of events are checked. Raises InputError for what is no run.
    """
    return verify_run(Path(folder))


def report(folder: Path | str, out: Path | str | None = None) -> Run:
    """Redraw a run's curve, summary, tables and HTML report from its stored events; trains nothing.

    `out` is the HTML file, by default report.html in the run's folder.
    """
    # Only here: the figure's libraries take seconds to import, which a run need not wait for to begin.
    from automl_cf.analysis.figures.anytime import draw_curve
    from automl_cf.analysis.report import write_report
    from automl_cf.analysis.summary import write_summary
    from automl_cf.analysis.tables import write_scores

    run = Run.load(Path(folder))
    write_scores(run)
    draw_curve(run, run.path / "curve")
    write_summary(run)
    write_report(run, Path(out) if out else None)
    return run


def report_runs(runs: Sequence[Run | Path | str], out: Path | str = "report.html") -> Path:
    """Write one HTML report of several stored runs, with what can be said across them; return its path.

    It writes nothing into their folders. Raises InputError for what is no run, and if it cannot be written.
    """
    from automl_cf.analysis.report import write_reports

    return write_reports([run if isinstance(run, Run) else load(run) for run in runs], Path(out))


def load(folder: Path | str) -> Run:
    """A stored run."""
    return Run.load(Path(folder))


def figure(
    kind: str,
    runs: Run | Path | str | Sequence[Run | Path | str],
    out: Path | str | None = None,
    *,
    formats: Sequence[str] = (),
    width: str = "column",
    clock: str | None = None,
    searchers: Sequence[str] = (),
    dim: int | None = None,
    caption: bool = True,
    dpi: int | None = None,
    **options: Any,
) -> "Drawn":
    """Draw a figure of stored runs for a paper; return its files and its caption.

    The kinds stand in `analysis.figures.KINDS`, `options` in `analysis.figures.subject.Options`; for the rest see
    `analysis.figures.draw.draw_figure`. Several runs are drawn as one. Raises InputError, and writes nothing, where
    something is not known or there is nothing to draw.
    """
    from automl_cf.analysis.figures.draw import draw_figure
    from automl_cf.analysis.figures.subject import options_of

    return draw_figure(
        kind,
        runs,
        out,
        formats=formats,
        width=width,
        clock=clock,
        searchers=searchers,
        dim=dim,
        options=options_of(options),
        caption=caption,
        dpi=dpi,
    )


def table(
    runs: Run | Path | str | Sequence[Run | Path | str],
    kind: str = "scores",
    searchers: Sequence[str] = (),
    dim: int | None = None,
) -> pd.DataFrame:
    """Return a table of stored runs, of several as one, in full precision; see `analysis.export_tables.table`."""
    from automl_cf.analysis import export_tables

    return export_tables.table(runs, kind, searchers, dim)


def published(run: Run | Path | str) -> pd.DataFrame:
    """What the paper publishes beside what a stored run found; see `analysis.published.side_by_side`."""
    from automl_cf.analysis.published import side_by_side

    return side_by_side(run if isinstance(run, Run) else load(run))


def verdicts(run: Run | Path | str, against: str | None = None, effect: float | None = None) -> pd.DataFrame:
    """Which searchers of a stored run are better, worse, equivalent or undecided; see `analysis.verdicts.verdicts`."""
    from automl_cf.analysis import verdicts as analysis

    return analysis.verdicts(run if isinstance(run, Run) else load(run), against, effect)


def compare_runs(a: Run | Path | str, b: Run | Path | str, clock: str | None = None) -> "RunComparison":
    """Whether two stored runs may be compared, and how: see `analysis.run_comparison.RunComparison`.

    What must not be compared, such as the seconds of two machines, is left out, and `compatibility` of the result says
    why; `clock` names one of `analysis.curves.CLOCKS`. `str` of the result is what `automl-cf compare-runs` prints.
    """
    from automl_cf.analysis import run_comparison

    first, second = (run if isinstance(run, Run) else load(run) for run in (a, b))
    return run_comparison.compare_runs(first, second, clock)


def compare(
    dataset: str | dict[str, Any] = "ml-100k",
    searchers: str | Sequence[str | dict[str, Any]] = ("bias-only", "single-op", "sif-robust", "random"),
    seeds: Sequence[int] = (1, 2),
    out: Path | str | None = None,
    plugins: Path | str | Sequence[Path | str] = (),
    **study: Any,
) -> Run:
    """Compare searchers on a data set; "all" stands for every one that can search it.

    `plugins` are Python files: what they register can be named. Further keywords are a study's keys, such as
    `budget={"seconds": 30}`; by default it is 20 s of search a cell.

    Raises InputError with one sentence for whatever is wrong.
    """
    listed = [searchers] if isinstance(searchers, str) else list(searchers)
    values = {"name": "compare", "budget": {"seconds": 20}, **study}
    files = [plugins] if isinstance(plugins, str | Path) else list(plugins)
    values |= {"datasets": [dataset], "searchers": listed, "seeds": list(seeds), "plugins": files}
    return run_study(make_study(values, "compare"), out)
