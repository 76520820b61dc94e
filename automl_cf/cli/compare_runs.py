"""`automl-cf compare-runs`: whether the results of two runs may be compared, and how they compare."""

from pathlib import Path
from typing import Annotated

import typer

_HELP = "Folder of a run, such as results/NAME-DATE-TIME."


def compare_runs(
    a: Annotated[Path, typer.Argument(help=_HELP, metavar="A")],
    b: Annotated[Path, typer.Argument(help=_HELP, metavar="B")],
    clock: Annotated[
        str | None,
        typer.Option(
            help="Compare times by this clock, and fail where it cannot be compared.",
            show_default="each that can be compared",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Say whether two runs may be compared, what differs between them, and how the results of B differ from A's.

    Times of other machines, engines or speeds are not shown. It fails where nothing can be compared.
    """
    from automl_cf.analysis.run import Run
    from automl_cf.analysis.run_comparison import compare_runs as compared

    found = compared(Run.load(a), Run.load(b), clock)
    typer.echo(str(found), nl=False)
    found.check(clock)
