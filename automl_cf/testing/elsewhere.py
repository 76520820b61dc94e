"""The same search in another process, where strings hash differently and nothing global is as it is here."""

import json
import os
import sys
import tempfile
from itertools import islice
from subprocess import PIPE, Popen
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from automl_cf import plugins
from automl_cf.errors import AutomlCfError
from automl_cf.testing.report import in_words

if TYPE_CHECKING:
    from automl_cf.testing.subject import Step, Subject

_PROGRAM = "from automl_cf.testing.elsewhere import serve; serve()"


class AnotherProcess:
    """A Python process that follows searchers on request; a context manager.

    It is started at once, so that it imports what it needs while this process goes on, and again if a searcher ended
    it. It may serve any number of searchers, one after the other.
    """

    def __init__(self) -> None:
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def trace(self, subject: "Subject", length: int) -> "list[Step]":
        """As many first steps of `subject`'s trajectory, there. Raises AutomlCfError, saying what went wrong there."""
        if self._process.poll() is not None:
            self.close()
            self._start()
        self._errors.seek(0)  # the position is that process's, too: what it writes is about this request
        self._errors.truncate()
        request = {**_origin(subject.kind), "name": subject.name, "options": dict(subject.options), "length": length}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            raise AutomlCfError(f"the other process ended: {self._last_words()}")
        reply: dict[str, Any] = json.loads(answer)
        if "error" in reply:
            raise AutomlCfError(f"in another process it raised {reply['error']}")
        steps: list[Step] = reply["trace"]
        return steps

    def _start(self) -> None:
        other_hashes = "8" if os.environ.get("PYTHONHASHSEED") == "7" else "7"
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - until `close`
        self._process = Popen(
            [sys.executable, "-c", _PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": other_hashes},
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f"exit status {status}" + (f", after: {lines[-1]}" if lines else "")


def serve() -> None:
    """Answer requests, a line of JSON each, until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not come between
    import automl_cf.testing.subject  # noqa: F401 # takes seconds: while the other process is busy

    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply: dict[str, Any] = {"trace": _trace(request)}
        except (Exception, SystemExit) as error:  # a searcher may raise anything
            reply = {"error": in_words(error, request["module"])}
        print(json.dumps(reply), file=replies, flush=True)


def _origin(kind: type) -> dict[str, Any]:
    """Where another process finds the searcher's class."""
    return {
        "path": sys.path,
        "plugins": list(plugins.loaded()),
        "module": kind.__module__,
        "qualname": kind.__qualname__,
    }


def _trace(request: dict[str, Any]) -> "list[Step]":
    from automl_cf.testing.subject import Subject, global_randomness

    _import(request)
    with global_randomness():
        return list(islice(Subject(request["name"], request["options"], None).trajectory(), request["length"]))


def _import(request: dict[str, Any]) -> None:
    """Have the registry know the searcher: a plug-in's, or one that a test or a script registered."""
    from importlib import import_module

    from automl_cf.searchers import searchers

    sys.path[:] = request["path"]
    plugins.load(request["plugins"])
    if request["name"] not in searchers.names():
        if request["module"] == "__main__":
            raise AutomlCfError("its class is defined in __main__, which no other process can import: put it in a file")
        entry: Any = import_module(request["module"])
        for part in request["qualname"].split("."):
            entry = getattr(entry, part)
        if request["name"] not in searchers.names():  # the module may register it
            searchers.register(request["name"])(entry)
