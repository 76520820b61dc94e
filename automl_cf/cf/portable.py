"""A trained model to take home: it predicts for the original names, and its folder needs no pickle to be read.

The folder has `model.safetensors`, the arrays, and `model.json`: the names of the rows, the units, what was trained and
how, and checksums. `PortableModel.load` needs nothing else, and no data.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask, family_of
from automl_cf.cf.ratings import RatingTensor, content_hash
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Model, Storable
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.spaces.architecture import Architecture

ARRAYS_NAME, JSON_NAME = "model.safetensors", "model.json"
MODES = ("user", "item", "context")  # what the modes are called where nothing else is known

_FORMAT = 1
_KEYS = {"format", "columns", "labels", "mean", "std", "architecture", "values", "trained", "arrays", "digest"}


@dataclass(frozen=True, eq=False)
class PortableModel:
    """A model with the names of its rows.

    `columns` names the modes, `labels` the rows of each; the model has one row more in each mode, the last, which
    stands for all that are not known. `mean` and `std` bring its predictions into the data's units. `trained` says
    how it came about: JSON values, for the reader's information.
    """

    architecture: Architecture
    model: Model
    columns: tuple[str, ...]
    labels: tuple[pd.Index, ...]
    mean: float
    std: float
    trained: Mapping[str, Any]

    def predict(self, rows: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        """Predict ratings, (n,), in the data's units, for rows of names: a frame with `columns`, or (n, order).

        A name that is not known stands for the mean of those that are (the policy for cold rows). Raises InputError
        for a column that is missing.
        """
        indices = np.stack([self.numbers(mode, names) for mode, names in enumerate(self._columns_of(rows))], axis=1)
        return self._in_data_units(indices)

    def numbers(self, mode: int, names: Any) -> NDArray[np.int64]:
        """The numbers of the rows of a mode by name: int64 (n,), the last row's for names that are not known."""
        labels, column = self.labels[mode], pd.Series(np.asarray(names))
        if pd.api.types.is_numeric_dtype(labels.dtype):
            column = pd.to_numeric(column, errors="coerce")
        else:
            column = column.astype(str)
        found = labels.get_indexer(pd.Index(column))
        return np.where(found < 0, len(labels), found).astype(np.int64)

    def recommend(
        self, users: Sequence[Any] | NDArray[Any], n: int = 10, seen: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """The `n` items with the highest predictions for each user, best first: a frame with a row each.

        Its columns are the two modes' and `prediction`; equal ones stand in the items' order. Items that `seen` has
        with the user are left out, so there may be fewer. A user who is not known gets what the average user would.
        Raises InputError for a model that is of more than two modes, and for `n` below 1.
        """
        if len(self.columns) != 2:
            raise InputError(f"recommend needs a model of users and items; this one is of {len(self.columns)} modes.")
        if n < 1:
            raise InputError(f"recommend: n is {n}, but must be at least 1.")
        user, item = self.columns
        taken: Mapping[int, NDArray[np.int64]] = {}
        if seen is not None:
            known = pd.DataFrame({mode: self.numbers(mode, names) for mode, names in enumerate(self._columns_of(seen))})
            taken = {int(rows[0].iloc[0]): rows[1].to_numpy() for _, rows in known.groupby(0)}
        frames = [pd.DataFrame({user: [], item: [], "prediction": np.empty(0)})]
        for name, number in zip(users, self.numbers(0, users), strict=True):
            free = np.setdiff1d(np.arange(len(self.labels[1])), taken.get(number, ()))
            prediction = self._in_data_units(np.stack([np.full(len(free), number), free], axis=1))
            best = np.argsort(-prediction, kind="stable")[:n]
            items = self.labels[1][free[best]]
            frames.append(pd.DataFrame({user: name, item: items, "prediction": prediction[best]}))
        return pd.concat(frames[1:] or frames, ignore_index=True)

    def save(self, folder: Path | str) -> None:
        """Write the two files into a new or empty folder.

        Raises InputError for a folder with other files, or a model that cannot be stored.
        """
        folder = Path(folder)
        if not isinstance(self.model, Storable):
            raise InputError(f"a {type(self.model).__name__} cannot be stored; its family has no way to restore one.")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"'{folder}' is there already; choose a new or an empty folder.")
        arrays, values = self.model.parts()
        content = save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        record: dict[str, Any] = {
            "format": _FORMAT,
            "columns": list(self.columns),
            "labels": [labels.tolist() for labels in self.labels],
            "mean": self.mean,
            "std": self.std,
            "architecture": self.architecture.to_json(),
            "values": values,
            "trained": dict(self.trained),
            "arrays": hashlib.sha256(content).hexdigest(),
        }
        record["digest"] = _digest(record)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ARRAYS_NAME).write_bytes(content)
            (folder / JSON_NAME).write_text(json.dumps(record, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"'{folder}' cannot be written: {error.strerror}.") from error

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a folder. Raises InputError for one that is no model, was changed, or is of a later version."""
        folder = Path(folder)
        record, content = _read(folder / JSON_NAME), _bytes(folder / ARRAYS_NAME)
        if record.get("format") != _FORMAT:
            raise InputError(
                f"'{folder / JSON_NAME}' has the format {record.get('format')!r}, but this version reads {_FORMAT}."
            )
        if set(record) != _KEYS or record["digest"] != _digest(record):
            raise InputError(f"'{folder / JSON_NAME}' was changed since the model was stored; export it again.")
        if record["arrays"] != hashlib.sha256(content).hexdigest():
            raise InputError(f"'{folder / ARRAYS_NAME}' was changed since the model was stored; export it again.")
        try:
            architecture = Architecture.from_json(record["architecture"])
            restore = family_of(architecture).restore
            assert restore is not None  # or it could not have been stored
            return cls(
                architecture=architecture,
                model=restore(load_arrays(content), record["values"]),
                columns=tuple(record["columns"]),
                labels=tuple(_index(labels) for labels in record["labels"]),
                mean=float(record["mean"]),
                std=float(record["std"]),
                trained=record["trained"],
            )
        except (SafetensorError, AssertionError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"'{folder}' does not hold a model that can be read: {error}.") from error

    def _in_data_units(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(self.model.predict(indices), np.float64) * self.std + self.mean

    def _columns_of(self, rows: pd.DataFrame | NDArray[Any]) -> list[Any]:
        if isinstance(rows, pd.DataFrame):
            missing = [name for name in self.columns if name not in rows.columns]
            if missing:
                there, needed = (", ".join(map(str, names)) for names in (rows.columns, self.columns))
                raise InputError(f"column '{missing[0]}' is missing; the model needs {needed}, and there are {there}.")
            return [rows[name] for name in self.columns]
        array = np.asarray(rows)
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            raise InputError(f"rows of names have shape {array.shape}, but must have {len(self.columns)} columns.")
        return list(array.T)


def train_on_all(
    architecture: Architecture,
    ratings: RatingTensor,
    task: TrainingTask,
    *,
    l2: float,
    epochs: int,
    columns: Sequence[str] = (),
    trained: Mapping[str, Any] | None = None,
) -> PortableModel:
    """Train on all `ratings`, in the data's units, with what validation chose before: `l2` and the number of `epochs`.

    Of these epochs the state with the lowest training error is kept. Of `task` all but the data is used. Every mode
    gets one more row without ratings, which cold rows' policy fills: it stands for the names that are not known.
    Raises AutomlCfError if the training does not come to a model.
    """
    mean, std = float(ratings.values.mean(dtype=np.float64)), float(ratings.values.std(dtype=np.float64))
    values = ((ratings.values.astype(np.float64) - mean) / std).astype(np.float32)
    part = RatingTensor(ratings.indices, values, tuple(size + 1 for size in ratings.shape))
    data = SearchData(part, part, mean, std, content_hash(part))
    training = task.training.model_copy(update={"patience": epochs + 1})
    own = replace(task, data=data, training=training)
    fit = family_of(architecture).train(architecture, own, l2, NullMeter(), epochs)
    if fit.status != "ok" or fit.model is None:
        raise AutomlCfError(f"the training on all ratings came to nothing: {fit.status}.")
    labels = ratings.labels or tuple(np.arange(size) for size in ratings.shape)
    named = tuple(columns) or (*MODES[: ratings.order], *(f"mode{i + 1}" for i in range(len(MODES), ratings.order)))
    facts = {"l2": l2, "epochs": epochs, "dim": task.dim, "ratings": len(ratings), **(trained or {})}
    model = _portable(architecture, fit.model)
    return PortableModel(architecture, model, named, tuple(_index(x.tolist()) for x in labels), mean, std, facts)


def _portable(architecture: Architecture, model: Model) -> Model:
    """The model as loading it will give it, so that both predict the same to the last bit."""
    restore = family_of(architecture).restore
    if restore is None or not isinstance(model, Storable):
        return model
    arrays, values = model.parts()
    return restore(arrays, json.loads(json.dumps(values)))


def _index(labels: Sequence[Any]) -> pd.Index:
    """Names as they are found again: numbers if all are numbers, else texts. Raises ValueError if two are equal."""
    numeric = all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels)
    index = pd.Index(labels) if numeric else pd.Index([str(label) for label in labels], dtype=object)
    if not index.is_unique:
        raise ValueError("two rows of a mode have the same name")
    return index


def _digest(record: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}), but every stored model has it.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(_bytes(path))
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}.") from error
    if not isinstance(record, dict):
        raise InputError(f"'{path}' must be one JSON object.")
    return record
