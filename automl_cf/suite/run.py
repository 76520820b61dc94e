"""A run: all cells of a study, then their scoring, with everything that was finished before left as it is."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from automl_cf.cf.data import Dataset, datasets, load
from automl_cf.cf.splits import SearchData, Split, random_split
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import LOG_NAME, Event, effective
from automl_cf.plugins import Plugin, loaded, module_name, read
from automl_cf.registry import definition
from automl_cf.searchers import searchers
from automl_cf.suite.cell import CHECKPOINTS, CellJob
from automl_cf.suite.inline import Inline, Job
from automl_cf.suite.manifest import make_manifest
from automl_cf.suite.scoring import ScoreJob, to_score
from automl_cf.suite.store import MANIFEST_NAME, STUDY_NAME, Emit, Store
from automl_cf.suite.study import Cell, PluginEntry, Study, read_study

OnEvent = Callable[[Event], None]

PLUGINS = "plugins"  # the folder of the copies

_ENDS = ("cell_finished", "cell_failed")
_ROUNDS = 2  # a cell whose worker died is resumed once; what dies again is reported as failed


class Backend(Protocol):
    """Runs jobs somewhere."""

    def run(self, jobs: Sequence[Job], emit: Emit) -> None:
        """Run all jobs, emitting their events."""

    def close(self) -> None:
        """Release what the backend holds."""


class _Data:
    """The study's data sets and splits, loaded once, by the driver."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.datasets: dict[str, Dataset] = {entry.title: load(entry.name, **entry.options) for entry in study.datasets}
        self._splits: dict[tuple[str, int], Split] = {}
        self._search_data: dict[tuple[str, int], SearchData] = {}
        for dataset in self.datasets.values():
            study.check(dataset.ratings.order, dataset.architecture)

    def split(self, cell: Cell) -> Split:
        """The split of a cell's data set and seed."""
        key = (cell.dataset, cell.seed)
        if key not in self._splits:
            ratings = self.datasets[cell.dataset].ratings
            vary = "split" in self.study.vary
            self._splits[key] = random_split(ratings, cell.seed, self.study.fractions, vary)
        return self._splits[key]

    def search_data(self, cell: Cell) -> SearchData:
        """What a cell's search may see; one object a split, so that jobs are shipped with one copy of it."""
        key = (cell.dataset, cell.seed)
        if key not in self._search_data:
            self._search_data[key] = self.split(cell).for_search()
        return self._search_data[key]

    def truth(self, cell: Cell) -> np.ndarray | None:
        """Noise-free values of a cell's test part, where the data are planted."""
        truth = self.datasets[cell.dataset].truth
        test = self.split(cell).test
        return None if truth is None or test is None else truth.noise_free(test.indices)

    def manifest(self, folder: Path) -> dict[str, Any]:
        """The run's manifest."""
        cells = self.study.cells()
        splits = {f"{cell.dataset}/s{cell.seed}": self.split(cell) for cell in cells}
        return make_manifest(self.study, folder, self.datasets, splits)


def start(study: Study, folder: Path, on_event: OnEvent | None = None) -> None:
    """Run a study into an empty (or new) folder. Raises InputError if the folder holds a run already."""
    store = Store(folder)
    try:
        if (folder / LOG_NAME).exists() or (folder / STUDY_NAME).exists():
            raise InputError(
                f"'{folder}' holds a run already; go on with it by 'automl-cf resume {folder}', "
                "or choose another --out."
            )
        strangers = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if strangers:
            raise InputError(
                f"'{folder}' is not empty, '{strangers[0]}' is in it; choose a new or an empty folder as --out."
            )
        plugins = study.load_plugins()
        _check_shipped(study, plugins)
        copies = [PluginEntry(file=f"{PLUGINS}/{plugin.name}", sha256=plugin.sha256) for plugin in plugins]
        study = study.model_copy(update={"plugins": tuple(copies)})
        data = _Data(study)
        for copy, plugin in zip(copies, plugins, strict=True):
            store.write(copy.file, plugin.content)
        store.write_json(STUDY_NAME, study.model_dump(mode="json"))
        store.write_json(MANIFEST_NAME, data.manifest(folder))
        _Run(study, store, data, plugins, on_event).go()
    finally:
        store.close()


def _check_shipped(study: Study, sources: Sequence[Plugin]) -> None:
    """Raise InputError for what this process alone knows: neither a worker nor a later resume would find it."""
    others = {module_name(path): path for path in loaded()}
    for plugin in sources:
        others.pop(plugin.module, None)
    entries: list[object] = [searchers.get(entry.name) for entry in study.searchers]
    entries += [datasets.get(entry.name) for entry in study.datasets if entry.name in datasets.names()]
    for module, name in (part for entry in entries for part in definition(entry)):
        if module in others:
            raise InputError(
                f"'{name}' is of the plug-in '{others[module]}', which the study does not name; add it to plugins."
            )
        if module == "__main__" and study.resources.backend == "ray":
            raise InputError(
                f"'{name}' is defined in __main__, where no worker finds it; put it into a file and name that in "
                "plugins."
            )


