"""`automl-cf check`: does a searcher keep the contract?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from automl_cf.cli.terminal import output
from automl_cf.errors import AutomlCfError, InputError


def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Searchers (see: automl-cf list searchers).", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All searchers that can be made here.")] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", help="A Python file with searchers; may be repeated.", metavar="FILE"),
    ] = None,
) -> None:
    """Try searchers on the shipped contract tests: each line says what was passed, or what is wrong and why.

    A searcher takes some seconds. The exit status is 1 if any check failed.
    """
    from automl_cf import plugins
    from automl_cf.searchers import searchers
    from automl_cf.testing import AnotherProcess, checks_of

    if bool(names) == every:
        raise InputError("check needs the names of searchers, or --all for every one.")
    plugins.load(plugin or ())
    console, failed, left_out = output(), [], []
    with AnotherProcess() as elsewhere:
        for name in names or searchers.names():
            console.print(Text(name, "bold"))
            try:
                for result in checks_of(name, elsewhere=elsewhere):
                    mark = Text("passed", "green") if result.passed else Text("failed", "red")
                    console.print(Text.assemble("  ", mark, f"  {result.name}: {result.explanation}"), soft_wrap=True)
                    if not result.passed and name not in failed:
                        failed.append(name)
            except AutomlCfError as error:
                if not every:
                    raise
                left_out.append(name)
                console.print(Text(f"  left out: {error}", "yellow"), soft_wrap=True)
    tried = len(names or searchers.names()) - len(left_out)
    if failed:
        console.print(f"{len(failed)} of {tried} searchers failed: {', '.join(failed)}.")
        raise typer.Exit(1)
    console.print(f"All checks passed ({tried} searcher{'s' * (tried != 1)}).")
