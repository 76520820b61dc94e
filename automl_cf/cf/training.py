"""The training protocol common to all searchers of a study, and what one training leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, field_validator

from automl_cf.cf.meter import Meter
from automl_cf.spaces.architecture import Architecture

PAPER_L2_GRID = (0.0, 1e-6, 5e-6, 1e-5, 5e-5, 1e-4)  # section 4.1

_MIN_GAIN = 1e-5  # a smaller gain in validation RMSE does not reset the patience

Status = Literal["ok", "diverged", "crashed", "failed", "invalid", "timeout", "out-of-memory"]


class Training(BaseModel):
    """How a candidate is trained: part of the study, the same for every searcher, recorded.

    The objective is the batch's mean squared error + penalty, minimised by Adagrad on the rows that the batch
    touches, with each predictor's norm at most 1 by projection (equation 5). `penalty` says which:

    * `expected` (default): l2/2 * mean over the batch's ratings of sum over modes N/n_row ||row||^2, n_row
      the row's number of training ratings: in expectation l2/2 (||U||^2 + ||V||^2) at any batch size;
    * `touched`: l2/2 * the sum of squares of the rows that the batch touches, each once;
    * `unsquared`: l2 * the norms (not squared) of the batch's gathered embeddings, as in the authors' code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learning_rate: float = Field(default=0.2, gt=0)
    init_scale: float = Field(default=0.1, gt=0, description="standard deviation of the initial embeddings")
    batch_size: int = Field(default=2048, ge=0, description="ratings a step; 0 is the full batch")
    max_epochs: int = Field(default=60, gt=0)
    patience: int = Field(default=5, gt=0, description="epochs without a better validation RMSE before it stops")
    search_l2: float = Field(default=1e-5, ge=0, description="l2 of every candidate during the search")
    l2_grid: tuple[NonNegativeFloat, ...] = Field(default=PAPER_L2_GRID, min_length=1)
    penalty: Literal["expected", "touched", "unsquared"] = "expected"
    precision: Literal["float32", "float64"] = "float32"
    engine: Literal["fused", "reference", "batched"] = Field(
        default="fused",
        description="fused: Numba kernels, on the CPU; reference: PyTorch, any device; batched: the same for "
        "many candidates at once",
    )

    @field_validator("l2_grid")
    @classmethod
    def _sorted(cls, grid: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(grid)))


class Model(Protocol):
    """A trained model."""

    def predict(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predict standardised ratings, (n,), for indices of shape (n, order)."""


@runtime_checkable
class Storable(Protocol):
    """A model that can be stored: its family's `restore` makes it again of these parts."""

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays by name, and JSON values."""


@runtime_checkable
class Settling(Protocol):
    """A model of an architecture that leaves something to validation beside l2 and the number of epochs."""

    def settled(self, architecture: Architecture) -> Architecture:
        """The architecture with what was chosen in it."""


@dataclass(frozen=True)
class Fit:
    """One finished training: the state with the best validation RMSE, and how it went.

    `rmse` is the validation RMSE in units of the training part's standard deviation, NaN unless `status` is
    ok; `curve` has it for every epoch. `best_epoch` counts from 1.
    """

    status: Status
    rmse: float
    l2: float
    epochs: int
    best_epoch: int
    curve: tuple[float, ...] = ()
    model: Model | None = field(default=None, repr=False)


def settled(architecture: Architecture, fit: Fit) -> Architecture:
    """The architecture with what validation has chosen within it, such as an ensemble's models and weights."""
    return fit.model.settled(architecture) if isinstance(fit.model, Settling) else architecture


class Progress:
    """One training as its validation sees it: the curve so far, and the state with the best validation RMSE.

    `patience` is the number of epochs without a better RMSE after which it ends.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.curve: list[float] = []
        self._best, self._best_epoch = float("inf"), 0
        self._model: Model | None = None
        self._reference, self._last_gain = float("inf"), 0

    def goes_on(self, rmse: float, freeze: Callable[[], Model]) -> bool:
        """Take note of an epoch's validation RMSE, and tell whether another epoch is worth it.

        `freeze` gives the model that `rmse` was measured on; it is called if that is the best so far. A non-finite
        `rmse` ends the training.
        """
        self.curve.append(rmse)
        epoch = len(self.curve)
        if not np.isfinite(rmse):
            return False
        if rmse < self._best:
            self._best, self._best_epoch, self._model = rmse, epoch, freeze()
        if rmse < self._reference - _MIN_GAIN:
            self._reference, self._last_gain = rmse, epoch
        return epoch - self._last_gain < self.patience

    def fit(self, l2: float) -> Fit:
        """What the training came to: `diverged` if its last RMSE is not finite, else `ok`."""
        epochs, curve = len(self.curve), tuple(self.curve)
        if not np.isfinite(curve).all():
            return Fit("diverged", float("nan"), l2, epochs, self._best_epoch, curve)
        return Fit("ok", self._best, l2, epochs, self._best_epoch, curve, self._model)


def train_until_best(
    training: Training,
    epochs: int | None,
    l2: float,
    meter: Meter,
    train_epoch: Callable[[], None],
    validate: Callable[[], tuple[float, Callable[[], Model]]],
) -> Fit:
    """The loop of every engine: epochs until validation stops improving, the best state kept.

    `validate` gives the validation RMSE and a way to freeze the state that it was measured on; `epochs`
    overrides the training's `max_epochs` (a lower fidelity). A non-finite RMSE ends it with status
    `diverged`. Raises `BudgetExhausted` through `meter.check()`.
    """
    progress = Progress(training.patience)
    for _ in range(epochs or training.max_epochs):
        with meter.timed("train"):
            train_epoch()
        with meter.timed("validate"):
            rmse, freeze = validate()
        if not progress.goes_on(rmse, freeze):
            break
        meter.check()
    return progress.fit(l2)
