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
from automl_cf.cf.models import TrainingTask, family_of, task_of, train_over_grid
from automl_cf.cf.names import Names, is_text, text_of
from automl_cf.cf.ratings import RatingTensor, content_hash
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Model, Storable, settled
from automl_cf.errors import AutomlCfError, InputError, suggest
from automl_cf.reading import first_bytes, read_json
from automl_cf.spaces.architecture import Architecture

ARRAYS_NAME, JSON_NAME = "model.safetensors", "model.json"
MODES = ("user", "item", "context")  # what the modes are called where nothing else is known

_FORMAT = 1
_UNFIT = (SafetensorError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What reading a model raises whose parts do not fit together."""

_NEEDED = ", but every stored model has it"
_MOST_BYTES = 64 << 30  # of arrays
_KEYS = {"format", "columns", "labels", "mean", "std", "architecture", "values", "trained", "arrays", "digest"}


@dataclass(frozen=True, eq=False)
class PortableModel:
    """A model with the names of its rows.

    `columns` names the modes, `names` the rows of each; the model has one row more in each mode, the last, which
    stands for all that are not known. `mean` and `std` bring its predictions into the data's units. `trained` says
    how it came about: JSON values, for the reader's information.
    """

    architecture: Architecture
    model: Model
    columns: tuple[str, ...]
    names: tuple[Names, ...]
    mean: float
    std: float
    trained: Mapping[str, Any]

    def predict(self, rows: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        """Predict ratings, (n,), in the data's units, for rows of names: a frame with `columns`, or (n, order).

        A name that is not known stands for the mean of those that are (the policy for cold rows). Raises InputError
        for a column that is missing.
        """
        columns = zip(self.names, self._columns_of(rows), strict=True)
        return self._in_data_units(np.stack([names.numbers(column) for names, column in columns], axis=1))

    def recommend(
        self,
        users: Any,
        n: int = 10,
        seen: pd.DataFrame | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """The `n` items with the highest predictions for each user, best first: a frame with a row each.

        `users` is a list of names, or one name. The first mode are the users, the second the items; `context` names
        what the others are, by their columns, such as {"month": 3}. A column that it does not have stands for the
        row of the names that are not known, which is the mean of those that are; so does a name that is not known,
        and such a user.

        The frame's columns are the first two modes' and `prediction`; equal ones stand in the items' order. Items
        that `seen` has with the user, in whatever context, are left out, so there may be fewer. Raises InputError for
        a context that the model does not have, for users that are no list, and for `n` below 1.
        """
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
            raise InputError(f"recommend: n is {n!r:.60}, but must be an integer of at least 1.")
        (user, item, *_), (known, items, *_) = self.columns, self.names
        further = self._numbers_in(context)
        listed = _listed(users)
        numbers = known.numbers(listed)
        taken: dict[int | str, list[int]] = {}
        if seen is not None:
            who, what = (np.asarray(column) for column in self._columns_of(seen, 2))
            own = np.isin(known.numbers(who), numbers)
            for name, number, rated in zip(who[own], known.numbers(who[own]), items.numbers(what[own]), strict=True):
                taken.setdefault(_who(name, number, known), []).append(rated)
        frames = [pd.DataFrame({user: [], item: [], "prediction": np.empty(0)})]
        for name, number in zip(listed, numbers, strict=True):
            free = np.setdiff1d(np.arange(len(items)), taken.get(_who(name, number, known), []))
            fixed = [np.full(len(free), other) for other in further]
            prediction = self._in_data_units(np.stack([np.full(len(free), number), free, *fixed], axis=1))
            best = np.argsort(-prediction, kind="stable")[:n]
            chosen = [items.labels[i] for i in free[best]]
            frames.append(pd.DataFrame({user: name, item: chosen, "prediction": prediction[best]}))
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
            "labels": [names.labels for names in self.names],
            "mean": self.mean,
            "std": self.std,
            "architecture": self.architecture.to_json(),
            "values": values,
            "trained": dict(self.trained),
            "arrays": hashlib.sha256(content).hexdigest(),
        }
        record["digest"] = _digest(record)
        try:
            text = json.dumps(record, allow_nan=False) + "\n"
        except ValueError as error:
            raise InputError(f"the model cannot be stored, a number of it is not finite: {error}.") from error
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ARRAYS_NAME).write_bytes(content)
            (folder / JSON_NAME).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"'{folder}' cannot be written: {error.strerror}.") from error

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a folder. Raises InputError for one that is no model, was changed, or is of a later version."""
        folder = Path(folder)
        record, content = read_json(folder / JSON_NAME, _NEEDED), _bytes(folder / ARRAYS_NAME)
        if record.get("format") != _FORMAT:
            raise InputError(
                f"'{folder / JSON_NAME}' has the format {record.get('format')!r:.60}, but this version reads {_FORMAT}."
            )
        if set(record) != _KEYS or record["digest"] != _digest(record):
            raise InputError(f"'{folder / JSON_NAME}' was changed since the model was stored; export it again.")
        if record["arrays"] != hashlib.sha256(content).hexdigest():
            raise InputError(f"'{folder / ARRAYS_NAME}' was changed since the model was stored; export it again.")
        try:
            return cls._of(record, load_arrays(content))
        except _UNFIT as error:
            reason = f"{' '.join(str(error).split()):.300}".rstrip(".") or type(error).__name__
            raise InputError(f"'{folder}' does not hold a model that can be read: {reason}.") from error

    @classmethod
    def _of(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model of what `save` wrote; raises one of `_UNFIT` where its parts do not fit together."""
        architecture = Architecture.from_json(record["architecture"])
        restore = family_of(architecture).restore
        if restore is None:
            raise ValueError("no model of its family can be stored")
        columns = tuple(map(str, record["columns"]))
        if not all(map(is_text, columns)):
            raise ValueError("its columns have names that are no texts in Unicode")
        names = tuple(Names(labels, column) for labels, column in zip(record["labels"], columns, strict=True))
        _check_sizes(arrays, [len(own) + 1 for own in names])
        model = restore(arrays, record["values"])
        mean, std = float(record["mean"]), float(record["std"])
        if len(set(columns)) < len(columns) or not std > 0 or not isinstance(record["trained"], Mapping):
            raise ValueError("its columns, std or trained make no sense")
        result = cls(architecture, model, columns, names, mean, std, record["trained"])
        unknown = np.array([[len(own) for own in names]])
        if not np.isfinite(result._in_data_units(unknown)).all():
            raise ValueError("its predictions are no numbers")
        return result

    def _in_data_units(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(self.model.predict(indices), np.float64) * self.std + self.mean

    def _numbers_in(self, context: Mapping[str, Any] | None) -> list[int]:
        """The number of each further mode's row in a context."""
        further = self.columns[2:]
        if context is not None and not isinstance(context, Mapping):
            raise InputError(
                f"recommend: context is {context!r:.60}, but must map columns to names, such as month to 3."
            )
        given = {str(column): name for column, name in (context or {}).items()}
        for column, name in given.items():
            if column not in further:
                right = f"one of {', '.join(further)}" if further else "absent, since this model has none"
                raise InputError(
                    f"recommend: context has '{_cut(column, 60)}', but must be {_cut(right)}.{suggest(column, further)}"
                )
            if pd.api.types.is_list_like(name):
                raise InputError(
                    f"recommend: context has {name!r:.60} as '{_cut(column, 60)}', but must have one name for it."
                )
        return [
            int(names.numbers([given.get(column)])[0]) for column, names in zip(further, self.names[2:], strict=True)
        ]

    def _columns_of(self, rows: pd.DataFrame | NDArray[Any], modes: int | None = None) -> list[Any]:
        """The names in a frame's columns, or an array's, of the first so many modes, or of all."""
        needed = self.columns[:modes]
        if isinstance(rows, pd.DataFrame):
            there = [str(name) for name in rows.columns]
            for name in needed:
                if there.count(name) != 1:
                    wrong = "there twice" if name in there else "missing"
                    raise InputError(
                        f"column '{_cut(name, 60)}' is {wrong}; the model needs {_cut(', '.join(needed))}, and there "
                        f"are {_cut(', '.join(there))}."
                    )
            return [rows.iloc[:, there.index(name)] for name in needed]
        array = np.asarray(rows)
        if array.ndim != 2 or array.shape[1] not in (len(needed), len(self.columns)):
            raise InputError(f"rows of names have shape {array.shape}, but must have {len(self.columns)} columns.")
        return list(array.T[: len(needed)])


def _cut(text: str, most: int = 300) -> str:
    """A text of a file for a message."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _listed(users: Any) -> list[Any]:
    """A list of users' names, or one user's. Raises InputError for what is neither."""
    if not pd.api.types.is_list_like(users):
        listed = [users[()] if isinstance(users, np.ndarray) else users]
    else:
        listed = list(users)
    nested = isinstance(users, pd.DataFrame) or any(pd.api.types.is_list_like(name) for name in listed)
    if nested or isinstance(users, Mapping):
        raise InputError(f"recommend: users is a {type(users).__name__} of more than names; give a list of names.")
    for name in listed:
        if isinstance(name, str) and not is_text(name):
            raise InputError(f"recommend: users has {name!r:.60}, but must have texts in Unicode.")
    return listed


def _who(name: Any, number: np.int64, known: Names) -> int | str:
    """Tells users apart, those that are not known as well."""
    return int(number) if number < len(known) else text_of(name)


def take_home(
    architecture: Architecture,
    ratings: RatingTensor,
    task: TrainingTask,
    *,
    columns: Sequence[str] = (),
    trained: Mapping[str, Any] | None = None,
) -> PortableModel:
    """`train_on_all`, with what the validation part of the task chooses: l2, epochs, and an ensemble's models.

    `trained` gets the validation RMSE, in the ratings' units, before it was trained on all. Raises AutomlCfError if
    either training does not come to a model.
    """
    fit, _ = train_over_grid(architecture, task, NullMeter())
    if fit.status != "ok":
        raise AutomlCfError(f"training {architecture.to_json()} once more ended as: {fit.status}.")
    facts = {**(trained or {}), "validation_rmse": fit.rmse * task.data.std}
    chosen = settled(architecture, fit)
    return train_on_all(chosen, ratings, task, l2=fit.l2, epochs=fit.best_epoch, columns=columns, trained=facts)


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
    own = replace(task_of(architecture, task), data=data, training=training)
    fit = family_of(architecture).train(architecture, own, l2, NullMeter(), epochs)
    if fit.status != "ok" or fit.model is None:
        raise AutomlCfError(f"the training on all ratings came to nothing: {fit.status}.")
    labels = ratings.labels or tuple(np.arange(size) for size in ratings.shape)
    called = tuple(columns) or (*MODES[: ratings.order], *(f"mode{i + 1}" for i in range(len(MODES), ratings.order)))
    facts = {"l2": l2, "epochs": epochs, "dim": own.dim, "ratings": len(ratings), **(trained or {})}
    model = _portable(architecture, fit.model)
    names = tuple(Names(own, column) for own, column in zip(labels, called, strict=True))
    return PortableModel(architecture, model, called, names, mean, std, facts)


def _portable(architecture: Architecture, model: Model) -> Model:
    """The model as loading it will give it, so that both predict the same to the last bit."""
    restore = family_of(architecture).restore
    if restore is None or not isinstance(model, Storable):
        return model
    arrays, values = model.parts()
    return restore(arrays, json.loads(json.dumps(values)))


def _check_sizes(arrays: Mapping[str, NDArray[Any]], sizes: Sequence[int]) -> None:
    """Raise ValueError if a mode's table has not as many rows as the mode has names, and one."""
    for name, array in arrays.items():
        prefix, _, last = name.rpartition(".")
        kind, mode = last.rstrip("0123456789"), last.lstrip("abcdefghijklmnopqrstuvwxyz")
        beside_tables = f"{prefix}.table0".lstrip(".") in arrays  # what is called bias there, is of a layer
        of_rows = kind in ("table", "factors", "rowbias") or (kind == "bias" and not beside_tables)
        if of_rows and (not mode or int(mode) >= len(sizes) or len(array) != sizes[int(mode)]):
            raise ValueError(f"{name} has {len(array)} rows, which are not those of its names")


def _digest(record: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return first_bytes(path, _MOST_BYTES)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}){_NEEDED}.") from error
