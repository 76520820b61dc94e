"""The process that drives Ray Tune: one trial per cell, actors reused.

It receives rounds of orders, and sends their events to the process that owns the run (`automl_cf.suite.ray_backend`).
An event is durable when it is acknowledged: `tune.report` returns only after the driver's callbacks ran, and ours waits
until the event is in the store. That takes a few milliseconds, so a thread waits for it while the worker goes on, at
most `_AHEAD` events ahead. Workers need no disk in common with the driver.
"""

import json
import os
import pickle
import queue
import threading
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from automl_cf.errors import AutomlCfError
from automl_cf.suite.companion import channel_of_parent, threads
from automl_cf.suite.isolation import Order, Supervisor

if TYPE_CHECKING:
    from automl_cf.events import Event
    from automl_cf.suite.study import Resources

# Tune's own loggers and its change of folder cost half of the time to the first report, and nobody reads them.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray's workers give way to everything else on the machine, unless told otherwise; here their seconds are measured.
os.environ.setdefault("RAY_worker_niceness", "0")

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, RunConfig, TuneConfig

from automl_cf.suite import cluster
from automl_cf.suite.shipping import Software

_EVENT = "event"  # one JSON string: Tune overwrites keys that it knows, such as `config` and `timestamp`
_FILES = "files"
_REFUSED = "refused"
_AHEAD = 3  # a trial's last event, perhaps an incumbent, the next trial's first

# Tune pickles callbacks; the channel cannot be, so it stands here.
_CHANNELS: "list[Connection[Any, Any]]" = []


class _RefusedError(Exception):
    """A worker is not what the driver takes for granted."""


class _EventWriter(Callback):
    """Has every reported event in the store before the worker's `tune.report` returns."""

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        (channel,) = _CHANNELS
        if _EVENT in result:
            channel.send((json.loads(result[_EVENT]), result.get(_FILES) or None))
            channel.recv()
        if _REFUSED in result:
            channel.send(AutomlCfError(result[_REFUSED]))
            raise _RefusedError


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


@cache
def _supervisor() -> Supervisor:
    """The supervisor of this worker, whose child process serves one cell after the other."""
    return Supervisor()


def _worker(config: dict[str, Any], orders: Sequence[Order], isolated: bool, software: Software | None) -> None:
    """What one Tune trial does; `software` is what the worker must have.

    The heavy imports wait until here: when an actor frees up, Tune drops the ones still starting, so actors that
    start slowly would never come to more than one.
    """
    if software is not None and (problem := software.differs_here()):
        tune.report({_REFUSED: problem})
        return
    order = orders[config["order"]]
    reporter = _Reporter()
    if isolated:
        _supervisor().run(order, reporter.emit)
    else:
        start = time.perf_counter()
        from automl_cf.suite.inline import run_job

        run_job(order.unpack(), reporter.emit, time.perf_counter() - start)
    reporter.finish()
    # A trial's last report reaches callbacks by another way; make it one without an event.
    tune.report({"finished": True})


def main() -> None:
    """Run rounds of orders until the channel closes, as a companion in an empty folder."""
    channel = channel_of_parent()
    _CHANNELS.append(channel)
    values, workers, code = channel.recv()
    resources = cast("Resources", SimpleNamespace(**values))  # the class brings torch, which is not needed here
    environment = threads(resources.cpus_per_cell)
    os.environ.update(environment)  # which a cluster of our own inherits
    software = Software.of_this_process(code) if resources.address else None
    try:
        cluster.start_or_join(resources, workers, environment)
        channel.send(None)
        cluster.check_requests(resources)
        if software:
            cluster.check_software(software)
        channel.send(None)
        while True:
            orders, isolated = pickle.loads(channel.recv_bytes())
            if software:
                cluster.check_software(software)
            _run_round(resources, orders, isolated, software)
            channel.send(None)
    except AutomlCfError as error:
        channel.send(error)
    except (EOFError, _RefusedError):
        pass
    finally:
        ray.shutdown()


def _run_round(resources: "Resources", orders: Sequence[Order], isolated: bool, software: Software | None) -> None:
    """One Tune run, which keeps its notes in this process's folder. What fails in it is left in the missing events."""
    worker = tune.with_parameters(_worker, orders=orders, isolated=isolated, software=software)
    most = resources.workers if resources.address else 0  # a cluster of our own has no more room than that
    try:
        tune.Tuner(
            tune.with_resources(worker, cluster.request(resources)),
            param_space={"order": tune.grid_search(list(range(len(orders))))},
            tune_config=TuneConfig(reuse_actors=True, max_concurrent_trials=most or None),
            run_config=RunConfig(
                name=f"cells-{time.time_ns()}",
                storage_path=os.getcwd(),
                verbose=0,
                callbacks=[_EventWriter()],
                checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    except tune.TuneError as error:
        if isinstance(error.__cause__ or error.__context__, _RefusedError):
            raise _RefusedError from error
        raise AutomlCfError(f"Ray Tune stopped: {error}") from error
