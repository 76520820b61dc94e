"""The Ray backend: one Tune trial per cell, actors reused, the driver owning the event log.

An event is durable when it is acknowledged: `tune.report` returns only after the driver's callbacks ran, and ours
writes the event to the store. That takes a few milliseconds, so a thread waits for it while the worker goes on, at most
`_AHEAD` events ahead. Workers need no disk in common with the driver.
"""

import json
import logging
import os
import queue
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from automl_cf.errors import AutomlCfError, InputError

if TYPE_CHECKING:
    from automl_cf.events import Event
    from automl_cf.suite.inline import Job
    from automl_cf.suite.store import Emit
    from automl_cf.suite.study import Resources

# Tune's own loggers and its change of folder cost half of the time to the first report, and nobody reads them.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
# Ctrl-C is ours: Tune would end its own run quietly and let us go on with the next.
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, RunConfig, TuneConfig

_EVENT = "event"  # one JSON string: Tune overwrites keys that it knows, such as `config` and `timestamp`
_FILES = "files"
_AHEAD = 3  # a trial's last event, perhaps an incumbent, the next trial's first

# Tune pickles callbacks; the store cannot be, so a callback names its sink instead of holding it.
_SINKS: "dict[int, Emit]" = {}


class _EventWriter(Callback):
    """Writes every reported event to the store before the worker's `tune.report` returns."""

    def __init__(self, sink: int) -> None:
        self.sink = sink

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if _EVENT in result:
            _SINKS[self.sink](json.loads(result[_EVENT]), result.get(_FILES) or None)


class _Reporter:
    """Reports a worker's events in their order, in a thread of its own."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(maxsize=_AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._report, daemon=True)
        self._thread.start()

    def emit(self, event: "Event", files: dict[str, bytes] | None = None) -> None:
        """Hand an event over; waits while `_AHEAD` others are on their way. Raises what a report raised."""
        self._waiting.put({_EVENT: json.dumps(event, allow_nan=False), _FILES: files or {}})
        self._raise()

    def finish(self) -> None:
        """Wait until all is acknowledged. Raises what a report raised."""
        self._waiting.put(None)
        self._thread.join()
        self._raise()

    def _report(self) -> None:
        while (report := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    tune.report(report)
                except BaseException as error:  # how Tune ends a trial, too: the worker is to learn of it
                    self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def _worker(config: dict[str, Any], jobs: "Sequence[Job]") -> None:
    """What one Tune trial does.

    The heavy imports wait until here: when an actor frees up, Tune drops the ones still starting, so actors that
    start slowly would never come to more than one.
    """
    start = time.perf_counter()
    from automl_cf.suite.inline import run_job

    setup = time.perf_counter() - start

    reporter = _Reporter()
    run_job(jobs[config["job"]], reporter.emit, setup)
    reporter.finish()
    # A trial's last report reaches callbacks by another way; make it one without an event.
    tune.report({"finished": True})


class RayBackend:
    """Starts (or joins) a Ray cluster and runs jobs on it."""

    def __init__(self, resources: "Resources", workers: int) -> None:
        self.resources = resources
        self._own = not ray.is_initialized()
        if self._own:
            settings: dict[str, Any] = {"address": resources.address or "local", "log_to_driver": False}
            if resources.address is None:
                settings |= {"include_dashboard": False, "num_cpus": workers * resources.cpus_per_cell}
            ray.init(**settings, logging_level=logging.ERROR)
        available = ray.cluster_resources().get("GPU", 0.0)  # type: ignore[no-untyped-call]
        if resources.gpus_per_cell > available:
            self.close()
            raise InputError(
                f"resources.gpus_per_cell is {resources.gpus_per_cell:g}, but the machine has {available:g} GPUs; "
                "ask for no more than that, or 0 for the CPU."
            )

    def run(self, jobs: "Sequence[Job]", emit: "Emit") -> None:
        """Run all jobs, as many at once as the resources allow. Errors are left in the missing events."""
        failures: list[AutomlCfError] = []

        def write(event: "Event", files: dict[str, bytes] | None = None) -> None:
            try:
                emit(event, files)
            except AutomlCfError as error:  # Tune would bury it in one of its own
                failures.append(error)
                raise

        sink = id(write)
        _SINKS[sink] = write
        request = {"cpu": self.resources.cpus_per_cell, "gpu": self.resources.gpus_per_cell}
        worker = tune.with_resources(tune.with_parameters(_worker, jobs=list(jobs)), request)
        try:
            with tempfile.TemporaryDirectory(prefix="automl-cf-tune-") as scratch:
                tune.Tuner(
                    worker,
                    param_space={"job": tune.grid_search(list(range(len(jobs))))},
                    tune_config=TuneConfig(reuse_actors=True),
                    run_config=RunConfig(
                        name="cells",
                        storage_path=scratch,
                        verbose=0,
                        callbacks=[_EventWriter(sink)],
                        checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
                    ),
                ).fit()
        except tune.TuneError as error:
            raise failures[0] if failures else AutomlCfError(f"Ray Tune stopped: {error}") from error
        finally:
            del _SINKS[sink]

    def close(self) -> None:
        """Stop the cluster if it was started here."""
        if self._own:
            ray.shutdown()
