"""Ratings files of one's own: CSV, TSV and other separated text, Parquet; a matrix or a tensor."""

import csv
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_cf.cf.data.cache import sha256_of
from automl_cf.cf.data.dataset import Dataset
from automl_cf.cf.data.parquet import ERRORS, column_names, read_columns
from automl_cf.cf.ratings import FloatArray, IntArray, RatingTensor
from automl_cf.errors import InputError, suggest

Column = str | int
"""A column by its name in the header, or by its position, counted from 0."""

# What the columns are often called, in lower case and without a type (RecBole writes "user_id:token").
_USER = {"user", "user_id", "userid", "uid"}
_ITEM = {"item", "item_id", "itemid", "iid", "movie", "movie_id", "movieid"}
_VALUE = {"rating", "value", "score", "stars"}

_SEPARATORS = ("\t", "::", ",", ";", "|", " ")  # a space stands for any white space, so it comes last
_PARQUET = (".parquet", ".pq")
_UNNAMED = re.compile(r"__index_level_\d+__")  # what pandas calls an index without a name there

TIME_BINS: Mapping[str, str] = {
    "month": "%Y-%m",
    "week": "%G-W%V",  # of ISO 8601: from Monday
    "day": "%Y-%m-%d",
    "hour": "%Y-%m-%dT%H",
    "day-of-week": "%u",  # 1 is Monday
    "hour-of-day": "%H",
}
"""Into what a time can be binned, in UTC, and what the bins are called, as for ``strftime``."""

_LATEST = 9.2e9  # seconds: what pandas can tell in nanoseconds; milliseconds given as seconds lie far beyond

_SNIFFED_LINES = 20
_CUT = 60  # characters of a value in a message
_MOST_COLUMNS = 10_000


def load_file(
    path: str | PathLike[str],
    /,
    *,
    index_columns: Sequence[Column] | None = None,
    value_column: Column | None = None,
    time_column: Column | None = None,
    time_bin: str = "month",
    separator: str | None = None,
    header: bool | None = None,
) -> Dataset:
    """Return the ratings of the file ``path`` as a data set of the file's name; see :func:`read_ratings`."""
    file = Path(path)
    ratings, columns = _read(file, index_columns, value_column, time_column, time_bin, separator, header)
    return Dataset(file.stem, ratings, sha256_of(file), str(file), columns=columns)


def read_ratings(
    path: str | PathLike[str],
    *,
    index_columns: Sequence[Column] | None = None,
    value_column: Column | None = None,
    time_column: Column | None = None,
    time_bin: str = "month",
    separator: str | None = None,
    header: bool | None = None,
) -> RatingTensor:
    """Return the ratings in a text or Parquet file (``.parquet``, ``.pq``), one rating a row.

    ``index_columns`` are two or more columns, which make the order of the tensor; ``value_column`` has the
    ratings. Where they are not given they are found by common names in the header; without a header they are
    the first three columns. ``separator`` and ``header`` are detected in a text unless given; a header is a
    first line without any number. The names of a mode's rows are sorted and become its labels. Rows are
    counted from 1, without the header.

    ``time_column``, if given, makes a last mode: its times, in UTC, by ``time_bin``, one of
    :data:`TIME_BINS`. Times are seconds since 1970 or dates as in ISO 8601.

    Raises ``InputError`` for a file that is missing, unreadable or empty, for columns that it lacks or that
    cannot be told, for a rating that is no finite number, an index that is empty, a tensor with an index that
    is constant, and ratings that nobody could learn from.
    """
    return _read(Path(path), index_columns, value_column, time_column, time_bin, separator, header)[0]


def read_rows(path: str | PathLike[str], wanted: Sequence[str]) -> pd.DataFrame:
    """Return all columns of a text with a header, or of a Parquet file: rows of names, not ratings.

    In a text everything stays the text that it is, so that it can be written again as it was; an empty field is
    missing. The separator is the one by which the header has the columns ``wanted``; that it has them at all is for
    the caller to check. Raises ``InputError`` for a file that is missing, unreadable or empty.
    """
    file = Path(path)
    if file.suffix.lower() in _PARQUET:
        table = replace(_inspect(file, None, None), simple=tuple(wanted))
    else:
        header = _first_lines(file, 1)[0]
        with _readable(file):
            by_separator = {separator: _names(header, separator) for separator in _SEPARATORS}
        fitting = [separator for separator, names in by_separator.items() if set(wanted) <= set(names)]
        separator = fitting[0] if fitting else max(by_separator, key=lambda one: len(by_separator[one]))
        table = _Table(file, by_separator[separator], True, separator)
        if len(table.names) > _MOST_COLUMNS:
            raise InputError(f"{file}: line 1 has {len(table.names)} columns, but a table may have {_MOST_COLUMNS}.")
    return table.read(list(range(len(table.names))), as_text=True).set_axis(table.names, axis=1)


