"""`automl-cf export` and `automl-cf predict`: a model to take home, and its predictions."""

from pathlib import Path

import typer

from automl_cf.errors import InputError

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
    typer.echo(f"{model.trained['cell']}, trained on {model.trained['ratings']} ratings: {out}")


def predict(model: Path, file: Path, out: Path | None) -> None:
    """Add a column `prediction` to a file of names."""
    import pandas as pd

    from automl_cf.cf.portable import PortableModel

    if out is not None and out.suffix.lower() not in (".csv", *_PARQUET):
        raise InputError(f"--out is '{out}', but its name must end in .csv or .parquet.")
    if out is not None and out.exists():
        raise InputError(f"--out '{out}' is there already; choose another name.")
    loaded = PortableModel.load(model)
    try:
        frame = pd.read_parquet(file) if file.suffix.lower() in _PARQUET else _read_text(file)
    except OSError as error:
        raise InputError(f"'{file}' cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"'{file}' is neither a CSV or TSV file with a header nor a Parquet file: {error}.") from error
    result = frame.assign(prediction=loaded.predict(frame))
    if out is None:
        typer.echo(result.to_csv(index=False), nl=False)
        return
    try:
        if out.suffix.lower() in _PARQUET:
            result.to_parquet(out, index=False)
        else:
            result.to_csv(out, index=False)
    except OSError as error:
        raise InputError(f"'{out}' cannot be written: {error.strerror or error}.") from error


def _read_text(file: Path) -> "pd.DataFrame":  # type: ignore[name-defined] # noqa: F821
    import pandas as pd

    separator = "\t" if file.suffix.lower() in (".tsv", ".tab") else ","
    # As the loader reads ratings: somebody may be called NA, and a line may end with a separator.
    return pd.read_csv(
        file, sep=separator, dtype=str, keep_default_na=False, na_values=[""], index_col=False, encoding="utf-8-sig"
    )
