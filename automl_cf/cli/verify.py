"""`automl-cf verify`: whether a run's files are as they were written."""

import typer

from automl_cf.cli.arguments import RunFolder


def verify(folder: RunFolder) -> None:
    """Check a run's files: their form, checksums, and that no event is missing; exit status 1 if there is damage.

    Says how far it checked, and names the first damage. A run that is going on may be checked, too.
    """
    from automl_cf.analysis.verify import verify as check

    found = check(folder)
    typer.echo(str(found))
    if not found.whole:
        raise typer.Exit(1)
