"""Carrying out `automl-cf reproduce`: the studies that exhibits are made of, the exhibits, and the report on all."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from automl_cf.analysis.run import Run
from automl_cf.api import OnEvent
from automl_cf.errors import InputError, suggest
from automl_cf.reproduction import studies
from automl_cf.reproduction.drawing import FOLDER as EXHIBITS_FOLDER
from automl_cf.reproduction.drawing import write_exhibit
from automl_cf.reproduction.exhibits import EXHIBITS
from automl_cf.reproduction.reasons import read_reasons
from automl_cf.reproduction.report import write_report
from automl_cf.reproduction.transfer import TARGETS, transfer_study
from automl_cf.suite.study import Resources, Study

ALL = "all"
REPORT = "REPRODUCTION.md"

_BEYOND = "leak"  # the study that the report alone is made of
_WHERE_DATA_ARE = frozenset({"tensor-foursquare"})  # left out where they are not

Around = Callable[[Study, Path], AbstractContextManager[OnEvent | None]]


def known() -> tuple[str, ...]:
    """What can be reproduced by name."""
    return (*EXHIBITS, ALL)


def _quietly(study: Study, folder: Path) -> AbstractContextManager[None]:
    return nullcontext()


def reproduce(
    names: str | Sequence[str],
    scale: studies.Scale = "quick",
    out: Path | str | None = None,
    *,
    report: Path | str | None = None,
    resources: Resources | None = None,
    only_read: bool = False,
    accept_changes: bool = False,
    around: Around = _quietly,
) -> list[Path]:
    """Carry out what the named exhibits need, and write them; of `ALL` also the report. Return the written files.

    Runs are in the folder `studies.FOLDER` of ``out`` (results/paper, or of the quick scale results/paper-quick),
    exhibits in `EXHIBITS_FOLDER`, and the report in ``report``, or ``out``. What is there already is not run again, and
    what was interrupted goes on; with ``only_read`` nothing is run, and all is made of the runs that are there whole.
    ``accept_changes`` goes on with an interrupted study by other code or versions, as `api.resume` does. ``around``
    gives what is told of each study's events while it runs.

    Raises InputError for a name that there is not or of which nothing was run, and as `studies.carry_out` does.
    """
    names = [names] if isinstance(names, str) else names
    out = Path(out or Path("results") / ("paper" if scale == "full" else "paper-quick"))
    for name in names:
        if name not in known():
            raise InputError(f"There is no '{name}' to reproduce.{suggest(name, known())} Known: {', '.join(known())}.")
    everything = ALL in names
    if report and not everything:
        raise InputError(f"The report '{report}' is of all; name {ALL}, or leave it out.")
    report = Path(report or out / REPORT)
    if report.is_dir() or (report.parent != out and not report.parent.is_dir()):  # said now, not after hours
        problem = "it is a folder" if report.is_dir() else f"'{report.parent}' is no folder"
        raise InputError(f"The report cannot be '{report}': {problem}.")
    if everything:
        read_reasons(out)  # refused now, as well
    wanted = list(EXHIBITS) if everything else list(dict.fromkeys(names))
    needed = dict.fromkeys(study for name in wanted for study in EXHIBITS[name].studies)
    runs: dict[str, Run] = {}

    def take(study: Study, name: str) -> None:
        folder = out / studies.FOLDER / name
        study = studies.with_searchers(study, folder)
        if only_read:
            if studies.finished(folder):
                runs[name] = studies.load(study, folder)
        else:
            with around(study, folder) as on_event:
                runs[name] = studies.carry_out(study, folder, on_event, resources, accept_changes)

    for name in (*needed, *((_BEYOND,) if everything else ())):
        study = studies.read(name, scale)
        if name not in _WHERE_DATA_ARE or only_read or _all_there(study):
            take(study, name)
    if everything and set(TARGETS.values()) <= set(runs):
        for name in TARGETS:
            take(transfer_study(name, runs), name)
    if everything:
        wanted = [name for name in wanted if EXHIBITS[name].made_of(runs)]
        if not wanted:
            raise InputError(
                f"No run of scale {scale} is in '{out / studies.FOLDER}'; leave out --only-read to run the studies."
            )
    written = [write_exhibit(name, EXHIBITS[name], runs, out / EXHIBITS_FOLDER) for name in wanted]
    if everything:
        written.append(write_report(runs, scale, out, report))
    return written


def _all_there(study: Study) -> bool:
    return all(Path(entry.name).exists() for entry in study.datasets)
