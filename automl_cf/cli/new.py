"""`automl-cf new`: a working file to start from, for whatever can be added, and a test of it.

The templates are the files of `automl_cf/templates`: working code whose name is `my-thing`.
"""

import ast
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from automl_cf.errors import InputError, suggest

_COMPARE = "automl-cf compare --plugin {file} --dataset {dataset} --searchers {searchers} --time-budget 5"


@dataclass(frozen=True)
class _Kind:
    """What can be added: where its names stand, and what to type after it is written."""

    registries: tuple[str, ...]  # module:name
    next: tuple[str, ...]


_KINDS: Mapping[str, _Kind] = {
    "searcher": _Kind(
        ("automl_cf.searchers:searchers",),
        (
            "automl-cf check {name} --plugin {file}",
            _COMPARE.format(file="{file}", dataset="planted", searchers="{name},random"),
        ),
    ),
    "operation": _Kind(
        ("automl_cf.cf.operations:operations",),
        (
            _COMPARE.format(file="{file}", dataset="planted", searchers="single-op,random")
            + " --operations multiply,plus,{name} --engine reference",
        ),
    ),
    "model": _Kind(
        ("automl_cf.cf.models:models", "automl_cf.searchers:searchers"),
        (_COMPARE.format(file="{file}", dataset="planted", searchers="{name},bias-only"),),
    ),
    "dataset": _Kind(
        ("automl_cf.cf.data:datasets",),
        (_COMPARE.format(file="{file}", dataset="{name}", searchers="bias-only,random"),),
    ),
}
_RESERVED = ("all",)  # means every searcher
_LONGEST = 30


def new(
    kind: Annotated[str, typer.Argument(help="searcher, operation, model or dataset.", metavar="KIND")],
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits and dashes, such as my-searcher.")],
) -> None:
    """Write a working file for something of your own, and a test of it, into this folder."""
    if kind not in _KINDS:
        raise InputError(f"KIND is '{kind}', but must be one of {', '.join(_KINDS)}.{suggest(kind, _KINDS)}")
    written = render(kind, name)
    _check_free(kind, name, list(written))
    for file, text in written.items():
        _write(Path(file), text)
    file, test = written
    typer.echo(f"wrote {file} and {test}; change what is marked there, and try it with:\n")
    for line in (f"python -m pytest {test}", *_KINDS[kind].next):
        typer.echo(f"  {line.format(name=name, file=file)}")


def render(kind: str, name: str) -> dict[str, str]:
    """Return the two files for a thing of that kind and name, file name to text, the thing's own first.

    Raises InputError for a name that is none, or that would hide one that the file itself uses.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > _LONGEST:
        raise InputError(
            f"NAME is '{name}', but must be lower-case letters, digits and single dashes between them, begin with a "
            f"letter and have {_LONGEST} characters at most, such as my-{kind}."
        )
    module = name.replace("-", "_")
    replaced = {"my-thing": name, "my_thing": module, "MyThing": "".join(map(str.capitalize, name.split("-")))}
    source, test = (files("automl_cf").joinpath(f"templates/{stem}.py").read_text("utf-8") for stem in _stems(kind))
    if any(map(keyword.iskeyword, (module, replaced["MyThing"]))) or _names(source) & {module, replaced["MyThing"]}:
        raise InputError(f"NAME is '{name}', which the file needs for something else; choose another name.")
    for old, own in replaced.items():
        source, test = source.replace(old, own), test.replace(old, own)
    return {f"{module}.py": source, f"test_{module}.py": test}


def _stems(kind: str) -> tuple[str, str]:
    return kind, f"test_{kind}"


def _names(source: str) -> set[str]:
    """All names that a module uses."""
    nodes = list(ast.walk(ast.parse(source)))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.name for node in nodes if isinstance(node, ast.alias)
    }


def _check_free(kind: str, name: str, written: list[str]) -> None:
    """Raise InputError if the name or a file is taken, or if a file would hide a module from Python."""
    for file in written:
        if Path(file).exists():
            raise InputError(f"'{file}' exists already; choose another name, or move it away.")
    for place in _KINDS[kind].registries:
        module, registry = place.split(":")
        entries = getattr(import_module(module), registry)
        if name in (*entries.names(), *_RESERVED):
            a = "an" if entries.kind[0] in "aeiou" else "a"
            raise InputError(f"NAME is '{name}', but there is {a} {entries.kind} of that name already; choose another.")
    for file in written:
        if find_spec(Path(file).stem) is not None:
            raise InputError(f"'{file}' would hide a Python module of that name; choose another name than '{name}'.")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"'{path}' cannot be written: {error.strerror}.") from error
