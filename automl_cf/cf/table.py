"""A finite part of the paper's space, every architecture of which has been trained: lookups instead of trainings.

The space is an operation, and for users and for items one element-wise function of a small bank. A table holds, for
each architecture and each seed (split, initialisation and batch order), what `Problem.evaluate` gave: the learning
curve, visits and seconds. Replayed, it makes ask/tell searchers comparable on hundreds of seeds in seconds, at any
number of epochs. `python -m automl_cf.benchmarks.table` makes the committed ones.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from automl_cf.cf.data.parquet import ERRORS, read_columns
from automl_cf.cf.elementwise import near_identity, project_to_ball
from automl_cf.cf.problem import Evaluation
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.interaction import OPERATIONS
from automl_cf.spaces.parameters import Choice
from automl_cf.spaces.space import Space

UNITS, ACTIVATION, BOUND = 5, "sigmoid", 3.0

_RANDOM = 3
_KEY = ["operation", "users", "items"]


@cache
def bank() -> Mapping[str, tuple[float, ...] | None]:
    """The element-wise functions by name: networks of the paper's space, None being the identity.

    Odd and nearly linear, the same reversed, saturating early, even (like a square), and some drawn at random.
    """
    linear = near_identity(UNITS, ACTIVATION, BOUND)
    steep = linear * np.repeat([2.0, 1.0, 0.5, 0.5], [UNITS, UNITS, UNITS, 1])
    w = np.array([1.0, -1.0, 0.0, 0.0, 0.0])
    even = np.concatenate([w, np.full(UNITS, -1.0), np.abs(w), [-2 / (1 + math.e)]])
    functions = {"linear": linear, "reversed": linear * np.repeat([1, 1, -1, -1], [UNITS, UNITS, UNITS, 1])}
    functions |= {"steep": steep, "even": even}
    for i, rng in enumerate(np.random.default_rng(0).spawn(_RANDOM)):
        functions[f"random-{i + 1}"] = BOUND * rng.normal(size=3 * UNITS + 1) / (3 * UNITS + 1) ** 0.5
    networks = {name: tuple(project_to_ball(vector, BOUND).tolist()) for name, vector in functions.items()}
    return {"identity": None, **networks}


def table_space() -> Space:
    """The space of the table: three choices."""
    functions = tuple(bank())
    return Space("table", (Choice("operation", OPERATIONS), Choice("users", functions), Choice("items", functions)))


def interaction_of(architecture: Architecture) -> Architecture:
    """The interaction function that an architecture of the table's space stands for."""
    vectors = {name: bank()[str(architecture[mode])] for name, mode in (("p", "users"), ("q", "items"))}
    networks = {name: vector for name, vector in vectors.items() if vector is not None}
    constants = {"activation": ACTIVATION} if networks else {}
    return Architecture({"operation": architecture["operation"], **networks, **constants})


def architectures() -> Iterable[Architecture]:
    """Every architecture of the table's space."""
    for operation in OPERATIONS:
        for users in bank():
            for items in bank():
                yield Architecture({"operation": operation, "users": users, "items": items})


@dataclass(frozen=True)
class Row:
    """One training of one architecture. `rmse` and `test` are in standard deviations of the training part.

    `test` is of the same fit, for the eyes of the analysis only: `Table.evaluate` does not give it.
    """

    seed: int
    operation: str
    users: str
    items: str
    status: str
    rmse: float | None
    test: float | None
    epochs: int
    best_epoch: int
    curve: tuple[float, ...]
    visits: int
    train: float
    validate: float


_COLUMNS = tuple(field.name for field in fields(Row))


def _checked(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table, if they are such as `Row` says; else it raises ValueError."""
    for name in ("seed", "epochs", "best_epoch", "visits"):
        if not pd.api.types.is_integer_dtype(rows[name]) or (rows[name] < 0).any():
            raise ValueError(f"column '{name}' must have whole numbers of at least 0")
    for name in ("rmse", "test", "train", "validate"):
        if not pd.api.types.is_float_dtype(rows[name]):
            raise ValueError(f"column '{name}' must have numbers")
    for name in (*_KEY, "status"):
        if not all(isinstance(value, str) for value in rows[name]):
            raise ValueError(f"column '{name}' must have texts")
    for curve in rows["curve"]:
        if not isinstance(curve, np.ndarray) or curve.dtype.kind != "f" or not len(curve):
            raise ValueError("column 'curve' must have lists of numbers")
    return rows


class Table:
    """All trainings on one data set: `rows` has one line for each architecture and seed, see `Row`."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.seeds = sorted(rows["seed"].unique().tolist())

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """A table of trainings."""
        return cls(pd.DataFrame([asdict(row) for row in rows]))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a Parquet file. Raises InputError for one that is missing, or that is no complete table."""
        try:
            rows = read_columns(path, list(_COLUMNS))
            table = cls(_checked(rows))
            complete = len(rows) == len(table.seeds) * len(list(architectures())) == len(table._index)
        except InputError:
            raise
        except ERRORS as error:
            raise InputError(f"table '{path}' cannot be read: {' '.join(str(error).split()):.300}.") from error
        if not complete:
            raise InputError(f"table '{path}' does not have every architecture exactly once for each seed.")
        return table

    def write(self, path: Path) -> None:
        """Write a Parquet file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows.to_parquet(path, index=False, compression="zstd")

    @cached_property
    def _index(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        records: list[dict[str, Any]] = self.rows.to_dict("records")  # type: ignore[assignment] # their keys are texts
        return {(row["seed"], *(row[k] for k in _KEY)): row for row in records}

    def row(self, architecture: Architecture, seed: int) -> dict[str, Any]:
        """The training of an architecture; raises InputError for one that is not in the table."""
        key = (seed, *(architecture.get(k) for k in _KEY))
        if key not in self._index:
            raise InputError(f"the table has no training of {architecture.to_json()} for seed {seed}.")
        return self._index[key]

    def evaluate(self, architecture: Architecture, seed: int, epochs: int | None = None) -> Evaluation:
        """What training it gave, or would have given after `epochs` only; costs are in proportion."""
        row = self.row(architecture, seed)
        curve = tuple(float(value) for value in row["curve"])
        ran = len(curve) if epochs is None else min(epochs, len(curve))
        cost = {kind: float(row[kind]) * ran / len(curve) for kind in ("train", "validate")}
        visits = int(row["visits"]) * ran // len(curve)
        part = np.array(curve[:ran])
        if not np.isfinite(part).all():
            return Evaluation("diverged", None, ran, 0, curve[:ran], visits, cost)
        best = int(part.argmin())
        return Evaluation("ok", float(part[best]), ran, best + 1, curve[:ran], visits, cost)

    def best(self, seed: int) -> float:
        """The best validation RMSE of the whole table: what regret is measured from."""
        return float(self.rows.loc[self.rows["seed"] == seed, "rmse"].min())
