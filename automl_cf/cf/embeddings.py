"""Embedding tables and what trains them: initial values, penalty, Adagrad, projection, cold rows, batches.

Shared by the training of one candidate and by the supernet, so that both minimise the same objective.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from automl_cf.cf.ratings import RatingTensor
from automl_cf.cf.shuffle import shuffled
from automl_cf.cf.training import Training

EPSILON = 1e-10  # in Adagrad's denominator: rows that were never touched do not move


@dataclass(frozen=True)
class DeviceRatings:
    """A part's ratings on the device: one index vector (n,) per mode, and the values (n,)."""

    indices: tuple[Tensor, ...]
    values: Tensor

    @classmethod
    def of(cls, part: RatingTensor, device: str, dtype: torch.dtype) -> "DeviceRatings":
        """Copy a part to the device."""
        columns = tuple(torch.tensor(part.indices[:, mode].copy(), device=device) for mode in range(part.order))
        return cls(columns, torch.tensor(part.values.copy(), dtype=dtype, device=device))

    def take(self, rows: Tensor) -> "DeviceRatings":
        """The given ratings."""
        return DeviceRatings(tuple(i.index_select(0, rows) for i in self.indices), self.values[rows])

    def __len__(self) -> int:
        return len(self.values)


def dtype_of(training: Training) -> torch.dtype:
    """The study's floating-point type."""
    return torch.float64 if training.precision == "float64" else torch.float32


def initial_tables(
    shape: Sequence[int], dim: int, training: Training, rng: np.random.Generator, device: str
) -> list[Tensor]:
    """One normal table (rows, dim) per mode, standard deviation `init_scale`, drawn on the CPU."""
    return [
        torch.tensor(rng.normal(0.0, training.init_scale, (n, dim)), dtype=dtype_of(training), device=device)
        for n in shape
    ]


def initial_predictor(width: int, training: Training, rng: np.random.Generator, device: str) -> Tensor:
    """A random direction w of norm 1."""
    w = rng.normal(size=width)
    return torch.tensor(w / np.linalg.norm(w), dtype=dtype_of(training), device=device)


def shuffled_batches(n: int, batch_size: int, rng: np.random.Generator, device: str) -> Iterator[Tensor]:
    """The row numbers 0..n-1 in random order, in batches (0: one full batch)."""
    rows = torch.from_numpy(shuffled(n, rng).astype(np.int64)).to(device)
    yield from torch.split(rows, batch_size or n)


class Penalty:
    """The part of the objective that keeps the embeddings small; see `Training` for its three forms."""

    def __init__(self, train: DeviceRatings, shape: Sequence[int], kind: str) -> None:
        self.kind = kind
        self.shape = tuple(shape)
        n = len(train)
        dtype = train.values.dtype
        self._inverse_share = [
            n / torch.bincount(index, minlength=rows).clamp(min=1).to(dtype)
            for index, rows in zip(train.indices, shape, strict=True)
        ]

    def __call__(self, tables: Sequence[Tensor], batch: DeviceRatings, l2: float) -> Tensor:
        """The penalty of one batch, a scalar."""
        total = batch.values.new_zeros(())
        for mode, (table, index) in enumerate(zip(tables, batch.indices, strict=True)):
            count = torch.bincount(index, minlength=self.shape[mode]).to(table.dtype)
            squares = (table * table).sum(1)
            if self.kind == "expected":
                total = total + 0.5 * (count * self._inverse_share[mode]) @ squares / len(batch)
            elif self.kind == "touched":
                total = total + 0.5 * (count > 0).to(table.dtype) @ squares
            else:
                total = total + (count @ squares).sqrt()
        return l2 * total


class Adagrad:
    """Adagrad (Duchi et al. 2010) in place. A zero gradient moves nothing: only touched rows ever do."""

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float) -> None:
        self.parameters = list(parameters)
        self.sums = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.learning_rate = learning_rate

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """One step; a parameter whose gradient is None stays."""
        with torch.no_grad():
            for parameter, gradient, total in zip(self.parameters, gradients, self.sums, strict=True):
                if gradient is not None:
                    total.addcmul_(gradient, gradient)
                    parameter.addcdiv_(gradient, total.sqrt().add_(EPSILON), value=-self.learning_rate)


def project_predictor(w: Tensor) -> None:
    """In place: the nearest w with norm at most 1 (equation 5)."""
    with torch.no_grad():
        w.mul_(1.0 / w.norm().clamp(min=1.0))


class ColdRows:
    """The policy for rows without a training rating: in their place stands the mean of the warm rows."""

    def __init__(self, train: RatingTensor, device: str) -> None:
        masks = [torch.from_numpy(train.counts(mode) == 0).to(device) for mode in range(train.order)]
        self._masks = [mask if bool(mask.any()) else None for mask in masks]

    def filled(self, tables: Sequence[Tensor]) -> list[Tensor]:
        """The tables with their cold rows replaced."""
        return [
            table if mask is None else torch.where(mask.unsqueeze(1), table[~mask].mean(0), table)
            for table, mask in zip(tables, self._masks, strict=True)
        ]
