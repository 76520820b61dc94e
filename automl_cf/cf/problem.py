"""The problem that a searcher sees: train and validate what it proposes. There is no test part in here."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

import numpy as np

from automl_cf.cf.biased import BIAS_KEY, rest_of
from automl_cf.cf.fused_supernet import FusedSupernet
from automl_cf.cf.meter import BudgetExhausted, Meter
from automl_cf.cf.models import TrainingTask, train
from automl_cf.cf.predictor import LINEAR, predictor_of
from automl_cf.cf.supernet import Supernet
from automl_cf.cf.training import Fit, Status
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.views.relaxation import Relaxation


@dataclass(frozen=True)
class Evaluation:
    """What one stand-alone training and validation of an architecture came to.

    `rmse` is the validation RMSE in units of the training part's standard deviation, None unless ok.
    """

    status: Status
    rmse: float | None
    epochs: int = 0
    best_epoch: int = 0
    curve: tuple[float, ...] = ()
    visits: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def loss(self) -> float:
        """What a searcher minimises: `rmse`, or infinity where there is none."""
        return float("inf") if self.rmse is None else self.rmse

    def with_cost(self, visits: int, seconds: dict[str, float]) -> "Evaluation":
        """The same with what it cost."""
        return replace(self, visits=visits, seconds=seconds)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; a curve's non-finite entries become null."""
        curve = [value if np.isfinite(value) else None for value in self.curve]
        return {**asdict(self), "curve": curve}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Evaluation":
        """The inverse of `to_json`."""
        return cls(**{**values, "curve": tuple(float("nan") if v is None else v for v in values["curve"])})


@dataclass(frozen=True)
class Incumbent:
    """The best architecture so far; `rmse` is the searcher's own estimate of it (None where it has none)."""

    architecture: Architecture
    rmse: float | None


class Problem:
    """One cell's training and validation data with the study's training protocol.

    One-shot searchers build a supernet on it; for ask/tell searchers the suite evaluates their proposals.
    """

    def __init__(self, task: TrainingTask, meter: Meter) -> None:
        self.task = task
        self.meter = meter

    def evaluate(self, architecture: Architecture, epochs: int | None = None) -> Evaluation:
        """Train and validate one architecture at the search l2. What goes wrong is a result, not a crash."""
        try:
            fit = train(architecture, self.task, self.meter, epochs=epochs)
            return _checked(fit)
        except BudgetExhausted:
            raise
        except InputError as error:
            return Evaluation("invalid", None, error=str(error))
        except (Exception, SystemExit) as error:  # a plug-in's model may raise anything, and give anything
            exhausted = isinstance(error, MemoryError) or "out of memory" in str(error)
            status: Status = "out-of-memory" if exhausted else "failed"
            return Evaluation(status, None, error=f"{type(error).__name__}: {error}")

    def supernet(self, relaxation: Relaxation, seed: np.random.SeedSequence) -> Supernet | FusedSupernet:
        """A supernet over the operations of `relaxation`, freshly initialised from `seed`."""
        linear = predictor_of(relaxation.space.constants) is LINEAR  # the fused engine's only predictor
        kind = FusedSupernet if self.task.training.engine == "fused" and linear else Supernet
        task, bias = self.task, relaxation.space.constants.get(BIAS_KEY)
        if bias is not None:
            task = replace(task, data=rest_of(task.data, task.training, bias, self.meter).data)
        return kind(relaxation, task, self.meter, seed)


def _checked(fit: Fit) -> Evaluation:
    """What a training came to. Raises ValueError for a status or an RMSE that cannot be, or what else is wrong."""
    if fit.status not in get_args(Status):
        raise ValueError(f"the model's status is {fit.status!r:.60}, but must be one of {', '.join(get_args(Status))}")
    if fit.status == "ok" and fit.rmse < 0:
        raise ValueError(f"the model claims a validation RMSE of {fit.rmse:g}")
    # A plug-in's model may give NumPy's numbers, which are no JSON.
    rmse = float(fit.rmse) if fit.status == "ok" and np.isfinite(fit.rmse) else None
    return Evaluation(fit.status, rmse, int(fit.epochs), int(fit.best_epoch), tuple(map(float, fit.curve)))
