"""Tensors as CoSTCo's authors publish theirs (Liu et al., KDD 2019), such as their Foursquare check-ins."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_cf.cf.data.cache import sha256_of
from automl_cf.cf.data.dataset import Dataset, datasets, joint_sha256
from automl_cf.cf.data.folders import folder_with
from automl_cf.cf.ratings import FloatArray, IntArray, RatingTensor
from automl_cf.errors import InputError

_SHAPE = "tensor_shape.txt"
_ROOM, _TIMES = 1_000_000, 100  # the most rows of all modes together: so many, and so many for each entry
_INDICES, _VALUES = "_indices.txt", "_values.txt"


@datasets.register("costco")
def costco(*, folder: str | PathLike[str] | None = None) -> Dataset:
    """A tensor in CoSTCo's form, in a folder of yours: tensor_shape.txt, train_indices.txt, train_values.txt, ...

    tensor_shape.txt has one number a mode. Each PART_indices.txt has one entry a line, its indices counted from
    0 and separated by white space, and PART_values.txt its value in the same line. All parts that there are
    (train, test, ...) become one tensor, sorted by indices: how to split is a study's affair. The data set is called
    after the folder. Raises ``InputError`` for a missing file, for lines that do not match, and for indices that
    exceed the shape.
    """
    path = folder_with("costco", folder, [_SHAPE, f"train{_INDICES}", f"train{_VALUES}"])
    parts = sorted(file.name.removesuffix(_INDICES) for file in path.glob(f"*{_INDICES}"))
    for part in parts:
        if not (path / f"{part}{_VALUES}").is_file():
            raise InputError(f"data set 'costco': {path} has {part}{_INDICES}, but no {part}{_VALUES}.")
    shape = tuple(int(size) for size in _numbers(path / _SHAPE, np.int64).ravel())
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(f"{path / _SHAPE}: has the numbers {shape!s:.60}, but must have two or more, each at least 1.")
    read = [_part(path, part, shape) for part in parts]
    most = _ROOM + _TIMES * sum(len(values) for _, values in read)
    if sum(shape) > most:  # for each of which a model has a row
        raise InputError(f"{path / _SHAPE}: has the numbers {shape!s:.60}, whose sum must be at most {most}.")
    indices, values = np.concatenate([i for i, _ in read]), np.concatenate([v for _, v in read])
    order = np.lexsort(indices.T[::-1])
    ratings = RatingTensor(indices[order], values[order], shape)
    ratings.check_usable(str(path))
    files = [_SHAPE, *(part + end for part in parts for end in (_INDICES, _VALUES))]
    digest = joint_sha256({file: sha256_of(path / file) for file in files})
    return Dataset(path.resolve().name, ratings, digest, str(path))


def _part(folder: Path, part: str, shape: tuple[int, ...]) -> tuple[IntArray, FloatArray]:
    """Return indices (n, order) and values (n,) of a part, checked against each other and the shape."""
    file = folder / f"{part}{_INDICES}"
    indices = _numbers(file, np.int64)
    values = _numbers(folder / f"{part}{_VALUES}", np.float32)
    if indices.shape[1] != len(shape):
        raise InputError(
            f"{file}: has {indices.shape[1]} indices a line, but {_SHAPE} has the {len(shape)} numbers {shape!s:.60}."
        )
    if values.shape != (len(indices), 1):
        raise InputError(
            f"{file}: has {len(indices)} lines, but {part}{_VALUES} has {len(values)} of {values.shape[1]} numbers; "
            f"there must be one value for each."
        )
    wrong = (indices < 0) | (indices >= np.array(shape))
    if wrong.any():
        row, mode = (int(k[0]) for k in np.nonzero(wrong))
        raise InputError(
            f"{file}: index {mode + 1} in line {row + 1} is {indices[row, mode]}, but by {_SHAPE} must lie between 0 "
            f"and {shape[mode] - 1}."
        )
    return indices, values[:, 0].astype(np.float32)


def _numbers(file: Path, dtype: type[np.int64] | type[np.float32]) -> NDArray[Any]:
    """Return the numbers (lines, columns) of a text. Raises ``InputError`` for anything else."""
    try:
        table = pd.read_csv(file, sep=r"\s+", header=None, dtype=dtype, na_filter=False)
    except (OSError, ValueError, OverflowError, pd.errors.ParserError) as error:
        kind = "integers" if dtype is np.int64 else "numbers"
        raise InputError(
            f"{file}: must have lines of equally many {kind}, but cannot be read so: "
            f"{' '.join(str(error).split()):.300}."
        ) from error
    numbers: NDArray[Any] = table.to_numpy()
    return numbers
