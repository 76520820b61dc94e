"""Isolation: a cell's job in a process of its own, under the eyes of a supervisor.

A candidate or a searcher that hangs, allocates without end or crashes ends that process. The supervisor records it as a
`process_died` event with the stack of its threads, and the cell goes on from its log (`automl_cf.suite.deaths`).
"""

import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from automl_cf.errors import AutomlCfError
from automl_cf.events import CLOCK_KINDS, SCHEMA, Event
from automl_cf.suite.child import DUMP_SIGNAL
from automl_cf.suite.companion import Companion, threads
from automl_cf.suite.deaths import Death

if TYPE_CHECKING:
    from automl_cf.suite.inline import Job
    from automl_cf.suite.store import Emit

_LOOK = 0.1  # seconds between two looks at a silent process
_SETUP_SECONDS = 600.0  # more time for the first words: imports, data, compiling
_LAST_SECONDS = 0.5  # for a process to say how it ends, or for the stack of one that hangs
_SHARE = 0.8  # of the machine's memory for all workers


@dataclass(frozen=True)
class Order:
    """A job as a supervisor gets it: packed, so that the supervisor's process need not import what it is made of.

    `part` is the job's field that `data` belong to, which are one object for all jobs that share them.
    """

    cell: str
    attempt: int
    job: bytes
    part: str
    data: bytes
    plugins: bool
    cpus: int
    workers: int | None
    trial_seconds: float
    memory_gb: float | None
    trainings: int
    architectures: tuple[str, ...]

    def unpack(self) -> "Job":
        """The job again."""
        job: Job = pickle.loads(self.job)
        return replace(job, **{self.part: pickle.loads(self.data)})


def orders(jobs: "Iterable[Job]") -> "list[Order]":
    """The jobs packed; what several have in common, only once."""
    packed: dict[int, bytes] = {}
    return [_order(job, packed) for job in jobs]


def _order(job: "Job", packed: dict[int, bytes]) -> Order:
    study, waiting = job.study, getattr(job, "architectures", None)
    part = "data" if waiting is None else "split"
    data = getattr(job, part)
    if id(data) not in packed:
        packed[id(data)] = pickle.dumps(data)
    return Order(
        job.cell.id,
        job.attempt,
        pickle.dumps(replace(job, **{part: None})),  # type: ignore[arg-type]
        part,
        packed[id(data)],
        bool(job.plugins),
        study.resources.cpus_per_cell,
        1 if study.resources.backend == "inline" else study.resources.workers or None,
        study.limits.trial_seconds,
        study.limits.memory_gb,
        1 if waiting is None else max(1, len(study.training.l2_grid)),
        tuple(architecture.id for architecture in waiting or ()),
    )


