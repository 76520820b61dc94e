"""Companion processes: what must not die with this process, or take it along, runs in one of them, and ends with it."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
_TAIL = 16_384  # bytes that are kept of what a process printed last
_LAST_SECONDS = 0.5  # for the last words of a process that has ended


class Companion:
    """A process of `module`'s `main`, in a session of its own: a terminal's signals are not for it.

    `channel` is the one end of a pipe of objects whose other end is the process's (`channel_of_parent`).
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None, folder: str | None = None) -> None:
        self.channel, theirs = Pipe()
        life, self._lifeline = os.pipe()
        inherited = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(
            # -P: the modules beside which the user happens to be are not ours. Not -m: what is defined in a `__main__`
            # cannot be found by others.
            [sys.executable, "-P", "-c", f"from {module} import main; main()", str(theirs.fileno()), str(life)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs.fileno(), life),
            env=inherited | dict(environment or {}),
            cwd=folder,
            start_new_session=True,
        )
        theirs.close()
        os.close(life)
        self._status: int | None = None
        self._tail: deque[bytes] = deque(maxlen=2)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self, seconds: float) -> int:
        """Close the channel, and after so many seconds end the process, and at once whatever it started.

        Returns its exit status, negative for a signal.
        """
        if self._status is None:
            self.channel.close()
            with suppress(subprocess.TimeoutExpired):
                self._status = self.process.wait(seconds)
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            if self._status is None:
                self._status = self.process.wait()
            os.close(self._lifeline)
            self._reader.join(_LAST_SECONDS)
        return self._status

    def said(self) -> str:
        """The end of what it printed."""
        return b"".join(self._tail)[-_TAIL:].decode(errors="replace")

    def _read(self) -> None:
        assert self.process.stdout is not None
        while block := os.read(self.process.stdout.fileno(), _TAIL):
            # Short blocks are put together, so that two of them hold the whole tail.
            last = self._tail.pop() if self._tail and len(self._tail[-1]) < _TAIL else b""
            self._tail.append(last + block)
        self.process.stdout.close()


def threads(cpus: int) -> dict[str, str]:
    """Environment variables that keep libraries from using more threads than there are CPUs for them."""
    return dict.fromkeys(_THREADS, str(cpus))


def channel_of_parent() -> "Connection[Any, Any]":
    """The channel to the process that started this one as a companion, with which this one ends from now on.

    The system is to send SIGIO when the parent's end of a pipe closes, whose default is to end the process at once,
    even in the middle of compiled code that holds Python's lock; a thread that waits for that could not.
    """
    channel, lifeline = Connection(int(sys.argv[1])), int(sys.argv[2])
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    else:
        threading.Thread(target=lambda: (os.read(lifeline, 1), os._exit(1)), daemon=True).start()
    return channel
