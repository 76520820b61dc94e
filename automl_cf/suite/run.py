"""A run: all cells of a study, then their scoring, with everything that was finished before left as it is."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from automl_cf.cf.data import Dataset, datasets, load
from automl_cf.cf.splits import SearchData, Split, random_split
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import LOG_NAME, SCHEMA, Event
from automl_cf.plugins import Plugin, loaded, module_name, read
from automl_cf.registry import definition
from automl_cf.searchers import searchers
from automl_cf.suite.cell import CHECKPOINTS, RESUMED, CellJob, started
from automl_cf.suite.changes import Unfinished, go_on_with
from automl_cf.suite.deaths import fatal
from automl_cf.suite.inline import Inline, Job
from automl_cf.suite.interrupting import shielded
from automl_cf.suite.manifest import make_manifest
from automl_cf.suite.progress import Progress, of_cells, stamp
from automl_cf.suite.scoring import SCORED, ScoreJob, to_score
from automl_cf.suite.store import MANIFEST_NAME, STUDY_NAME, Emit, Store, to_json
from automl_cf.suite.study import Cell, PluginEntry, Resources, Study, read_study

OnEvent = Callable[[Event], None]

PLUGINS = "plugins"  # the folder of the copies

_IDLE_ROUNDS = 3  # so often a cell may lose its worker without having come any further


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
        return make_manifest(self.study, folder, self.datasets, self.split_hashes())

    def split_hashes(self) -> dict[str, str]:
        """The hashes of all splits, as the manifest has them."""
        return {f"{cell.dataset}/s{cell.seed}": self.split(cell).hash for cell in self.study.cells()}


def start(study: Study, folder: Path, on_event: OnEvent | None = None, resources: Resources | None = None) -> None:
    """Run a study into an empty (or new) folder, on `resources` if they are given, which are not stored.

    Raises InputError if the folder holds a run already.
    """
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
        _check_shipped(_on(study, resources), plugins)
        _check_gpus(_on(study, resources).resources)
        copies = [PluginEntry(file=f"{PLUGINS}/{plugin.name}", sha256=plugin.sha256) for plugin in plugins]
        study = study.model_copy(update={"plugins": tuple(copies)})
        data = _Data(study)
        store.begin(
            {copy.file: plugin.content for copy, plugin in zip(copies, plugins, strict=True)}
            | {MANIFEST_NAME: to_json(data.manifest(folder)), STUDY_NAME: to_json(study.model_dump(mode="json"))}
        )
        _Run(_on(study, resources), store, data, plugins, on_event).go()
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
        if module == "__main__" and (study.isolated or study.resources.backend == "ray"):
            raise InputError(
                f"'{name}' is defined in __main__, where no worker finds it; put it into a file and name that in "
                "plugins."
            )


def resume(
    folder: Path,
    on_event: OnEvent | None = None,
    plugins: Sequence[Path | str] = (),
    accept_changes: bool = False,
    resources: Resources | None = None,
) -> None:
    """Go on with a run: finished cells and scores stay, a cell under way continues from its last durable event.

    It goes on where it was, or on `resources`, which are not stored.

    The run has copies of its plug-ins; of `plugins`, which are not needed, each must be as it was. Raises InputError if
    the folder holds no run, if the data, their splits or a plug-in are no longer the same, and unless `accept_changes`
    if the code or the versions that results depend on are not.
    """
    study = stored_study(folder)
    _check_plugins(study, plugins)
    _check_gpus(_on(study, resources).resources)
    store = Store(folder)
    try:
        sources = study.load_plugins()
        data = _Data(study)
        run = _Run(_on(study, resources), store, data, sources, on_event)
        cells = {cell.id: cell for cell in run.cells}
        unfinished = Unfinished(cells)
        for event in store.events():
            unfinished.add(event)
            cell = cells.get(event["cell"])
            if event["kind"] == "cell_started" and cell and event["split_hash"] != data.split(cell).hash:
                raise InputError(
                    f"the split of cell '{cell.id}' is no longer the one that '{folder}' was run on: "
                    "the data have changed; start a new run."
                )
        if unfinished:
            go_on_with(store, study, data.datasets, data.split_hashes(), accept_changes)
        run.go()
    finally:
        store.close()


def _on(study: Study, resources: Resources | None) -> Study:
    return study if resources is None else study.model_copy(update={"resources": resources})


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
        self.cells = study.cells()
        self.progress = {cell.id: Progress() for cell in self.cells}

    def go(self) -> None:
        """Search, then score; a job whose process died is tried again from where it was, as long as that gets it on."""
        for event in self.store.events():
            self._take_in(event)
        backend = self._backend()
        try:
            for prepare in (self._search_jobs, self._score_jobs):
                idle: Counter[str] = Counter()
                while jobs := [job for job in prepare() if idle[job.cell.id] < _IDLE_ROUNDS]:
                    before = {job.cell.id: self.progress[job.cell.id].durable for job in jobs}
                    backend.run(jobs, self._emit)
                    for name, durable in before.items():
                        idle[name] = idle[name] + 1 if self.progress[name].durable == durable else 0
            self._report_lost()
        finally:
            backend.close()
        self.store.prune(CHECKPOINTS, [])

    def _take_in(self, event: Event) -> None:
        if event["cell"] in self.progress:
            self.progress[event["cell"]].add(event)
        self.on_event(event)

    def _emit(self, event: Event, files: dict[str, bytes] | None = None) -> None:
        with shielded():
            self.store.append(event, files)
            self._take_in(event)
            if event["kind"] == "checkpoint":
                self.store.prune(CHECKPOINTS, [cell.checkpoint for cell in self.progress.values() if cell.checkpoint])

    def _past(self, cells: Sequence[Cell], kinds: frozenset[str], trials: int | None = None) -> dict[str, list[Event]]:
        """The events of these kinds that count, by cell; the log is read if any of the cells has some."""
        progress = {cell.id: self.progress[cell.id] for cell in cells}
        begun = any(one.attempt for one in progress.values())
        return of_cells(progress, self.store.events() if begun else (), kinds, trials)

    def _search_jobs(self) -> list[Job]:
        for cell in self.cells:
            self._fail_if_hopeless(cell)
        waiting = [cell for cell in self.cells if not self.progress[cell.id].ended]
        past = self._past(waiting, RESUMED)
        jobs: list[Job] = []
        for cell in waiting:
            progress = self.progress[cell.id]
            saved = None if progress.checkpoint is None else (self.store.folder / progress.checkpoint).read_bytes()
            jobs.append(
                CellJob(
                    self.study,
                    cell,
                    self.data.search_data(cell),
                    past[cell.id],
                    saved,
                    progress.attempt + 1,
                    self.data.datasets[cell.dataset].architecture,
                    self.plugins,
                    tuple(progress.deaths),
                )
            )
        return jobs

    def _fail_if_hopeless(self, cell: Cell) -> None:
        """Record the end of a cell whose processes die of its searcher."""
        progress = self.progress[cell.id]
        why = None if progress.ended else fatal(progress.deaths, progress.all_deaths)
        if why is not None:
            stack = progress.deaths[-1].traceback
            if not progress.started:
                fields = started(self.study, cell, self.data.split(cell).hash, calibration=None)
                self._emit({"schema": SCHEMA, "kind": "cell_started", **stamp(cell.id, progress), **fields})
            common = {"schema": SCHEMA, "kind": "cell_failed", **stamp(cell.id, progress)}
            self._emit({**common, "error": why, "traceback": stack})

    def _score_jobs(self) -> list[Job]:
        waiting = [cell for cell in self.cells if self.progress[cell.id].ended and not self.progress[cell.id].scored]
        past = self._past(waiting, SCORED, self.study.scoring.top_k)
        jobs: list[Job] = []
        for cell in waiting:
            progress = self.progress[cell.id]
            architectures = to_score(self.study, past[cell.id])
            # With all of them scored, a process that died right then still owes the word that they are.
            if architectures or progress.scores:
                jobs.append(
                    ScoreJob(
                        self.study,
                        cell,
                        self.data.split(cell),
                        architectures,
                        self.data.truth(cell),
                        progress.clock,
                        progress.visits,
                        progress.attempt + 1,
                        self.plugins,
                        tuple(progress.deaths),
                    )
                )
        return jobs

    def _report_lost(self) -> None:
        """A cell that has no end after all rounds: its worker died each time, for reasons that are not its own."""
        lost = [cell.id for cell in self.cells if not self.progress[cell.id].ended]
        lost = lost or [job.cell.id for job in self._score_jobs()]
        if lost:
            raise AutomlCfError(
                f"{len(lost)} cells did not finish, '{lost[0]}' among them: their processes died or were stopped; "
                f"go on with 'automl-cf resume {self.store.folder}'."
            )

    def _backend(self) -> Backend:
        resources = self.study.resources
        if resources.backend == "inline":
            return Inline(self.study.isolated)
        from automl_cf.suite.ray_backend import RayBackend  # heavy: only where it is used

        workers = resources.workers or max(1, _cores() // resources.cpus_per_cell)
        return RayBackend(resources, workers)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # not every system can tell


def _check_gpus(resources: Resources) -> None:
    """Raise InputError for more GPUs than this machine has; those of a cluster that is there are Ray's to know."""
    if not resources.gpus_per_cell:
        return
    if resources.backend == "ray":
        from automl_cf.suite.ray_backend import cluster_to_join

        if cluster_to_join(resources) is not None:
            return
    import torch

    available = torch.cuda.device_count()
    if resources.gpus_per_cell > available:
        raise InputError(
            f"resources.gpus_per_cell is {resources.gpus_per_cell:g}, but the machine has {available} GPUs; "
            "ask for no more than that, or 0 for the CPU."
        )
