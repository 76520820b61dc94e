"""Names for what can be exchanged: searchers, operations, models and data sets.

A registry knows three kinds of entries: built-ins, one per module of a package; what a program or a plug-in
file registered; and what installed packages offer as entry points. It loads an entry when it is asked for.
"""

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Generic, TypeVar, cast

from automl_cf.errors import AutomlCfError, InputError, suggest

PLUGIN_PREFIX = "automl_cf_plugin_"
"""What the names of modules made of plug-in files begin with."""

T = TypeVar("T")
E = TypeVar("E")


class Registry(Generic[T]):
    """Entries of type ``T`` by name.

    ``kind`` is what one entry is called in messages, such as ``"searcher"``. ``package`` holds the built-ins:
    its module ``sif_robust`` defines the entry ``sif-robust``; a module that starts with ``_`` defines none.
    ``group`` is the entry-point group through which other packages add theirs.
    """

    def __init__(self, kind: str, package: str | None, group: str) -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._registered: dict[str, T] = {}
        self._modules: dict[str, object] = {}  # by name, the execution of a module that registered it

    def register(self, name: str) -> Callable[[E], E]:
        """Return a decorator that makes its argument the entry ``name``, and returns it unchanged.

        Raises ``InputError`` if the name belongs to something else, be it a built-in that is not loaded yet.
        The same definition may come again, as it does when its module is reloaded: the later one stays.
        """

        def decorate(entry: E) -> E:
            module = next((sys.modules.get(name) for name, _ in definition(entry) if name), None)
            again = self._modules.get(name) is not module  # an edited plug-in is another execution of its file
            taken = name in self._registered and not _same_definition(self._registered[name], entry, again)
            home = self._built_ins().get(name)
            # While a built-in registers itself its module is being imported, so it stands in sys.modules.
            if taken or (home is not None and home not in sys.modules):
                raise InputError(f"The {self.kind} name '{name}' is already taken; choose another one.")
            self._registered[name], self._modules[name] = cast(T, entry), module
            return entry

        return decorate

    def get(self, name: str) -> T:
        """Return the entry ``name``, importing the module that defines it if need be.

        Raises ``InputError`` for an unknown or ambiguous name, ``AutomlCfError`` if the entry does not load.
        """
        if name not in self._registered:
            if module := self._built_ins().get(name):
                self._load_built_in(name, module)
            else:
                self.register(name)(self._load_entry_point(name))
        return self._registered[name]

    def names(self) -> list[str]:
        """Return all names, sorted; no entry is imported for it."""
        offered = (point.name for point in entry_points(group=self.group))
        return sorted({*self._registered, *self._built_ins(), *offered})

    def _built_ins(self) -> dict[str, str]:
        """Map the built-ins' names to their modules by looking at the package's folder only."""
        spec = find_spec(self.package) if self.package else None
        if spec is None:
            return {}
        modules = [module.name for module in iter_modules(spec.submodule_search_locations)]
        return {m.replace("_", "-"): f"{spec.name}.{m}" for m in modules if not m.startswith("_")}

    def _load_built_in(self, name: str, module: str) -> None:
        import_module(module)
        if name not in self._registered:
            raise AutomlCfError(f"The module {module} registers no {self.kind} named '{name}'.")

    def _load_entry_point(self, name: str) -> object:
        points = tuple(entry_points(group=self.group, name=name))
        if not points:
            known = self.names()
            listing = ", ".join(known) or "none"
            raise InputError(f"Unknown {self.kind} '{name}'.{suggest(name, known)} Known: {listing}.")
        offers = ", ".join(f"{point.dist.name} ({point.value})" for point in points if point.dist)
        if len(points) > 1:
            raise InputError(f"Several packages offer the {self.kind} '{name}': {offers}; keep only one.")
        try:
            return cast(object, points[0].load())
        except Exception as error:
            raise AutomlCfError(f"The {self.kind} '{name}' of {offers} cannot be loaded: {error}") from error


def definition(entry: object) -> list[tuple[str | None, str | None]]:
    """Return the module and the qualified name of a class or function, or of each function that a record is made of.

    A record is a dataclass's instance, such as an operation.
    """
    parts: list[object] = [entry]
    if is_dataclass(entry) and not isinstance(entry, type):
        parts = [part for field in fields(entry) if callable(part := getattr(entry, field.name))]
    return [(getattr(part, "__module__", None), getattr(part, "__qualname__", None)) for part in parts]


def _same_definition(old: object, new: object, executed_again: bool) -> bool:
    """Tell whether both are one object, or made of the same classes and functions before and after a reload.

    Of a plug-in that was edited and `executed_again`, which may have given its class another name, both are of the
    same file.
    """
    before, after = definition(old), definition(new)
    files = {module for module, _ in (*before, *after)}
    edited = executed_again and len(files) == 1 and str(*files).startswith(PLUGIN_PREFIX)
    known = bool(before) and all(None not in part for part in before)
    return old is new or edited or (known and before == after)
