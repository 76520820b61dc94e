"""The suite from Python: run, resume and report studies; each returns the stored run as pandas frames."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from automl_cf.analysis.run import Run
from automl_cf.events import Event
from automl_cf.suite import run as suite_run
from automl_cf.suite.every import with_every_searcher
from automl_cf.suite.study import Study, make_study

OnEvent = Callable[[Event], None]


def run_study(study: Study, out: Path | str | None = None, on_event: OnEvent | None = None) -> Run:
    """Run a study into the folder `out` (default: results/NAME-DATE-TIME), score it and draw its results.

    Raises InputError before anything runs if the study, its data or the folder will not do.
    """
    folder = Path(out) if out else Path("results") / f"{study.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    study.load_plugins()
    suite_run.start(with_every_searcher(study), folder, on_event)
    return report(folder)


def resume(folder: Path | str, on_event: OnEvent | None = None, plugins: Sequence[Path | str] = ()) -> Run:
    """Go on with an interrupted run; see `run_study`. It has its plug-ins; those given again must be as they were."""
    suite_run.resume(Path(folder), on_event, plugins)
    return report(folder)


def report(folder: Path | str) -> Run:
    """Redraw a run's curve, summary and tables from its stored events; trains nothing."""
    # Only here: the figure's libraries take seconds to import, which a run need not wait for to begin.
    from automl_cf.analysis.figure import draw_curve
    from automl_cf.analysis.summary import write_summary
    from automl_cf.analysis.tables import write_scores

    run = Run.load(Path(folder))
    write_scores(run)
    draw_curve(run, run.path / "curve")
    write_summary(run)
    return run


def load(folder: Path | str) -> Run:
    """A stored run."""
    return Run.load(Path(folder))


def published(run: Run | Path | str) -> pd.DataFrame:
    """What the paper publishes beside what a stored run found; see `analysis.published.side_by_side`."""
    from automl_cf.analysis.published import side_by_side

    return side_by_side(run if isinstance(run, Run) else load(run))


def verdicts(run: Run | Path | str, against: str | None = None, effect: float | None = None) -> pd.DataFrame:
    """Which searchers of a stored run are better, worse, equivalent or undecided; see `analysis.verdicts.verdicts`."""
    from automl_cf.analysis import verdicts as analysis

    return analysis.verdicts(run if isinstance(run, Run) else load(run), against, effect)


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
