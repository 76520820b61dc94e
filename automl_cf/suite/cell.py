"""One cell: a searcher on one problem under one budget, from its first event to its last, or on from a crash."""

import io
import json
import socket
import time
import traceback
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from automl_cf.cf.meter import BudgetExhausted
from automl_cf.cf.models import TrainingTask, prepare
from automl_cf.cf.problem import Evaluation, Incumbent, Problem
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Status
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import SCHEMA, Event
from automl_cf.plugins import Plugin
from automl_cf.searchers import AskTellSearcher, OneShotSearcher, Proposal, build, searchers
from automl_cf.spaces.architecture import Architecture
from automl_cf.suite.calibration import calibrate
from automl_cf.suite.deaths import Death, condemned
from automl_cf.suite.ledger import Ledger
from automl_cf.suite.store import Emit
from automl_cf.suite.streams import stream
from automl_cf.suite.study import Cell, Study

CHECKPOINTS = "checkpoints"
RESUMED = frozenset(
    {"cell_started", "trial", "checkpoint", "incumbent"}
)  # the kinds of events that a cell goes on from
_MOST_FAILURES = 1000  # trials without a result, one after the other
_MOST_BYTES = 1_000_000  # of an architecture's JSON
_MOST_POINTS = 10_000  # of a curve
_MOST_LETTERS = 20_000  # of an error's traceback
_MOST_SWELLING = 2  # a checkpoint is not compressed
_CHECKPOINT_SECONDS = 10.0  # of search between two checkpoints of a one-shot searcher


@dataclass
class CellJob:
    """What a worker needs to run a cell. There is no test part in it.

    `past` are those of the cell's effective events of earlier attempts that it goes on from (`RESUMED`), `checkpoint`
    is the content of the last one's file; `deaths` are those of its processes since its last progress; `truth` is the
    architecture that made planted data; `plugins` are the study's.
    """

    study: Study
    cell: Cell
    data: SearchData
    past: list[Event] = field(default_factory=list)
    checkpoint: bytes | None = None
    attempt: int = 1
    truth: Architecture | None = None
    plugins: tuple[Plugin, ...] = ()
    deaths: tuple[Death, ...] = ()


def training_task(study: Study, cell: Cell, data: SearchData) -> TrainingTask:
    """How every architecture of a cell is trained, in the search and in the final retraining."""
    seed = cell.seed if "init" in study.vary else 0
    return TrainingTask(data, study.training, cell.dim, stream("init", seed), study.resources.device)


class Recorder:
    """Numbers a cell's events and stamps them with its clocks."""

    def __init__(self, cell: Cell, attempt: int, ledger: Ledger, emit: Emit) -> None:
        self.cell = cell
        self.attempt = attempt
        self.ledger = ledger
        self._emit = emit
        self._n = 0

    def __call__(self, kind: str, files: dict[str, bytes] | None = None, **fields: Any) -> None:
        """Record one event; its own cost is booked as `store`."""
        with self.ledger.timed("store"):
            clock, visits = self.ledger.clock(), self.ledger.visits
            stamp = {
                "schema": SCHEMA,
                "kind": kind,
                "cell": self.cell.id,
                "attempt": self.attempt,
                "n": self._n + 1,
            }
            self._emit({**stamp, "time": time.time(), "clock": clock, "visits": visits, **fields}, files)
            self._n += 1  # only now: what is refused leaves no gap


def run_cell(job: CellJob, emit: Emit, setup: float = 0.0) -> None:
    """Run a cell to its end. Whatever a searcher raises ends this cell only, as a `cell_failed` event.

    `setup` are seconds that the worker spent before, to be booked on this cell.
    """
    torch.set_num_threads(job.study.resources.cpus_per_cell)
    ledger = Ledger(job.study.budget, partial(synchronize, job.study.resources.device))
    with ledger.timed("setup"):
        record = Recorder(job.cell, job.attempt, ledger, emit)
        resume_at = _resume_point(job.past)
        if resume_at is not None:
            ledger.restore(resume_at["clock"], resume_at["visits"])
        ledger.book("setup", setup)
        record(
            "cell_started",
            **started(job.study, job.cell, job.data.hash, calibrate(), job.past, resume_at),
        )
        try:
            for plugin in job.plugins:
                plugin.execute()
            name = job.study.entry(job.cell).name
            one_shot = searchers.get(name).capabilities.one_shot
            task = training_task(job.study, job.cell, job.data)
            prepare(task)
            problem = Problem(task, ledger)
            search = _OneShot(job, record, problem) if one_shot else _AskTell(job, record, problem)
            reason = search.run()
        except (Exception, SystemExit) as error:  # a searcher may raise anything
            message = f"{type(error).__name__}: {error}".splitlines()[0][:_MOST_LETTERS]
            record("cell_failed", error=message, traceback=traceback.format_exc()[-_MOST_LETTERS:])
        else:
            record("cell_finished", reason=reason)


