"""Names of rows: how they are stored, and found again whatever type they come in.

Two names are the same if they are the same text: 7, 7.0 and "7" are, so that an id is found in a column that pandas has
made floats of because of a gap, and in a CSV file that is read as text. Integers are compared exactly, however long.
Where all names are numbers, or all are truth values, texts are also found that mean one: "007", "7.0" or "true", for a
ratings file in which such a column was read as numbers or truth values had them, too.
"""

import math
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_cf.errors import InputError


def text_of(name: Any) -> str:
    """A name as text: whole numbers without a point, times in ISO 8601, midnights as dates."""
    if isinstance(name, pd.Timestamp):
        return str(name.date()) if name == name.normalize() else name.isoformat()
    if isinstance(name, float | np.floating) and math.isfinite(name) and name == int(name):
        return str(int(name))
    return str(name)


def is_text(text: str) -> bool:
    """Whether a text is one in Unicode, which can be written: what JSON spells out need not be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Written so that a text which is none is seen to be none in one go, however long it is.
_INTEGER = re.compile(r"\s*([+-]?)0*([1-9][0-9]*|0)(\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")


def _number(text: str) -> str | None:
    """The text of the number that a text means, None if it means none."""
    if whole := _INTEGER.fullmatch(text):
        return f"{'-' if whole[1] == '-' and whole[2] != '0' else ''}{whole[2]}"  # exact, however long
    return text_of(float(text)) if _NUMBER.fullmatch(text) else None


def _truth(text: str) -> str | None:
    """The text of the truth value that a text means, as pandas understands it, None if it means none."""
    return {"true": "True", "false": "False"}.get(text.lower())


class Names:
    """The names of a mode's rows, in their order; `labels` are JSON values: whole numbers as such, else text.

    Raises InputError, calling the mode `what`, for a name that is missing or infinite and for two that are the same.
    """

    def __init__(self, names: Iterable[Any], what: str) -> None:
        try:
            listed = list(pd.Index(names))  # NumPy's times become such as know their unit
        except UnicodeEncodeError as error:
            raise InputError(f"column '{what:.60}' has a name that is no text in Unicode ({error}).") from error
        for name in listed:
            if pd.isna(name) or (isinstance(name, float | np.floating) and math.isinf(name)):
                raise InputError(
                    f"column '{what:.60}' has the name {name}, but a row needs one that is finite and not empty."
                )
        self.labels = [
            int(name) if isinstance(name, int | np.integer) and not isinstance(name, bool) else text_of(name)
            for name in listed
        ]
        self._texts = pd.Index([text_of(name) for name in listed], dtype=object)
        if not self._texts.is_unique:
            twice = self._texts[self._texts.duplicated()][0]
            raise InputError(
                f"column '{what:.60}' has two names that are the same as text, {twice!r:.60}; make them differ."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def numbers(self, names: Any) -> NDArray[np.int64]:
        """The numbers of the rows by name: int64 (n,), and len(self) for each name that there is not."""
        try:
            series = pd.Series(names)
        except UnicodeEncodeError:  # one that is no text in Unicode, hence not known
            series = pd.Series(list(names), dtype=object)
        codes, different = pd.factorize(series)
        texts = pd.Index([text_of(name) for name in pd.Index(different)], dtype=object)
        places = self._texts.get_indexer(texts)
        if self._meaning is not None and (places < 0).any():
            meant = pd.Index([self._meaning(text) for text in texts[places < 0]], dtype=object)
            places[places < 0] = self._texts.get_indexer(meant)
        found = np.append(places, -1)[codes]  # a missing name has the code -1
        return np.where(found < 0, len(self), found).astype(np.int64)

    @cached_property
    def _meaning(self) -> Callable[[str], str | None] | None:
        """By what a text that is none of the names can still mean one of them; None if by nothing."""
        return next((by for by in (_number, _truth) if all(by(text) == text for text in self._texts)), None)
