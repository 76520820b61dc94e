"""`automl-cf export`, `predict` and `recommend`: a model to take home, and what it says."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from automl_cf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from automl_cf.cf.names import Names

_PREDICTION = "prediction"
_PARQUET = (".parquet", ".pq")


def export(
    folder: Path, out: Path, dataset: str | None, searcher: str | None, dim: int | None, seed: int | None
) -> None:
    """Retrain the best of a run on all ratings but the test ones, and store it."""
    from automl_cf.export import export_run

    if out.exists() and (not out.is_dir() or any(out.iterdir())):  # before it is trained, not after
        raise InputError(f"'{out}' is there already; choose a new or an empty folder as --out.")
    model = export_run(folder, dataset=dataset, searcher=searcher, dim=dim, seed=seed)
    model.save(out)
    needs = ", ".join(model.columns)
    typer.echo(f"{model.trained['cell']}, trained on {model.trained['ratings']} ratings of {needs}: {out}")


def predict(model: Path, file: Path, out: Path | None) -> None:
    """Add a column `prediction` to a file of names."""
    from automl_cf.cf.data.files import read_rows
    from automl_cf.cf.portable import PortableModel

    _check_out(out)
    loaded = PortableModel.load(model)
    rows = read_rows(file, loaded.columns)
    if _PREDICTION in rows.columns:
        raise InputError(f"'{file}' has a column '{_PREDICTION}' already; leave it out or rename it.")
    result = rows.assign(**{_PREDICTION: loaded.predict(rows)})
    _write(result, out)
    for column, names in zip(loaded.columns, loaded.names, strict=True):
        _note_unknown(names, column, rows[column])


def recommend(
    model: Path, users: Sequence[str], n: int, context: Sequence[str], seen: Path | None, out: Path | None
) -> None:
    """Write the `n` best items of each user; of all that the model knows if none is given."""
    from automl_cf.cf.data.files import read_rows
    from automl_cf.cf.portable import PortableModel

    _check_out(out)
    loaded = PortableModel.load(model)
    listed: list[Any] = [name for text in users for name in _in_commas(text)] if users else loaded.names[0].labels
    if not listed:
        raise InputError(f"--users is {users[0]!r:.60}, but must be names, separated by commas.")
    given = _context(context)
    rated = None if seen is None else read_rows(seen, loaded.columns[:2])
    _write(loaded.recommend(listed, n, rated, given), out)
    _note_unknown(loaded.names[0], loaded.columns[0], listed)
    for column, names in zip(loaded.columns[2:], loaded.names[2:], strict=True):
        if column in given:
            _note_unknown(names, column, [given[column]])
        else:
            typer.echo(f"note: no --context {column}=..., so it counts as the mean of those that are known.", err=True)


def _in_commas(text: str) -> list[str]:
    """What stands between commas; a name with a comma stands in double quotes, as in CSV."""
    try:
        return [name for name in next(csv.reader([text], skipinitialspace=True), []) if name]
    except csv.Error as error:
        raise InputError(f"--users is {text!r:.60}, but must be names, separated by commas ({error}).") from error


def _context(texts: Sequence[str]) -> dict[str, str]:
    context: dict[str, str] = {}
    for text in texts:
        column, equals, name = text.partition("=")
        if not (column and equals and name):
            raise InputError(f"--context is {text!r:.60}, but must be column=name, such as month=3.")
        if column in context:
            raise InputError(f"--context gives {column!r:.60} twice; once is enough.")
        context[column] = name
    return context


def _note_unknown(names: "Names", column: str, asked: Any) -> None:
    """Say on standard error how many of those asked for the model does not know: a wrong column would look fine."""
    unknown = int((names.numbers(asked) == len(names)).sum())
    if unknown:
        typer.echo(
            f"note: {unknown} of {len(asked)} in '{column}' are not known to the model; they count as the mean of "
            "those that are.",
            err=True,
        )


def _check_out(out: Path | None) -> None:
    """Raise InputError for a file that cannot be written, before any work."""
    if out is not None and out.suffix.lower() not in (".csv", *_PARQUET):
        raise InputError(f"--out is '{out}', but its name must end in .csv or .parquet.")
    if out is not None and out.exists():
        raise InputError(f"--out '{out}' is there already; choose another name.")


def _write(table: "pd.DataFrame", out: Path | None) -> None:
    """Write a table as CSV or Parquet, or as CSV on standard output."""
    if out is None:
        typer.echo(table.to_csv(index=False), nl=False)
        return
    try:
        if out.suffix.lower() in _PARQUET:
            table.to_parquet(out, index=False)
        else:
            table.to_csv(out, index=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"'{out}' cannot be written: {reason}.") from error
