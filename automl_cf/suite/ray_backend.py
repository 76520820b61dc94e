"""The Ray backend: runs jobs by a driver process (`automl_cf.suite.ray_driver`), which is all that knows Ray.

Ray ends a driver's process, without a word, some time after the raylet beside it or the cluster's head has died. So the
driver is not the process that owns the run: when it dies, what it ran is missing and nothing else, and the next round
has a new one, with a new cluster if the cluster was its own.
"""

import pickle
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from automl_cf.errors import AutomlCfError, InputError
from automl_cf.suite.companion import Companion
from automl_cf.suite.isolation import Order, orders
from automl_cf.suite.shipping import code_fingerprint

if TYPE_CHECKING:
    from automl_cf.suite.inline import Job
    from automl_cf.suite.store import Emit
    from automl_cf.suite.study import Resources

_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 120.0  # for the driver to be a part of a cluster that answers
_START_SECONDS = 600.0  # for a cluster of its own on a busy machine, and for looking at nodes that start processes
_CLOSE_SECONDS = 20.0
_STARTS = 3  # of a cluster of its own, of which on a busy machine one or another part is late


class RayBackend:
    """Runs jobs on a Ray cluster: one on this machine for the time of the run, or one that is there, by its address.

    Raises InputError if the cluster cannot be joined, or can never run a cell.
    """

    def __init__(self, resources: "Resources", workers: int) -> None:
        self.resources = resources.model_copy(update={"address": cluster_to_join(resources)})
        self.workers = workers
        self._driver: _Driver | None = self._started()

    def run(self, jobs: "Sequence[Job]", emit: "Emit") -> None:
        """Run all jobs, as many at once as the resources allow. Errors are left in the missing events.

        Raises AutomlCfError if the cluster that was joined is gone, or a node cannot be trusted with cells.
        """
        if not jobs:
            return
        driver = self._driver or self._next_driver()
        self._driver = None
        try:
            driver.run(orders(jobs), jobs[0].study.isolated, emit)
        except _DriverDiedError:
            driver.kill()
        except BaseException:
            driver.kill()
            raise
        else:
            self._driver = driver

    def close(self) -> None:
        """End the driver, and the cluster if it is its own."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _started(self) -> "_Driver":
        """A driver that can run cells. One that ends before it can is tried again, but on a cluster that is there."""
        for _ in range(_STARTS - 1 if self.resources.address is None else 0):
            with suppress(_NotStartedError):
                return _Driver(self.resources, self.workers)
        return _Driver(self.resources, self.workers)

    def _next_driver(self) -> "_Driver":
        try:
            return self._started()
        except AutomlCfError as error:
            raise AutomlCfError(
                f"Ray was lost in the middle of the run, and is not there again: {error} What was finished is kept: go "
                "on with 'automl-cf resume' and the run's folder, with --address for another cluster."
            ) from error


class _NotStartedError(AutomlCfError):
    """The driver's process has ended before it could run anything."""


class _DriverDiedError(Exception):
    """The driver's process has ended, by itself or by Ray."""


class _Driver:
    """A driver's process."""

    def __init__(self, resources: "Resources", workers: int) -> None:
        _check_listens(resources.address)
        self.resources = resources
        # Ray has workers import from the driver's folder first, whatever is in it.
        self._scratch = tempfile.TemporaryDirectory(prefix="automl-cf-tune-", ignore_cleanup_errors=True)
        self._process = Companion("automl_cf.suite.ray_driver", folder=self._scratch.name)
        self._channel = self._process.channel
        try:
            self._begin(workers)
        except BaseException:
            self.kill()
            raise

    def run(self, orders: Sequence[Order], isolated: bool, emit: "Emit") -> None:
        """Have the orders run, and pass on every event; raises what `emit` raises, or _DriverDiedError."""
        try:
            self._channel.send_bytes(pickle.dumps((orders, isolated)))
            while (message := self._channel.recv()) is not None:
                if isinstance(message, AutomlCfError):
                    raise message
                emit(*message)
                self._channel.send(None)
        except (EOFError, ConnectionError) as error:
            raise _DriverDiedError from error

    def close(self) -> None:
        """Let it end, and with it a cluster of its own."""
        self._process.end(_CLOSE_SECONDS)
        self._scratch.cleanup()

    def kill(self) -> None:
        """End it and whatever it started at once."""
        self._process.end(0)
        self._scratch.cleanup()

    def _begin(self, workers: int) -> None:
        """Wait until it can run cells. Raises InputError if it cannot."""
        address = self.resources.address
        self._channel.send((self.resources.model_dump(), workers, code_fingerprint()))
        try:
            self._expect(
                _START_SECONDS if address is None else _JOIN_SECONDS,
                f"resources.address is '{address}', but no Ray cluster that this machine is a node of answered there "
                f"within {_JOIN_SECONDS:g} s; join it by 'ray start --address=...' first.",
            )
            self._expect(
                _START_SECONDS + self.resources.wait_for_nodes_s,
                "the nodes of the Ray cluster did not say what they run; see 'ray status'.",
            )
        except (EOFError, ConnectionError) as error:
            raise _NotStartedError(
                f"Ray did not start: {self._last_words().rstrip('.')}. Go on with 'automl-cf resume' and the run's "
                "folder; 'automl-cf doctor' says what may be amiss, and backend = \"inline\" does without Ray."
            ) from error

    def _expect(self, seconds: float, otherwise: str) -> None:
        if not self._channel.poll(seconds):
            raise InputError(otherwise)
        message = self._channel.recv()
        if isinstance(message, AutomlCfError):
            raise message

    def _last_words(self) -> str:
        status = self._process.end(_CLOSE_SECONDS)
        lines = self._process.said().strip().splitlines()
        return lines[-1][:500] if lines else f"its process ended with status {status}."


def cluster_to_join(resources: "Resources") -> str | None:
    """The address of the cluster that is named, or that this process is in already; None if one is to be started."""
    if resources.address is not None:
        return resources.address
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return str(ray.get_runtime_context().gcs_address)


def _check_listens(address: str | None) -> None:
    """Raise InputError if nothing listens there: Ray itself would try for minutes."""
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"resources.address is '{address}', but nothing answers there ({reason}); give the host:port that "
            "'ray start --head' printed, or leave it out for this machine alone."
        ) from error
