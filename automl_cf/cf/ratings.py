"""Ratings as a sparse matrix or tensor: the one form in which every other module takes them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_cf.errors import InputError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

MINIMUM_RATINGS = 5  # with fewer, a training, a validation and a test part mean nothing


@dataclass(frozen=True, eq=False)
class RatingTensor:
    """The observed entries of a matrix (order 2) or a tensor (order 3 and more).

    ``indices`` is int64 (n, order), one row per rating; ``values`` is float32 (n,); ``shape`` gives the
    number of rows of each mode, such as (users, items). ``labels``, if known, holds for each mode the
    original names of its rows, (shape[mode],). The arrays are read-only: a split's hash must stay true.

    Raises ``InputError`` if the parts do not fit together. What the values are is not checked here, see
    :meth:`check_usable`.
    """

    indices: IntArray
    values: FloatArray
    shape: tuple[int, ...]
    labels: tuple[NDArray[Any], ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        given = np.asarray(self.indices)
        if given.ndim != 2 or given.shape[1] < 2 or not np.issubdtype(given.dtype, np.integer):
            raise InputError(
                f"RatingTensor: indices must be integers of shape (n, order) with order at least 2, "
                f"not {given.dtype} of shape {given.shape}."
            )
        indices = _read_only(given, np.int64)
        values = _read_only(self.values, np.float32)
        shape = tuple(int(size) for size in self.shape)
        if values.shape != indices.shape[:1]:
            raise InputError(
                f"RatingTensor: values must have one number for each of the {len(indices)} rows of indices, "
                f"not shape {values.shape}."
            )
        if len(shape) != indices.shape[1]:
            raise InputError(
                f"RatingTensor: shape {shape} must have {indices.shape[1]} numbers, one a column of indices."
            )
        for mode, size in enumerate(shape):
            column = indices[:, mode]
            if len(column) and (column.min() < 0 or column.max() >= size):
                raise InputError(
                    f"RatingTensor: the indices of mode {mode} run from {column.min()} to {column.max()}, "
                    f"but must lie between 0 and {size - 1}."
                )
            if self.labels is not None and (len(self.labels) != len(shape) or len(self.labels[mode]) != size):
                raise InputError(f"RatingTensor: labels must name all rows of every mode of the shape {shape}.")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "shape", shape)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def order(self) -> int:
        """The number of modes: 2 for a matrix."""
        return len(self.shape)

    def take(self, rows: IntArray | NDArray[np.bool_]) -> Self:
        """Return the given ratings, by number or by mask, in that order; shape and labels stay."""
        return type(self)(self.indices[rows], self.values[rows], self.shape, self.labels)

    def counts(self, mode: int) -> IntArray:
        """Return how many ratings each row of ``mode`` has: int64 (shape[mode],)."""
        return np.bincount(self.indices[:, mode], minlength=self.shape[mode]).astype(np.int64)

    def name_of(self, row: int) -> str:
        """Return the place of the rating ``row``, such as ``(3, 7)``, in the original names if known."""
        index = self.indices[row]
        names = index if self.labels is None else [self.labels[mode][i] for mode, i in enumerate(index)]
        return f"({', '.join(str(name) for name in names)})"

    def check_usable(self, what: str, columns: Sequence[str] = ()) -> None:
        """Raise ``InputError``, calling the ratings ``what``, if nobody can learn from them.

        They must be a handful or more, finite, not all equal, and none may come twice. No mode of a tensor may be
        constant; ``columns`` says what to call the modes then, such as "column 'month'".
        """
        if len(self) < MINIMUM_RATINGS:
            raise InputError(f"{what}: number of ratings is {len(self)}, but must be at least {MINIMUM_RATINGS}.")
        finite = np.isfinite(self.values)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InputError(f"{what}: the rating of {self.name_of(row)} is {self.values[row]}, but must be finite.")
        for mode in range(self.order if self.order > 2 else 0):
            if np.ptp(self.indices[:, mode]) == 0:
                row = self.indices[0, mode]
                name = row if self.labels is None else self.labels[mode][row]
                called = columns[mode] if columns else f"index {mode + 1}"
                raise InputError(
                    f"{what}: {called} is '{name}' for all ratings, but an index of a tensor must differ; leave it out."
                )
        repeated = pd.DataFrame(self.indices).duplicated().to_numpy()
        if repeated.any():
            row = int(np.argmax(repeated))
            raise InputError(f"{what}: {self.name_of(row)} is rated more than once, but may be only once.")
        if np.ptp(self.values) == 0:
            raise InputError(f"{what}: all ratings are {self.values[0]}, but must differ for there to be a task.")


def content_hash(*parts: RatingTensor) -> str:
    """Return the SHA-256 of each part's shape, indices and values, put into the order of the indices."""
    digest = hashlib.sha256()
    for part in parts:
        order = np.lexsort(part.indices.T[::-1])
        digest.update(np.array([len(part), *part.shape], dtype="<i8").tobytes())
        digest.update(part.indices[order].astype("<i8").tobytes())
        digest.update(part.values[order].astype("<f4").tobytes())
    return digest.hexdigest()


def _read_only(array: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """Return a read-only view of ``array`` as ``dtype``, copying only if it is of another type."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view
