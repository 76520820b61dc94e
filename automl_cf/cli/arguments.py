"""Arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, such as results/NAME-DATE-TIME.", metavar="RUN")]

Address = Annotated[
    str | None,
    typer.Option(
        help="A Ray cluster that is there: auto, or its head's HOST:PORT; local: one of this machine alone.",
        metavar="HOST:PORT",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Cells at a time, whatever the study says.", metavar="N")]