def started(
    study: Study,
    cell: Cell,
    split_hash: str,
    calibration: float | None,
    past: Sequence[Event] = (),
    resume_at: Event | None = None,
) -> dict[str, Any]:
    """The fields of the start of a cell, which goes on after `resume_at` if it has a past."""
    return {
        "dataset": cell.dataset,
        "dim": cell.dim,
        "searcher": cell.searcher,
        "seed": cell.seed,
        "split_hash": split_hash,
        "engine": study.training.engine,
        "calibration": calibration,
        "host": socket.gethostname(),
        "resumed": bool(past),
        "resumes_after": None if resume_at is None else [resume_at["attempt"], resume_at["n"]],
    }


class _AskTell:
    """ask, evaluate, tell, until the budget or the searcher ends it."""

    def __init__(self, job: CellJob, record: Recorder, problem: Problem) -> None:
        self.job = job
        self.record = record
        self.ledger = record.ledger
        self.problem = problem
        self.best = float("inf")
        self.trials = 0
        self.failures = 0  # in a row
        self.condemned = condemned(job.deaths)
        entry = job.study.entry(job.cell)
        cell = job.cell
        task = job.study.search_task(entry, job.data.train.order, cell.seed, cell.dim, truth=job.truth)
        searcher = build(entry.name, task, entry.options)
        assert isinstance(searcher, AskTellSearcher)
        searcher.keep_no_log()
        self.searcher = searcher

    def run(self) -> str:
        self._replay()
        while True:
            if reason := self.ledger.spent(self.trials):
                return reason
            with self.ledger.timed("think"):
                proposals = self.searcher.ask(1)
            if not proposals:
                return "exhausted"
            (proposal,) = proposals
            architecture = proposal.architecture
            self.record(
                "trial_started", number=proposal.id, architecture=_bounded(architecture.to_json()), id=architecture.id
            )
            try:
                evaluation = self._evaluate(proposal)
            except BudgetExhausted as exhausted:  # a trial unfinished at the budget's end is discarded
                return str(exhausted)
            with self.ledger.timed("think"):
                self.searcher.tell(proposal.id, evaluation)
            _record_trial(self.record, proposal.id, architecture, evaluation)
            self._note(architecture, evaluation)

    def _evaluate(self, proposal: Proposal) -> Evaluation:
        architecture = proposal.architecture
        if self.condemned is not None and self.condemned.number == proposal.id:
            return self._dead(self.condemned)
        feasible = self.searcher.capabilities.fixed_proposals or self.searcher.space.contains(architecture)
        if not feasible:
            return Evaluation("invalid", None, error="the architecture is not in the space")
        evaluation = _metered(self.problem, architecture, self.ledger, proposal.epochs)
        self.ledger.check()
        return evaluation

    def _dead(self, death: Death) -> Evaluation:
        """The result of a trial whose process died of it; the seconds that it took are charged."""
        self.ledger.book("train", death.seconds)
        seconds = {"train": death.seconds, "validate": 0.0}
        return Evaluation(cast(Status, death.status), None, seconds=seconds, error=death.error)

    def _note(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Count a trial, and record it if it is the new incumbent. Raises AutomlCfError if only failures come."""
        self.trials += 1
        self.failures = self.failures + 1 if evaluation.rmse is None else 0
        if self.failures == _MOST_FAILURES:  # which a budget of visits would never end
            raise AutomlCfError(
                f"the last {_MOST_FAILURES} trials gave no result; the last one was {evaluation.status}: "
                f"{evaluation.error}"
            )
        if evaluation.loss < self.best:
            self.best = evaluation.loss
            _record_incumbent(self.record, Incumbent(architecture, evaluation.rmse), "trial")

    def _replay(self) -> None:
        """Bring a fresh searcher to where the recorded trials had brought it; not charged."""
        trials = [event for event in self.job.past if event["kind"] == "trial"]
        log: list[dict[str, Any]] = []
        for event in trials:
            log.append({"ask": event["number"], "architecture": event["architecture"]})
            log.append({"tell": event["number"], "evaluation": _evaluation_of(event).to_json()})
        self.searcher.load_state_dict({"log": log})
        for event in trials:
            evaluation = _evaluation_of(event)
            self.trials += 1
            if event is trials[-1] and evaluation.loss < self.best:
                # its incumbent event came after the resume point, or never
                self.trials -= 1
                self._note(Architecture.from_json(event["architecture"]), evaluation)
            self.best = min(self.best, evaluation.loss)
        self.job.past.clear()  # which may be large, and is not needed any more


class _OneShot:
    """Steps of a one-shot searcher; when it ends early, again with a new stream.

    Until the first search has ended, its current architecture is the incumbent. Then what each search found is
    trained stand-alone, which is charged, and the best of those is.
    """

    def __init__(self, job: CellJob, record: Recorder, problem: Problem) -> None:
        self.job = job
        self.record = record
        self.ledger = record.ledger
        self.problem = problem
        self.entry = job.study.entry(job.cell)
        self.best = float("inf")
        self.restart = 0
        self.shown: str | None = None

    def run(self) -> str:
        saved = self._load()
        while True:
            if reason := self.ledger.spent(self.restart):
                return reason
            try:
                self._search(saved)
            except BudgetExhausted as exhausted:
                return str(exhausted)
            saved = None
            self.restart += 1

    def _search(self, saved: "_Saved | None") -> None:
        order, cell = self.job.data.train.order, self.job.cell
        with self.ledger.timed("setup"):
            task = self.job.study.search_task(self.entry, order, cell.seed, cell.dim, self.restart, self.job.truth)
            searcher = build(self.entry.name, task, self.entry.options)
            assert isinstance(searcher, OneShotSearcher)
            searcher.start(self.problem)
            if saved is not None:
                searcher.load_state_dict(saved.arrays, saved.values["searcher"])
        found: Incumbent | None = None if saved is None else saved.found
        checkpointed = self.ledger.search_seconds
        while True:
            with self.ledger.timed("think"):
                result = searcher.step()
            if result is None:
                break
            self.ledger.check()
            _check_found(searcher, result)
            found = result
            if self.restart == 0 and found.architecture.id != self.shown:
                _record_incumbent(self.record, found, "one-shot")
                self.shown = found.architecture.id
            if self.ledger.search_seconds - checkpointed >= _CHECKPOINT_SECONDS:
                self._save(searcher, found)
                checkpointed = self.ledger.search_seconds
        if found is not None:
            self._compare(found)

    def _compare(self, found: Incumbent) -> None:
        """Train what a search found stand-alone: restarts are compared on equal terms."""
        evaluation = _metered(self.problem, found.architecture, self.ledger)
        self.ledger.check()
        _record_trial(self.record, self.restart, found.architecture, evaluation)
        if evaluation.loss < self.best:
            self.best = evaluation.loss
            _record_incumbent(self.record, Incumbent(found.architecture, evaluation.rmse), "stand-alone")

    def _save(self, searcher: OneShotSearcher, found: Incumbent) -> None:
        arrays, values = searcher.state_dict()
        here = {
            "searcher": values,
            "restart": self.restart,
            "best": None if np.isinf(self.best) else self.best,
            "shown": self.shown,
            "found": {"architecture": found.architecture.to_json(), "rmse": found.rmse},
        }
        file = f"{CHECKPOINTS}/{self.job.cell.id.replace('/', '_')}-{self.job.attempt}-{time.time_ns()}.npz"
        self.record("checkpoint", {file: _Saved(arrays, here).to_bytes()}, file=file)

    def _load(self) -> "_Saved | None":
        if self.job.checkpoint is None:
            return None
        saved = _Saved.from_bytes(self.job.checkpoint)
        self.restart = saved.values["restart"]
        self.best = float("inf") if saved.values["best"] is None else saved.values["best"]
        self.shown = saved.values["shown"]
        return saved


@dataclass
class _Saved:
    """A one-shot searcher's checkpoint: arrays and JSON in one npz file, without pickle."""

    arrays: dict[str, NDArray[Any]]
    values: dict[str, Any]

    @property
    def found(self) -> Incumbent:
        found = self.values["found"]
        return Incumbent(Architecture.from_json(found["architecture"]), found["rmse"])

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **self.arrays, json=np.array(json.dumps(self.values)))  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "_Saved":
        """Raises InputError for what is no such file, or one that swells beyond all that a search needs."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                size = sum(member.file_size for member in packed.infolist())
            if size > _MOST_SWELLING * len(content) + 2**20:
                raise ValueError(f"its arrays claim {size} bytes")
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files if name != "json"}
                saved = cls(arrays, json.loads(str(file["json"])))
                saved.check()
        except Exception as error:  # of zipfile, tokenize, struct, json and NumPy
            raise InputError(f"a checkpoint cannot be read: {type(error).__name__}: {error}.") from error
        return saved

    def check(self) -> None:
        """Raise something if a value is missing or of another type."""
        restart, best, shown, found = (self.values[name] for name in ("restart", "best", "shown", "found"))
        right = type(restart) is int and type(self.values["searcher"]) is dict
        right = right and type(best) in (float, int, type(None)) and type(shown) in (str, type(None))
        if not right or type(found["rmse"]) not in (float, int, type(None)):
            raise TypeError("a value is of another type")
        Architecture.from_json(found["architecture"])


def _check_found(searcher: OneShotSearcher, found: Incumbent) -> None:
    """Raise AutomlCfError for what no honest search finds."""
    if not isinstance(found, Incumbent):
        raise AutomlCfError(f"step() returned {found!r:.60}, but must return an Incumbent, or None to end the search.")
    if not (searcher.capabilities.fixed_proposals or searcher.space.contains(found.architecture)):
        raise AutomlCfError(f"step() found {found.architecture.to_json()!r:.200}, which is not in the space.")


def _resume_point(past: list[Event]) -> Event | None:
    """The last event whose state can be rebuilt exactly: a checkpoint, else (ask/tell) the last trial."""
    checkpoints = [event for event in past if event["kind"] == "checkpoint"]
    if checkpoints:
        return checkpoints[-1]
    one_shot = any(event["kind"] == "incumbent" and event["source"] == "one-shot" for event in past)
    trials = [event for event in past if event["kind"] == "trial"]
    return trials[-1] if trials and not one_shot else None


def _metered(problem: Problem, architecture: Architecture, ledger: Ledger, epochs: int | None = None) -> Evaluation:
    """Evaluate, and add what it cost."""
    clock, visits = ledger.clock(), ledger.visits
    evaluation = problem.evaluate(architecture, epochs)
    now = ledger.clock()
    seconds = {kind: round(now[kind] - clock[kind], 6) for kind in ("train", "validate")}
    return evaluation.with_cost(ledger.visits - visits, seconds)


def _record_trial(record: Recorder, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
    fields = evaluation.to_json()
    fields["trial_visits"] = fields.pop("visits")
    if len(fields["curve"]) > _MOST_POINTS:
        raise AutomlCfError(f"a model gave a curve of {len(fields['curve'])} points, {_MOST_POINTS} being the most.")
    if fields["error"] is not None:
        fields["error"] = fields["error"][:_MOST_LETTERS]
    record("trial", number=number, architecture=architecture.to_json(), id=architecture.id, **fields)


def _record_incumbent(record: Recorder, incumbent: Incumbent, source: str) -> None:
    architecture = incumbent.architecture
    record(
        "incumbent",
        architecture=_bounded(architecture.to_json()),
        id=architecture.id,
        rmse=incumbent.rmse,
        source=source,
    )


def _bounded(architecture: dict[str, Any]) -> dict[str, Any]:
    """The same; raises AutomlCfError if it is no JSON, or too much for a log."""
    try:
        size = len(json.dumps(architecture, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AutomlCfError(f"the searcher's architecture is no JSON: {error}.") from error
    if size > _MOST_BYTES:
        raise AutomlCfError(f"the searcher's architecture has {size} bytes of JSON, {_MOST_BYTES} being the most.")
    return architecture


def _evaluation_of(trial: Event) -> Evaluation:
    keys = ("status", "rmse", "epochs", "best_epoch", "curve", "seconds", "error")
    return Evaluation.from_json({key: trial[key] for key in keys} | {"visits": trial["trial_visits"]})


def synchronize(device: str) -> None:
    """Wait for a GPU's pending work, so that its time is measured where it was caused."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
