"""A pandas column of JSON values that are kept as bytes, and made anew each time one is asked for.

A million architectures take gigabytes as dicts of lists of floats, and a fifth of it packed. To whoever reads it the
column is one of objects, but for what pandas does to objects alone, such as `explode`; ``astype("object")`` makes it
one.
"""

import marshal
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype, take

_VERSION = 2  # of marshal: floats in binary, and no search for values that are the same
_MISSING = -1
_PIECE = 2**16  # bytes, after which a new piece begins: one that grew to gigabytes would be copied many times
_BITS = 32  # of a place, which say where in its piece a value begins
_IN_PIECE = 2**_BITS - 1


class Packed:
    """JSON values, one after the other in pieces of memory; each is known by the place where it begins."""

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = [bytearray()]

    def add(self, value: Any) -> int:
        """Keep a value and return its place."""
        piece = self._pieces[-1]
        if len(piece) >= _PIECE:
            self._pieces[-1] = bytes(piece)  # without the room that a bytearray has to grow
            piece = bytearray()
            self._pieces.append(piece)
        place = (len(self._pieces) - 1) << _BITS | len(piece)
        piece += marshal.dumps(value, _VERSION)
        return place

    def __getitem__(self, place: int) -> Any:
        """The value that begins at a place, as an object of the caller's own."""
        piece = self._pieces[place >> _BITS]
        return marshal.loads(memoryview(piece)[place & _IN_PIECE :])  # which reads one value and leaves the rest

    def __len__(self) -> int:
        """Bytes of all values."""
        return sum(map(len, self._pieces))


@register_extension_dtype
class PackedDtype(ExtensionDtype):
    """The type of a `PackedArray`."""

    name = "packed"
    type = object
    na_value = None

    @classmethod
    def construct_array_type(cls) -> Any:
        return PackedArray


class PackedArray(ExtensionArray):
    """Values of ``store``, given by their ``places``: int64 (values,), -1 for one that is missing."""

    def __init__(self, store: Packed, places: npt.NDArray[np.int64]) -> None:
        self._store = store
        self._places = places

    @classmethod
    def _from_sequence(cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False) -> Self:
        store = Packed()
        values = (value.item() if isinstance(value, np.generic) else value for value in scalars)
        places = [_MISSING if value is None else store.add(value) for value in values]
        return cls(store, np.array(places, dtype=np.int64))

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        first = to_concat[0]._store
        if all(array._store is first for array in to_concat):
            return cls(first, np.concatenate([array._places for array in to_concat]))
        return cls._from_sequence(value for array in to_concat for value in array)

    @property
    def dtype(self) -> PackedDtype:
        return PackedDtype()

    @property
    def nbytes(self) -> int:
        """Bytes of the places alone: columns share the values' store."""
        return int(self._places.nbytes)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, item: Any) -> Any:
        found = self._places[item]
        if isinstance(found, np.ndarray):
            return type(self)(self._store, found)
        return None if found == _MISSING else self._store[int(found)]

    def __eq__(self, other: object) -> Any:
        return self.astype(object) == other

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        values = np.empty(len(self), dtype=object)
        values[:] = list(self)  # into one dimension, also where all are lists of one length
        return values

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[list[Any]]]:
        """By its own values, not all of the store's."""
        return self._from_sequence, (list(self),)

    def isna(self) -> npt.NDArray[np.bool_]:
        return np.equal(self._places, _MISSING)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        positions = np.asarray(indices, dtype=np.intp)
        taken = take(self._places, positions, allow_fill=allow_fill, fill_value=_MISSING)
        return type(self)(self._store, cast(npt.NDArray[np.int64], taken))

    def copy(self) -> Self:
        return type(self)(self._store, self._places.copy())
