"""Arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, such as results/NAME-DATE-TIME.", metavar="RUN")]
