"""How a command ends when something goes wrong: one line on stderr and an exit status, never a traceback."""

import tempfile
import traceback
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from automl_cf.errors import AutomlCfError

INTERRUPTED = 130

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command report what it raises.

    An `AutomlCfError` gives its message and its exit status; an interruption 130; anything unforeseen gives a
    line that says where its traceback was saved, and 1.
    """

    @wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except AutomlCfError as error:
            raise fail(str(error), error.exit_status) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except (typer.Exit, typer.Abort, BrokenPipeError):  # Typer ends on these as it should
            raise
        except Exception as error:
            raise fail(f"{_in_one_line(error)}; {_saved_traceback()}", 1) from error

    return reporting


def fail(message: str, status: int) -> typer.Exit:
    """Print `message` as one line on stderr and return what to raise."""
    typer.echo("error: " + " ".join(message.split()), err=True)
    return typer.Exit(status)


def _in_one_line(error: Exception) -> str:
    return f"unexpected {type(error).__name__}: {error}".splitlines()[0].rstrip(".:")


def _saved_traceback() -> str:
    """Save the traceback of the exception at hand, and say where."""
    text = traceback.format_exc()
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="automl-cf-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
    except OSError as error:
        return f"its traceback could not be saved ({error.strerror})."
    return f"its traceback is in {file.name}."
