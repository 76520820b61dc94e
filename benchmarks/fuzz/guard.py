"""Watches what reading an input does: what it writes, opens, executes, and how much memory and time it takes.

An audit hook cannot be removed, so that it is installed once a process and asks which guard is at work, if any.
"""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 5.0  # of CPU time, after which an input counts as a hang
BASE, FACTOR = 256 << 20, 100
"""The most memory that reading may take beyond what the process has: bytes, and bytes for each byte of the input."""

_ROOM = 4 << 30  # of address space, after which an allocation fails, so that a defect does not take the machine
_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEVER = {
    *("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
    *("subprocess.Popen", "pty.spawn", "ctypes.dlopen", "socket.connect", "socket.bind", "socket.getaddrinfo"),
    *("urllib.Request", "webbrowser.open", "marshal.load", "code.__new__"),
}
_CHANGES = {
    *("os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.chmod"),
    *("os.chown", "os.utime", "shutil.copyfile", "shutil.move", "shutil.rmtree", "shutil.unpack_archive"),
}
_WATCHED = _NEVER | _CHANGES | {"open", "exec", "compile"}
_MAKES_CODE = {"dataclasses", "collections", "jinja2.environment", "jinja2.compiler", "typing", "inspect"}
"""Modules that write code of their own and execute it, none of it a user's."""
_HEADERS = {"numpy.lib._format_impl", "numpy.lib.format"}  # read the literal of an array's header, 10,000 signs at most


class ForbiddenError(BaseException):
    """What no reader may do; no `Exception`, so that no reader takes it for a fault of the input."""


class Guard:
    """Lets a block of code change files within `inside` only, and read none within `secret`."""

    def __init__(self, inside: Path, secret: Path) -> None:
        self._inside, self._secret = os.path.realpath(inside), os.path.realpath(secret)
        self._roots = tuple({os.path.realpath(root) for root in (sys.prefix, sys.base_prefix, _sources())})
        self._busy = False

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Raise ForbiddenError within the block for what is not allowed."""
        global _guard
        _install()
        _guard = self
        try:
            yield
        finally:
            _guard = None

    def check(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        """Raise ForbiddenError for an audited event that is not allowed."""
        if self._busy:
            return
        self._busy = True
        try:
            self._check(event, args, frame)
        finally:
            self._busy = False

    def _check(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if event in _NEVER:
            raise ForbiddenError(f"{event} {args!r:.200}")
        if event == "open":
            path, mode, flags = args
            writes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool((flags or 0) & _WRITES)
            self._check_path(event, path, writes)
        elif event in _CHANGES:
            for path in args[: 2 if event in ("os.rename", "os.link", "shutil.move", "shutil.copyfile") else 1]:
                self._check_path(event, path, True)
        elif event == "exec":
            self._check_code(args[0].co_filename, frame)
        elif event == "compile" and args[0] is not None:
            self._check_code(args[1], frame)

    def _check_path(self, event: str, path: Any, writes: bool) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor, whose opening was checked
        try:
            real = os.path.realpath(os.fsdecode(path))
        except ValueError:
            return  # no path at all: opening it will fail
        if _within(real, self._secret):
            raise ForbiddenError(f"{event} of a file outside, '{real}'")
        if writes and real != os.devnull and not _within(real, self._inside):
            raise ForbiddenError(f"{event} writes outside of its folder, to '{real}'")

    def _check_code(self, file: Any, frame: FrameType) -> None:
        name = os.fsdecode(file) if isinstance(file, str | bytes) else ""
        if any(_within(name, root) for root in self._roots) or name.startswith("<frozen"):
            return  # the import of a module
        modules = [str(caller.f_globals.get("__name__")) for caller in _callers(frame, 4)]
        if modules[0] in _MAKES_CODE or (modules[0] == "ast" and _HEADERS & set(modules)):
            return
        raise ForbiddenError(f"code of '{name:.60}' is compiled or executed by {' < '.join(modules)}")


_guard: Guard | None = None
_installed = False


def _install() -> None:
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _guard is not None and event in _WATCHED:  # asking for a frame is an event, too
        _guard.check(event, args, sys._getframe(1))


@contextmanager
def limited(size: int, seconds: float = SECONDS) -> Iterator[None]:
    """End the process by SIGPROF after `seconds` of CPU time, and let allocations fail that are far out of bounds."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + bound(size) + _ROOM, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def bound(size: int) -> int:
    """How many bytes of memory reading an input of so many bytes may take."""
    return BASE + FACTOR * size


class Memory:
    """The most memory that a block took beyond what the process had before, in bytes."""

    def __init__(self) -> None:
        self._high = 0

    def before(self) -> None:
        """Begin to measure. The high-water mark is lowered only where it is far above what is in use: that is slow."""
        self._resident, self._high = _status("VmRSS"), _status("VmHWM")
        if self._high > self._resident + BASE // 8:
            _REFERENCES.write_text("5")
            self._high = _status("VmHWM")

    def after(self) -> int:
        """The bytes; 0 where the former mark was not exceeded."""
        high = _status("VmHWM")
        return max(0, high - self._resident) if high > self._high else 0


def _status(field: str) -> int:
    text = _STATUS.read_text()
    start = text.index(field) + len(field) + 1
    return int(text[start : text.index("kB", start)]) << 10


def _sources() -> str:
    return str(Path(__file__).resolve().parents[2])


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _callers(frame: FrameType | None, count: int) -> Iterator[FrameType]:
    while frame is not None and count:
        yield frame
        frame, count = frame.f_back, count - 1