def _read(
    path: Path,
    index_columns: Sequence[Column] | None,
    value_column: Column | None,
    time_column: Column | None,
    time_bin: str,
    separator: str | None,
    header: bool | None,
) -> tuple[RatingTensor, tuple[str, ...]]:
    """Return the ratings, and the names of the modes' columns if there is a header; a time is called as its bin."""
    if not isinstance(time_bin, str) or time_bin not in TIME_BINS:
        raise InputError(
            f"time_bin is '{time_bin!s:.60}', but must be one of {', '.join(TIME_BINS)}."
            f"{suggest(str(time_bin), TIME_BINS)}"
        )
    table = _inspect(path, separator, header)
    time = None if time_column is None else _position(table, "time_column", time_column)
    indices, value = _choose(table, index_columns, value_column, time)
    frame = table.read([*indices, value] if time is None else [*indices, value, time])
    values = _values(table, frame[value], value)
    modes = [_encode(table, frame[position], position) for position in indices]
    if time is not None:
        modes.append(_binned(table, frame[time], time, time_bin))
        indices = [*indices, time]
    codes = np.column_stack([code for code, _ in modes])
    labels = tuple(label for _, label in modes)
    ratings = RatingTensor(codes, values, tuple(len(label) for label in labels), labels)
    ratings.check_usable(str(path), [table.describe(position) for position in indices])
    called = [table.names[position].strip() for position in indices]
    if time is not None:
        called[-1] = time_bin
    return ratings, tuple(called) if table.has_header and len(set(called)) == len(called) else ()


