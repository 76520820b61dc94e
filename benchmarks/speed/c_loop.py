"""The plain C loop (loop.c) from Python: compiled for a dimension with the compiler at hand, called through ctypes."""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf.elementwise import MODE_VECTORS
from automl_cf.cf.embeddings import EPSILON, initial_predictor, initial_tables
from automl_cf.cf.operations import operations
from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Training
from automl_cf.spaces.architecture import Architecture

OPERATIONS = ("multiply", "plus", "min", "max", "concat")  # in the order of loop.c's enum
PHASES = ("gather", "touch", "networks", "scores and gradients", "update")  # likewise
FLAGS = [
    *("-std=c11", "-O3", "-march=native", "-ffast-math", "-fopenmp-simd", "-fPIC"),
    # -ffast-math alone has divisions and roots approximated on x86, which takes longer than dividing by now.
    *(["-mrecip=!vec-div,!vec-sqrt"] if platform.machine() in ("x86_64", "AMD64") else []),
]

_NONE = np.iinfo(np.uint32).max


class NoCompiler(Exception):  # noqa: N818 - a row of the tables is left out, nothing is wrong
    """There is no C compiler, or it cannot build loop.c."""


class _Mode(ctypes.Structure):
    """`Mode` of loop.c: pointers only."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            *("table", "sum", "share", "vector", "slot", "touched", "place", "count"),
            *("x", "value", "slope", "grad"),
        )
    ]


class _Model(ctypes.Structure):
    """`Model` of loop.c."""

    _fields_ = [
        ("mode", _Mode * 2),
        *((name, ctypes.c_void_p) for name in ("ratings", "y", "w", "wsum")),
        *((name, ctypes.c_float) for name in ("rate", "epsilon", "l2")),
        ("operation", ctypes.c_int32),
        ("seconds", ctypes.c_double * len(PHASES)),
    ]


class CModel:
    """One model that the C loop trains, in float32, begun from the same random numbers as the engines'."""

    def __init__(
        self,
        architecture: Architecture,
        data: SearchData,
        training: Training,
        dim: int,
        l2: float,
        rng: np.random.Generator,
    ) -> None:
        name = str(architecture["operation"])
        n = len(data.train)
        self.batch = min(training.batch_size or n, n)
        self.tables = [table.numpy() for table in initial_tables(data.train.shape, dim, training, rng, "cpu")]
        self.w = initial_predictor(operations.get(name).width(dim, 2), training, rng, "cpu").numpy()
        self._kept: list[NDArray[Any]] = []  # what the pointers point to
        self.struct = _Model(
            mode=tuple(self._mode(mode, architecture, data, dim) for mode in range(2)),
            ratings=self._pointer(_packed(data.train)),
            y=self._pointer(np.empty(self.batch, np.float32)),
            w=self._pointer(self.w),
            wsum=self._pointer(np.zeros_like(self.w)),
            rate=training.learning_rate,
            epsilon=EPSILON,
            l2=l2,
            operation=OPERATIONS.index(name),
        )

    @property
    def phases(self) -> dict[str, float]:
        """Seconds by phase so far, of a loop built with `phases`."""
        return dict(zip(PHASES, self.struct.seconds, strict=True))

    def _mode(self, mode: int, architecture: Architecture, data: SearchData, dim: int) -> _Mode:
        rows, counts = data.train.shape[mode], data.train.counts(mode)
        network = architecture.get(MODE_VECTORS[mode])
        scratch = np.empty((4, self.batch, dim), np.float32)
        return _Mode(
            table=self._pointer(self.tables[mode]),
            sum=self._pointer(np.zeros_like(self.tables[mode])),
            share=self._pointer((len(data.train) / np.maximum(counts, 1)).astype(np.float32)),
            vector=None if network is None else self._pointer(np.array(network, np.float32)),
            slot=self._pointer(np.full(rows, _NONE, np.uint32)),
            touched=self._pointer(np.empty(self.batch + 1, np.uint32)),
            place=self._pointer(np.empty(self.batch, np.uint32)),
            count=self._pointer(np.empty(self.batch, np.uint32)),
            **{name: self._pointer(part) for name, part in zip(("x", "value", "slope", "grad"), scratch, strict=True)},
        )

    def _pointer(self, array: NDArray[Any]) -> int:
        self._kept.append(array)
        return array.ctypes.data


@dataclass(frozen=True)
class CLoop:
    """loop.c compiled for one dimension and one number of units per network."""

    dim: int
    units: int
    library: ctypes.CDLL

    @classmethod
    @cache
    def build(cls, dim: int, units: int = 5, phases: bool = False) -> Self:
        """Compile; `phases` counts the seconds of each phase. Raises NoCompiler."""
        defines = [f"-DDIM={dim}", f"-DUNITS={units}", *(["-DPHASES"] if phases else [])]
        library = ctypes.CDLL(str(_compile(defines)))
        library.train_epoch.argtypes = [ctypes.POINTER(_Model), ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32]
        library.train_epoch.restype = None
        library.shuffle.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint64)]
        library.shuffle.restype = None
        return cls(dim, units, library)

    def start(
        self, architecture: Architecture, data: SearchData, training: Training, l2: float, rng: np.random.Generator
    ) -> CModel:
        """A fresh model: the tables and w that `train_interaction` would draw from `rng`.

        Raises ValueError for networks of another size and for another penalty than `expected`.
        """
        sizes = {len(architecture[name]) for name in MODE_VECTORS[:2] if name in architecture}  # type: ignore[arg-type]
        if not sizes <= {3 * self.units + 1} or training.penalty != "expected":
            raise ValueError(f"loop.c is built for {self.units} units and the penalty `expected`.")
        return CModel(architecture, data, training, self.dim, l2, rng)

    def epoch(self, model: CModel, order: NDArray[np.uint32]) -> None:
        """Train one epoch over the ratings in the given order."""
        self.library.train_epoch(model.struct, order.ctypes.data, len(order), model.batch)

    def shuffle(self, order: NDArray[np.uint32], state: ctypes.c_uint64) -> None:
        """Fill `order` with a random order of its places, drawn in C; `state` is the generator's and moves on."""
        self.library.shuffle(order.ctypes.data, len(order), state)


def _packed(ratings: RatingTensor) -> NDArray[np.void]:
    """Each rating's rows and value side by side, as `Rating` of loop.c: one access to memory fetches all of it."""
    packed = np.empty(len(ratings), [("row", np.uint32, 2), ("y", np.float32)])
    packed["row"] = ratings.indices
    packed["y"] = ratings.values
    return packed


@cache
def compiler() -> str:
    """The C compiler's name: $CC, cc, gcc or clang. Raises NoCompiler."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise NoCompiler("no C compiler: neither $CC nor cc, gcc or clang was found")


def _compile(defines: Sequence[str]) -> Path:
    """Build the shared library and return its path.

    Linked without -ffast-math, which would make GCC switch the whole process to flushing denormal numbers.
    """
    folder = Path(_folder().name)
    name = "loop" + "".join(defines)
    made, library = folder / f"{name}.o", folder / f"{name}.so"
    with as_file(files(__package__) / "loop.c") as source:
        for command in (
            [compiler(), *FLAGS, *defines, "-c", str(source), "-o", str(made)],
            [compiler(), "-shared", str(made), "-o", str(library), "-lm"],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise NoCompiler(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return library


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where this process keeps what it builds; removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="automl-cf-speed-")
