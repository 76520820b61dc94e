"""`automl-cf verdict`: which searchers of a run are better, equivalent or undecided, in words."""

from typing import Annotated

import typer

from automl_cf.cli.arguments import RunFolder


def verdict(
    folder: RunFolder,
    against: Annotated[
        str | None,
        typer.Option(help="The searcher that each is compared with.", show_default="bias-only", metavar="NAME"),
    ] = None,
    effect: Annotated[
        float | None,
        typer.Option(
            help="The smallest difference of test RMSE, in standard deviations of all ratings, that matters.",
            show_default="the study's, else 0.002",
            metavar="X",
        ),
    ] = None,
) -> None:
    """Say which searchers of a run are better, worse or equivalent, and where more seeds would decide.

    First the best and whether the lead is sure, then each against one, then all pairs. It trains nothing.
    """
    from automl_cf.analysis.run import Run
    from automl_cf.analysis.verdicts import verdict_text

    typer.echo(verdict_text(Run.load(folder), against, effect), nl=False)