@dataclass(frozen=True)
class _Table:
    """Which columns a file has, and how to read some of them."""

    path: Path
    names: list[str]
    has_header: bool
    separator: str | None  # None for Parquet
    simple: Sequence[str] | None = None  # of Parquet, the columns that must have names or numbers; None for all

    def read(self, positions: list[int], as_text: bool = False) -> pd.DataFrame:
        """Return the columns at ``positions``, under their positions as names; of a text possibly all as text."""
        try:
            if self.separator is None:
                names = [self.names[position] for position in positions]
                simple = names if self.simple is None else [name for name in names if name in self.simple]
                return read_columns(self.path, names, simple).set_axis(positions, axis=1)
            # Only the second colon of "::" is left to skip: pandas is fast with one character only.
            step = len(self.separator)
            # All columns, though few are wanted: then pandas refuses a row with more fields than the first.
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # of fields that it would drop
                frame = pd.read_csv(
                    self.path,
                    sep=r"\s+" if self.separator == " " else self.separator[0],
                    header=0 if self.has_header else None,
                    names=range(step * (len(self.names) - 1) + 1),
                    index_col=False,
                    keep_default_na=False,  # somebody may be called "NA"
                    na_values=[""],
                    dtype=str if as_text else None,
                    low_memory=False,
                    encoding="utf-8-sig",
                )
            return frame[[step * p for p in positions]].rename(columns=lambda name: name // step)
        except InputError:
            raise
        except (pd.errors.ParserError, pd.errors.ParserWarning, *ERRORS) as error:
            reason = f"{_one_line(error):.300}".rstrip(".")
            if isinstance(error, pd.errors.ParserWarning):
                reason = "rows have more fields than the first line"
            raise InputError(f"{self.path}: cannot be read as a table: {reason}.") from error

    def describe(self, position: int) -> str:
        """Return what to call the column at ``position`` in a message."""
        return f"column '{_cut(self.names[position])}'" if self.has_header else f"column {position}"

    def listed(self) -> str:
        """Return the names of the columns for a message."""
        return _cut(", ".join(self.names), 300)


def _inspect(path: Path, separator: str | None, header: bool | None) -> _Table:
    """Find out which columns a file has."""
    if path.suffix.lower() in _PARQUET:
        _check_regular(path)
        with _readable(path):
            names = [name for name in column_names(path) if not _UNNAMED.fullmatch(name)]
        return _Table(path, names, True, None)
    if not isinstance(header, bool | None):
        raise InputError(f"{path}: header is {header!r:.60}, but must be true or false.")
    lines = _first_lines(path, _SNIFFED_LINES)
    with _readable(path):
        if separator is None:
            separator = next((s for s in _SEPARATORS if len(_fields(lines[0], s)) >= 3), None)
        if not isinstance(separator, str) or not (separator == "::" or _is_sign(separator)):
            raise InputError(
                f"{path}: separator {separator!r:.60} must be one character, or '::', and split each line into 3 "
                f"columns or more; the first line is {lines[0][:60]!r}."
            )
        rows = [_fields(line, separator) for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise InputError(f"{path}: line {number} has {len(row)} columns, but the first one has {len(rows[0])}.")
    if len(rows[0]) > _MOST_COLUMNS:
        raise InputError(f"{path}: line 1 has {len(rows[0])} columns, but a table may have {_MOST_COLUMNS}.")
    has_header = not any(_is_number(field) for field in rows[0]) if header is None else header
    names = rows[0] if has_header else [str(position) for position in range(len(rows[0]))]
    return _Table(path, names, has_header, separator)


def _first_lines(path: Path, count: int) -> list[str]:
    """Return the first lines of a text that are not blank, at least one and at most ``count``."""
    _check_regular(path)
    with _readable(path), path.open(encoding="utf-8-sig") as stream:
        lines = list(islice((line.rstrip("\r\n") for line in stream if line.strip()), count))
    if not lines:
        raise InputError(f"{path}: the file is empty.")
    return lines


def _check_regular(path: Path) -> None:
    """Raise ``InputError`` for a device or a pipe, which may have no end and can be read only once."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: is no regular file, such as a device or a pipe; store what it gives in a file.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise ``InputError`` for what goes wrong when a file is opened."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # pyarrow's, of a file that is damaged
            raise InputError(f"{path}: cannot be read as a table: {_one_line(error):.300}.") from error
        raise InputError(f"{path}: the file cannot be read ({error.strerror}).") from error
    except csv.Error as error:  # a field that is too long
        raise InputError(f"{path}: cannot be read as a table: {_one_line(error):.300}.") from error
    except InputError:
        raise
    except ERRORS as error:
        raise InputError(f"{path}: is neither a text in UTF-8 nor, by name and content, a Parquet file.") from error


def _one_line(error: Exception) -> str:
    """What an error says, in one line that can be printed."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _cut(text: str, most: int = _CUT) -> str:
    """A text of the file for a message."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _names(header: str, separator: str) -> list[str]:
    """Return the columns' names in a header."""
    return [field.strip() for field in _fields(header, separator)]


def _fields(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    return line.split(separator) if len(separator) > 1 else next(csv.reader([line], delimiter=separator))


def _is_sign(text: str) -> bool:
    """Tell whether a text is one character that can separate columns."""
    return len(text) == 1 and text.isascii() and not text.isalnum() and text not in '"\r\n\0'


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _choose(
    table: _Table, index_columns: Sequence[Column] | None, value_column: Column | None, time: int | None
) -> tuple[list[int], int]:
    """Return the positions of the index columns and of the value column, guessing what is not given.

    The column at ``time`` is neither.
    """
    count = len(table.names)
    value = None if value_column is None else _position(table, "value_column", value_column)
    if index_columns is not None:
        if not isinstance(index_columns, list | tuple) or len(index_columns) < 2:
            raise InputError(f"index_columns: {index_columns!r:.60} must be a list of two or more columns.")
        indices = [_position(table, "index_columns", column) for column in index_columns]
    else:
        named = [*_called(table, _USER), *_called(table, _ITEM)]
        indices = named if len(named) == 2 else [0, 1]
        if len(named) != 2 and table.has_header and count != (3 if time is None else 4):
            raise _cannot_tell(table, "index_columns")
    if value is None:
        left = _called(table, _VALUE) or [p for p in range(count) if p not in (*indices, time)]
        if not left or (len(left) > 1 and (table.has_header or index_columns is not None)):
            raise _cannot_tell(table, "value_column")
        value = left[0]
    columns = [*indices, value] if time is None else [*indices, value, time]
    if len(set(columns)) != len(columns):
        chosen = ", ".join(table.describe(position) for position in columns)
        options = "index_columns and value_column" if time is None else "index_columns, value_column and time_column"
        raise InputError(f"{table.path}: {options} must all differ, but are {chosen}.")
    return indices, value


def _called(table: _Table, known: set[str]) -> list[int]:
    """Return the positions of the columns whose names are among the known ones."""
    return [p for p, name in enumerate(table.names) if name.strip().partition(":")[0].lower() in known]


def _cannot_tell(table: _Table, option: str) -> InputError:
    return InputError(f"{table.path}: {option} must be given, since the columns {table.listed()} do not tell.")


def _position(table: _Table, option: str, column: Column) -> int:
    """Return the position of a column given by name or position."""
    if not isinstance(column, int | str) or isinstance(column, bool):
        raise InputError(f"{table.path}: {option} is {column!r:.60}, but must name columns, or give their positions.")
    if isinstance(column, int):
        if not 0 <= column < len(table.names):
            raise InputError(
                f"{table.path}: {option} names column {column}, but must lie in 0 to {len(table.names) - 1}."
            )
        return column
    if not table.has_header:
        raise InputError(f"{table.path}: {option} names '{column}', but without a header must be a position from 0.")
    if column not in table.names:
        raise InputError(
            f"{table.path}: has no column '{_cut(column)}' ({option}), only {table.listed()}."
            f"{suggest(column, [name for name in table.names if len(name) <= _CUT])}"
        )
    return table.names.index(column)


def _values(table: _Table, column: "pd.Series[Any]", position: int) -> FloatArray:
    """Return a column as float32, refusing what is not a finite number."""
    numbers = _numbers(column)
    with np.errstate(over="ignore"):
        values = numbers.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite))
        given = "nothing" if pd.isna(column.iloc[row]) else repr(_cut(str(column.iloc[row])))
        raise InputError(
            f"{table.path}: {table.describe(position)} has {given} in row {row + 1}, but must hold finite numbers."
        )
    return values


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return a column as float64, NaN for what is no number."""
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _encode(table: _Table, column: "pd.Series[Any]", position: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return each entry's number in the sorted list of different entries, and that list."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"{table.path}: {table.describe(position)} is empty in row {int(np.argmax(missing)) + 1}, "
            f"but every rating needs one."
        )
    codes, labels = pd.factorize(column, sort=True)
    names = np.asarray(labels)
    if names.dtype.kind == "f" and np.isinf(names).any():
        row = int(np.argmax(np.isinf(names)[codes])) + 1
        raise InputError(
            f"{table.path}: {table.describe(position)} is infinite in row {row}, but every name is finite."
        )
    return codes.astype(np.int64), names


def _binned(table: _Table, column: "pd.Series[Any]", position: int, time_bin: str) -> tuple[IntArray, NDArray[Any]]:
    """Return each time's number in the sorted list of bins, and that list's names."""
    seconds = _seconds(column)
    right = np.isfinite(seconds) & (np.abs(seconds) < _LATEST)
    if not right.all():
        row = int(np.argmin(right))
        given = "nothing" if pd.isna(column.iloc[row]) else repr(_cut(str(column.iloc[row])))
        raise InputError(
            f"{table.path}: {table.describe(position)} has {given} in row {row + 1}, but must hold times: seconds "
            f"since 1970 or dates as in ISO 8601."
        )
    # Names are made of the few different hours, for making one takes long.
    hours, of_row = np.unique(np.floor(seconds / 3600).astype(np.int64), return_inverse=True)
    names = pd.to_datetime(hours * 3600, unit="s", utc=True).strftime(TIME_BINS[time_bin])
    labels, of_hour = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    return of_hour[of_row].astype(np.int64), labels


def _seconds(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return times in seconds since 1970, NaN for what is none."""
    if not pd.api.types.is_datetime64_any_dtype(column):
        numbers = _numbers(column)
        if pd.api.types.is_numeric_dtype(column) or np.isfinite(numbers).any():
            return numbers
    times = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    return np.asarray((times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1), dtype=np.float64)