class Supervisor:
    """Runs jobs in a child process, one at a time; the process is kept for the next job unless something happened.

    With plug-ins each job has a fresh process: what a plug-in left behind is nobody else's concern.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None

    def run(self, order: Order, emit: "Emit") -> None:
        """Run a job, emitting its events; a death of its process is one of them, and no error.

        Raises what `emit` raises, after ending the process.
        """
        if self._child is None:
            self._child = _Child(order.cpus)
        try:
            whole = _Watch(order, self._child, emit).run()
        except BaseException:
            self.close()
            raise
        if not whole or order.plugins:
            self.close()

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end(_LAST_SECONDS)
            self._child = None


class _Child(Companion):
    """A process of `automl_cf.suite.child`."""

    def __init__(self, cpus: int) -> None:
        super().__init__("automl_cf.suite.child", threads(cpus))

    def memory(self) -> int:
        """Bytes of resident memory of the process and its own processes."""
        try:
            process = psutil.Process(self.process.pid)
            return sum(_resident(one) for one in (process, *process.children(recursive=True)))
        except psutil.Error:
            return 0

    def dump(self) -> None:
        """Have it print the stack of its threads."""
        self.process.send_signal(DUMP_SIGNAL)
        time.sleep(_LAST_SECONDS)

    def last_words(self) -> str:
        """The end of what it printed, less a list of modules that follows the stack of a crash."""
        return self.said().partition("\nExtension modules:")[0]


class _TroubleError(Exception):
    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Watch:
    """One job in a child process, from its first event to its last or the process's death."""

    def __init__(self, order: Order, child: _Child, emit: "Emit") -> None:
        self.order = order
        self.child = child
        self.emit = emit
        self.under_way = _UnderWay(order)
        self.last: Event | None = None
        self.events = 0
        self.since = self.looked = time.monotonic()
        self.memory_limit = _memory_limit(order)

    def run(self) -> bool:
        """Whether the job came to its end in a process that is as good as new."""
        try:
            self.child.channel.send(self.order)
        except ConnectionError:
            return self._end("crashed", "")
        while True:
            try:
                message = self._receive()
            except (EOFError, ConnectionError):
                return self._end("crashed", "")
            except _TroubleError as trouble:
                return self._end(trouble.status, str(trouble))
            if message is None:
                return self.child.memory() < self.memory_limit / 2
            refusal = self._pass_on(*message)
            self.since = time.monotonic()
            with suppress(ConnectionError):  # which the next look will find
                self.child.channel.send(refusal)

    def _receive(self) -> Any:
        """The next message; raises _TroubleError if the process takes too long or too much before it comes."""
        while True:
            ready = self.child.channel.poll(_LOOK)
            self._look()
            if ready:
                return self.child.channel.recv()

    def _pass_on(self, event: Event, files: dict[str, bytes] | None) -> str | None:
        """Make an event durable; return what is wrong with it, if it is no JSON."""
        try:
            self.emit(event, files)
        except AutomlCfError:
            raise
        except (TypeError, ValueError) as error:
            return f"{event.get('kind')}: {error}"
        self.under_way.follow(event)
        self.last = event
        self.events += 1
        return None

    def _look(self) -> None:
        now = time.monotonic()
        if now - self.looked < _LOOK:
            return
        self.looked = now
        allowed = self.order.trial_seconds * self.order.trainings
        # Its first event comes before, the second after the data are prepared and everything compiled.
        if now - self.since > allowed + (_SETUP_SECONDS if self.events < 2 else 0):
            raise _TroubleError("timeout", f"nothing came of it for {allowed:g} s")
        used, limit = (bytes / 2**30 for bytes in (self.child.memory(), self.memory_limit))
        if used > limit:
            raise _TroubleError(
                "out-of-memory", f"its process held {used:.2f} GB of memory, {limit:.2f} GB being allowed"
            )

    def _end(self, status: str, error: str) -> bool:
        seconds = time.monotonic() - self.since
        if status != "crashed":
            self.child.dump()
            self.child.end(0)
        else:
            error = _how(self.child.end(_LAST_SECONDS))
        number, id = self.under_way.number, self.under_way.id
        what = "the search" if id is None else f"trial {number}" if number is not None else "the retraining"
        death = Death(number, id, status, f"{status} in {what}: {error}", self.child.last_words(), round(seconds, 6))
        self.emit(_stamped(self.order, self.last, death))
        return False


class _UnderWay:
    """What a job is at: a trial's number and its architecture's id, the latter alone in scoring, or neither."""

    def __init__(self, order: Order) -> None:
        self._waiting = deque(order.architectures)
        self.number: int | None = None
        self.id: str | None = self._waiting[0] if self._waiting else None

    def follow(self, event: Event) -> None:
        """Take in the next event."""
        match event["kind"]:
            case "trial_started":
                self.number, self.id = event["number"], event["id"]
            case "trial":
                self.number = self.id = None
            case "score":
                self._waiting.popleft()
                self.id = self._waiting[0] if self._waiting else None


def _stamped(order: Order, last: Event | None, death: Death) -> Event:
    """The event of a death; its clock is that of the last event, as nothing is known since."""
    stamp = {"n": 1, "clock": dict.fromkeys(CLOCK_KINDS, 0.0), "visits": 0}
    if last is not None:
        stamp = {"n": last["n"] + 1, "clock": last["clock"], "visits": last["visits"]}
    common = {"schema": SCHEMA, "kind": "process_died", "cell": order.cell, "attempt": order.attempt}
    return {**common, **stamp, "time": time.time(), **death.fields()}


def _how(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    name = signal.Signals(-status).name if -status in signal.Signals._value2member_map_ else f"signal {-status}"
    return f"its process was killed by {name}"


def _memory_limit(order: Order) -> float:
    """Bytes that the order's process may hold, by default its share of this machine."""
    if order.memory_gb is not None:
        return order.memory_gb * 2**30
    most = max(1, (os.cpu_count() or 1) // order.cpus)
    return _SHARE * _machine_memory() / min(most, order.workers or most)


def _machine_memory() -> int:
    """Bytes of memory that this machine, or this container, has."""
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such group, or "max"
        return total


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended
        return 0
