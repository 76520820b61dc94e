"""What is measured, in long form: one number per record, and the CSV file that holds them all."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from automl_cf.analysis.output import whole_file

Sample = Mapping[str, float]
"""What one run of a subject came to, by quantity: `seconds`, `epochs`, ..."""


class Record(NamedTuple):
    """One number. `round` counts from 0; what was measured in one round belongs together."""

    measurement: str
    subject: str
    setting: str
    round: int
    quantity: str
    value: float


def setting(**values: object) -> str:
    """A setting in one string, such as `batch=512; networks=yes`."""
    words = {True: "yes", False: "no"}
    return "; ".join(f"{name}={words[v] if isinstance(v, bool) else v}" for name, v in values.items())


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write the records as CSV, whole or not at all."""
    with whole_file(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.9g", lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """The records of a CSV file; none if there is no such file."""
    if not path.exists():
        return to_frame([])
    return pd.read_csv(path, keep_default_na=False, na_values={"value": [""]})


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """The records as a table."""
    return pd.DataFrame(list(records), columns=list(Record._fields))


def spread(frame: pd.DataFrame) -> pd.DataFrame:
    """The records with a column more for each name that occurs in their settings."""
    parts = [
        dict(pair.split("=", 1) for pair in text.split("; ")) if text else {} for text in frame["setting"].astype(str)
    ]
    settings = pd.DataFrame(parts, index=frame.index)
    return frame.join(settings.apply(_numbers_if_all_are))


def _numbers_if_all_are(column: "pd.Series[str]") -> "pd.Series[str] | pd.Series[float]":
    numbers = pd.to_numeric(column, errors="coerce")
    return column if (numbers.isna() & column.notna()).any() else numbers
