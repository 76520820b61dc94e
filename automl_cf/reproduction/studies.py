"""The studies of benchmarks/paper: reading one at a scale, and carrying it out once."""

import gzip
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from automl_cf import api
from automl_cf.analysis.run import Run
from automl_cf.errors import InputError, suggest
from automl_cf.events import COMPRESSED_NAME, LOG_NAME, DamageError, ordered_events
from automl_cf.reading import load_toml
from automl_cf.suite.every import EVERY, with_every_searcher
from automl_cf.suite.run import stored_study
from automl_cf.suite.store import STUDY_NAME
from automl_cf.suite.study import Resources, Study, make_study

Scale = Literal["quick", "full"]

FOLDER = "runs"
"""Where runs are, of the folder of all."""

_PACKAGE = "automl_cf.benchmarks.paper"
_QUICK = "quick"
_LEFT_OUT = ("report.html", "scores.parquet", "curve.svg", "curve.png", "summary.md")  # `automl-cf report` makes them


def names() -> tuple[str, ...]:
    """The names of the paper's studies, sorted."""
    found = (entry.name.removesuffix(".toml") for entry in files(_PACKAGE).iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(found))


def read(name: str, scale: Scale) -> Study:
    """The study of that name at a scale. Raises InputError for a name that there is not."""
    if name not in names():
        raise InputError(
            f"There is no study '{name}' of the paper.{suggest(name, names())} Known: {', '.join(names())}."
        )
    file = files(_PACKAGE) / f"{name}.toml"
    values = load_toml(file.read_text(encoding="utf-8"))
    quick = values.pop(_QUICK, {})
    return make_study({"name": name, **_over(values, quick if scale == "quick" else {})}, f"{name}.toml")


def _over(values: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The values with those of `other` in their place, within tables key by key; a budget is replaced as a whole."""
    merged = {**values, **other}
    for key, value in other.items():
        if isinstance(value, dict) and key != "budget":
            merged[key] = {**values.get(key, {}), **value}
    return merged


def finished(folder: Path) -> bool:
    """Whether the run in a folder has come to its end and was packed."""
    return (folder / COMPRESSED_NAME).exists() and not (folder / LOG_NAME).exists()


def load(study: Study, folder: Path) -> Run:
    """The finished run in a folder. Raises InputError if it is one of another study, or not whole any more."""
    _check_same(study, folder)
    _check_whole(study, folder)
    return Run.load(folder)


def carry_out(
    study: Study,
    folder: Path,
    on_event: api.OnEvent | None = None,
    resources: Resources | None = None,
    accept_changes: bool = False,
) -> Run:
    """Run a study into a folder, go on with it, or only load it, by what is there; its log is compressed at the end.

    Raises InputError as `load`, `api.run_study` and `api.resume` do.
    """
    if finished(folder):
        return load(study, folder)
    if (folder / STUDY_NAME).exists():
        _check_same(study, folder)
        run = api.resume(folder, on_event, accept_changes=accept_changes, resources=resources)
    else:
        run = api.run_study(study, folder, on_event, resources)
    pack(folder)
    return run


def pack(folder: Path) -> None:
    """Compress a finished run's log, and remove what is not measured but made of that, as exhibits are."""
    log, partial = folder / LOG_NAME, folder / f".{COMPRESSED_NAME}.partial"
    with log.open("rb") as source, partial.open("wb") as target, gzip.GzipFile("", "wb", 9, target, mtime=0) as packed:
        shutil.copyfileobj(source, packed)
    partial.replace(folder / COMPRESSED_NAME)
    log.unlink()
    for name in _LEFT_OUT:
        (folder / name).unlink(missing_ok=True)


def with_searchers(study: Study, folder: Path) -> Study:
    """The study with its entry `all` replaced: by what a run that is in the folder has, by all that are known if none.

    So a run stays one of its study when later versions bring more searchers.
    """
    if EVERY in [entry.name for entry in study.searchers] and (folder / STUDY_NAME).exists():
        there = stored_study(folder)
        return study.model_copy(update={"searchers": there.searchers, "skipped": there.skipped})
    return with_every_searcher(study)


def _check_same(study: Study, folder: Path) -> None:
    there = stored_study(folder)
    different = [name for name in type(study).model_fields if getattr(there, name) != getattr(study, name)]
    if different:
        raise InputError(
            f"'{folder}' holds a run of another study or scale ({', '.join(different)} differ); remove it, or name "
            "another folder with --out."
        )


def _check_whole(study: Study, folder: Path) -> None:
    """Raise InputError for a log of which events are damaged or lost, its last ones included."""
    log = folder / COMPRESSED_NAME
    missing = {cell.id for cell in study.cells()}
    try:
        for event in ordered_events(log):
            if event["kind"] in ("cell_scored", "cell_failed"):
                missing.discard(event["cell"])
    except DamageError as damage:
        raise InputError(f"{str(damage).rstrip('.')}; bring back the log as it was, or remove the run.") from damage
    if missing:
        raise InputError(
            f"'{log}' has no end of {len(missing)} of its cells, such as {min(missing)}: bring back the log as it was, "
            "or remove the run."
        )