def resume(folder: Path, on_event: OnEvent | None = None, plugins: Sequence[Path | str] = ()) -> None:
    """Go on with a run: finished cells and scores stay, a cell under way continues from its last durable event.

    The run has copies of its plug-ins; of `plugins`, which are not needed, each must be as it was. Raises InputError if
    the folder holds no run, or if the data, their splits or a plug-in are no longer the same.
    """
    study = stored_study(folder)
    _check_plugins(study, plugins)
    store = Store(folder)
    try:
        sources = study.load_plugins()
        data = _Data(study)
        run = _Run(study, store, data, sources, on_event)
        for event in run.events:
            cell = run.by_id.get(event["cell"])
            if event["kind"] == "cell_started" and cell and event["split_hash"] != data.split(cell).hash:
                raise InputError(
                    f"the split of cell '{cell.id}' is no longer the one that '{folder}' was run on: "
                    "the data have changed; start a new run."
                )
        run.go()
    finally:
        store.close()


def stored_study(folder: Path) -> Study:
    """The resolved study of a run's folder."""
    if not (folder / STUDY_NAME).exists():
        raise InputError(f"'{folder}' holds no run: there is no {STUDY_NAME} in it; name a run's folder.")
    return read_study(folder / STUDY_NAME)


def _check_plugins(study: Study, paths: Sequence[Path | str]) -> None:
    """Raise InputError if a file of `paths` is none of the run's plug-ins, or is not as it was."""
    hashes = {Path(entry.file).name: entry.sha256 for entry in study.plugins}
    for path in paths:
        name = Path(path).name
        if name not in hashes:
            raise InputError(f"plug-in '{path}' is none of the run's: {', '.join(hashes) or 'none'}; leave it out.")
        read(path, hashes[name])


class _Run:
    """One process's work on a run."""

    def __init__(
        self, study: Study, store: Store, data: _Data, plugins: tuple[Plugin, ...], on_event: OnEvent | None
    ) -> None:
        self.study = study
        self.store = store
        self.data = data
        self.plugins = plugins
        self.on_event = on_event or (lambda event: None)
        self.events: list[Event] = store.events()
        self.cells = study.cells()
        self.by_id = {cell.id: cell for cell in self.cells}

    def go(self) -> None:
        """Search, then score; a job whose worker died is tried once more from where it was."""
        for event in self.events:
            self.on_event(event)
        backend = self._backend()
        try:
            for prepare in (self._search_jobs, self._score_jobs):
                for _ in range(_ROUNDS):
                    jobs = prepare()
                    if jobs:
                        backend.run(jobs, self._emit)
            self._report_lost()
        finally:
            backend.close()
        self.store.prune(CHECKPOINTS, [])

    def _emit(self, event: Event, files: dict[str, bytes] | None = None) -> None:
        self.store.append(event, files)
        self.events.append(event)
        if event["kind"] == "checkpoint":
            current = [other["file"] for other in self._of_kind("checkpoint")]
            self.store.prune(CHECKPOINTS, current)
        self.on_event(event)

    def _of_kind(self, kind: str) -> list[Event]:
        """The last event of a kind of each cell."""
        return list({event["cell"]: event for event in self.events if event["kind"] == kind}.values())

    def _past(self, cell: Cell) -> list[Event]:
        return [event for event in effective(self.events) if event["cell"] == cell.id]

    def _search_jobs(self) -> list[Job]:
        jobs: list[Job] = []
        for cell in self.cells:
            past = self._past(cell)
            if any(event["kind"] in _ENDS for event in past):
                continue
            checkpoints = [event["file"] for event in past if event["kind"] == "checkpoint"]
            saved = (self.store.folder / checkpoints[-1]).read_bytes() if checkpoints else None
            data = self.data.search_data(cell)
            attempt, truth = _next_attempt(self.events, cell), self.data.datasets[cell.dataset].architecture
            jobs.append(CellJob(self.study, cell, data, past, saved, attempt, truth, self.plugins))
        return jobs

    def _score_jobs(self) -> list[Job]:
        jobs: list[Job] = []
        for cell in self.cells:
            past = self._past(cell)
            kinds = {event["kind"] for event in past}
            architectures = to_score(self.study, past)
            # With all of them scored, a process that died right then still owes the word that they are.
            if (architectures or "score" in kinds) and "cell_scored" not in kinds:
                attempt = _next_attempt(self.events, cell)
                split, truth = self.data.split(cell), self.data.truth(cell)
                jobs.append(ScoreJob(self.study, cell, split, architectures, truth, past, attempt, self.plugins))
        return jobs

    def _report_lost(self) -> None:
        """A cell that has no end after all rounds: its process died each time."""
        ended = {event["cell"] for event in self.events if event["kind"] in _ENDS}
        lost = [cell.id for cell in self.cells if cell.id not in ended]
        if lost:
            raise AutomlCfError(
                f"{len(lost)} cells did not finish, '{lost[0]}' among them: their processes died or were stopped; "
                f"go on with 'automl-cf resume {self.store.folder}'."
            )

    def _backend(self) -> Backend:
        resources = self.study.resources
        if resources.backend == "inline":
            _check_local_gpus(resources.gpus_per_cell)
            return Inline()
        from automl_cf.suite.ray_backend import RayBackend  # heavy: only where it is used

        workers = resources.workers or max(1, _cores() // resources.cpus_per_cell)
        return RayBackend(resources, workers)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # not every system can tell


def _check_local_gpus(wanted: float) -> None:
    import torch

    available = torch.cuda.device_count()
    if wanted > available:
        raise InputError(
            f"resources.gpus_per_cell is {wanted:g}, but the machine has {available} GPUs; "
            "ask for no more than that, or 0 for the CPU."
        )


def _next_attempt(events: Sequence[Event], cell: Cell) -> int:
    return 1 + max((event["attempt"] for event in events if event["cell"] == cell.id), default=0)
