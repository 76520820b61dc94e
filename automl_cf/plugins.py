"""Plug-ins: Python files whose searchers, operations, models and data sets can be named as ours can.

A plug-in is one file that is executed as a module of its own; what it registers stays registered. It is code of the
user's and may do what that may: it is not confined. What needs several files is better packaged, and found through the
entry points that `automl_cf.registry` reads.
"""

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import ExecutionLoader
from importlib.util import decode_source, module_from_spec, spec_from_loader
from pathlib import Path
from traceback import walk_tb

from automl_cf.errors import AutomlCfError, InputError
from automl_cf.reading import expanded
from automl_cf.registry import PLUGIN_PREFIX, definition

_executed: "dict[str, Plugin]" = {}  # by the name of the module; what this process has now


@dataclass(frozen=True)
class Plugin:
    """A plug-in's source: what is executed here, kept beside a run and shipped to workers.

    `path` is where it was read; it need not exist on the machine of a worker.
    """

    path: str
    content: bytes

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return Path(self.path).name

    @property
    def module(self) -> str:
        """The module's name: that of the file, hence the same in every process and after an edit."""
        return module_name(self.path)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    def execute(self) -> None:
        """Execute it, unless this process has executed the same content; an edited file replaces what it registered.

        Raises InputError, naming the file and the line, for whatever goes wrong in it.
        """
        former = _executed.get(self.module)
        if former is not None and former.content == self.content:
            return
        spec = spec_from_loader(self.module, _Loader(self))
        assert spec is not None
        assert spec.loader is not None
        module, before = module_from_spec(spec), sys.modules.get(self.module)
        sys.modules[self.module] = module  # where dataclasses and pickle look for it
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            _executed.pop(self.module, None)  # what it had registered by then stands: next time it is executed again
            del sys.modules[self.module]
            if before is not None:
                sys.modules[self.module] = before
            raise InputError(self._sentence(error)) from error
        _executed[self.module] = self

    def _sentence(self, error: BaseException) -> str:
        """What went wrong, and where in the file, in one line."""
        if isinstance(error, SyntaxError) and error.filename == self.path:
            line, what = error.lineno, f"{type(error).__name__}: {error.msg}"
        else:
            frames = list(walk_tb(error.__traceback__))
            line = next((n for frame, n in reversed(frames) if frame.f_code.co_filename == self.path), None)
            what = str(error) if isinstance(error, AutomlCfError) else f"{type(error).__name__}: {error}"
        where = f"plug-in '{self.path}'" + ("" if line is None else f", line {line}")
        return f"{where}: {' '.join(what.split()).rstrip('.:')}."


class _Loader(ExecutionLoader):
    """Gives the import system a source that need not be on the disk; tracebacks show its lines all the same."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin

    def get_filename(self, fullname: str) -> str:
        return self.plugin.path

    def get_source(self, fullname: str) -> str:
        return decode_source(self.plugin.content)


def module_name(path: str | Path) -> str:
    """The name of the module that the plug-in at `path` is executed as."""
    return PLUGIN_PREFIX + re.sub(r"\W", "_", Path(path).stem)


def read(path: str | Path, sha256: str | None = None) -> Plugin:
    """Read a plug-in, without executing it.

    Raises InputError for what is no readable Python file, and for one that has another SHA-256 than is given.
    """
    file = expanded(str(path))
    if file.suffix != ".py":
        raise InputError(f"plug-in '{path}' must be a Python file, whose name ends in .py.")
    try:
        plugin = Plugin(str(file.absolute()), file.read_bytes())
    except (OSError, ValueError) as error:  # a path may hold what no path can
        raise InputError(f"plug-in '{path}' cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if sha256 is not None and plugin.sha256 != sha256:
        raise InputError(
            f"plug-in '{path}' has changed: its SHA-256 begins with {plugin.sha256[:12]}, but must with "
            f"{sha256[:12]}; put the former file back, or start a new run."
        )
    return plugin


def load(paths: Sequence[str | Path]) -> None:
    """Execute the plug-ins at `paths`, in that order, each once as long as it is not edited.

    Raises InputError, naming the file and the line, if one cannot be read or raises anything.
    """
    for path in paths:
        read(path).execute()


def loaded() -> tuple[str, ...]:
    """The absolute paths of the plug-ins that this process has executed, in that order."""
    return tuple(plugin.path for plugin in _executed.values())


def origin(entry: object) -> str:
    """Where an entry of a registry comes from: a plug-in's file, a package, or "" if it is one of ours."""
    module = next((module for module, _ in definition(entry) if module), "")
    if module in _executed:
        return _executed[module].name
    package = module.partition(".")[0]
    return "" if package == "automl_cf" else package
