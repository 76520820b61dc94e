"""Parquet files of the user's, read in memory that is bounded by the file's size: a small one may claim to be huge.

Rows and texts that are all the same take nearly no room in a file. What it claims is checked before anything is read,
and what it holds while it is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from automl_cf.errors import InputError

ROOM, TIMES = 64 << 20, 50
"""The most bytes that the columns of a file may have in memory: so many, and so many for each byte of the file."""

_BATCH = 1 << 16  # rows that are read at a time
_ROW = 64  # bytes for each of which a file may claim one row

ERRORS = (pyarrow.ArrowException, OSError, KeyError, NotImplementedError, OverflowError, TypeError, ValueError)
"""What pyarrow raises for files that are damaged, or that pandas has no types for."""


def column_names(path: Path) -> list[str]:
    """The names of a file's columns, some perhaps twice. Raises one of `ERRORS`."""
    return list(pyarrow.parquet.read_schema(path).names)


def read_columns(path: Path, names: Sequence[str], simple: Sequence[str] = ()) -> pd.DataFrame:
    """The columns with these names, in that order, whatever pandas has noted about them in the file.

    Those that are `simple` must be of numbers, texts, dates, times or truth values. Whole numbers with gaps are
    objects, so that they stay exact. Raises InputError for a column that is there twice or is of another type, and for
    a file that is too large in memory for its size; else one of `ERRORS`.
    """
    with pyarrow.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        for name in names:
            if schema.names.count(name) != 1:
                raise InputError(f"{path}: has the column '{name:.60}' {schema.names.count(name)} times, not once.")
        for name in simple:
            if not _is_simple(schema.field(name).type):
                raise InputError(
                    f"{path}: column '{name:.60}' has the type {schema.field(name).type!s:.60}, but must have numbers, "
                    "texts, dates or truth values."
                )
        most = ROOM + TIMES * path.stat().st_size
        _check_claims(path, file.metadata, most)
    texts = [name for name in names if _is_text(schema.field(name).type)]
    with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
        batches, size = [], 0
        for batch in file.iter_batches(_BATCH, columns=list(names), use_threads=False):
            size += sum(map(_size, batch.columns))
            if size > most:
                raise _too_large(path, f"{size} bytes or more", most)
            batches.append(batch)
        table = pyarrow.Table.from_batches(batches, file.schema_arrow.empty_table().select(list(names)).schema)
    for name in texts:  # each text once was for reading only
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(place).cast(pyarrow.large_string()))
    frame: pd.DataFrame = table.select(list(names)).replace_schema_metadata(None).to_pandas(integer_object_nulls=True)
    return frame


def _check_claims(path: Path, metadata: Any, most: int) -> None:
    """Raise InputError for more rows, or larger ones, than a file of this size can be meant to have.

    Columns are not asked one by one: for one with damaged statistics PyArrow's metadata end the process.
    """
    if metadata.num_rows * _ROW > max(most, _ROW * _BATCH):
        raise _too_large(path, f"{metadata.num_rows} rows", most)
    claimed = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if claimed > most:
        raise _too_large(path, f"{claimed} bytes", most)


def _too_large(path: Path, what: str, most: int) -> InputError:
    return InputError(
        f"{path}: has {what} in {path.stat().st_size} bytes of a file, which may have {most} in memory; if that is "
        "meant, store it as CSV."
    )


def _size(column: Any) -> int:
    """The bytes of a column, every text counted as often as it is there."""
    if pyarrow.types.is_dictionary(column.type) and _is_text(column.type.value_type):
        lengths = pyarrow.compute.binary_length(column.dictionary)
        return int(pyarrow.compute.sum(lengths.take(column.indices)).as_py() or 0) + 4 * len(column)
    return int(column.nbytes)


def _is_text(kind: Any) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _is_simple(kind: Any) -> bool:
    types = pyarrow.types
    if types.is_dictionary(kind):
        return _is_simple(kind.value_type)
    tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_timestamp, types.is_date)
    return _is_text(kind) or any(test(kind) for test in (*tests, types.is_null))
