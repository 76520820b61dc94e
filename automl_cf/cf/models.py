"""Model families: what an architecture's `model` names, and how one is trained, once or over the l2 grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf.approximator import ApproximatorModel, train_approximator
from automl_cf.cf.baselines import BASELINES, Baseline
from automl_cf.cf.batched import Candidate, train_batched
from automl_cf.cf.bias import BIAS_L2_GRID, BiasModel, train_bias
from automl_cf.cf.biased import BIAS_KEY, BiasedModel, rest_of, split_parts
from automl_cf.cf.ensemble import restore_ensemble, train_ensemble
from automl_cf.cf.fused import train_fused, warm_up
from automl_cf.cf.interaction import InteractionModel, train_interaction
from automl_cf.cf.meter import Meter
from automl_cf.cf.mlp import MlpModel, train_mlp
from automl_cf.cf.predictor import LINEAR, predictor_of
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training
from automl_cf.errors import InputError
from automl_cf.registry import Registry
from automl_cf.spaces.architecture import Architecture


@dataclass(frozen=True)
class TrainingTask:
    """Everything but the architecture and its l2 that a training depends on.

    `seed` feeds the initialisation and the batch order, the same for all architectures of a cell.
    """

    data: SearchData
    training: Training
    dim: int
    seed: np.random.SeedSequence
    device: str = "cpu"


Trainer = Callable[[Architecture, TrainingTask, float, Meter, int | None], Fit]


@dataclass(frozen=True)
class ModelFamily:
    """`train(architecture, task, l2, meter, epochs)`, and a grid of its own if the study's does not fit.

    `restore(arrays, values)` makes a model of the parts that it was stored as; without it none can be exported.
    """

    train: Trainer
    l2_grid: tuple[float, ...] | None = None
    restore: Callable[[Mapping[str, NDArray[Any]], Mapping[str, Any]], Model] | None = None


models: Registry[ModelFamily] = Registry("model", None, "automl_cf.models")


def _from_scratch(engine: Callable[..., Fit]) -> Trainer:
    """The trainer that begins anew from the task's seed each time."""

    def train(architecture: Architecture, task: TrainingTask, l2: float, meter: Meter, epochs: int | None) -> Fit:
        rng = np.random.default_rng(task.seed)
        return engine(architecture, task.data, task.training, dim=task.dim, l2=l2, rng=rng, meter=meter, epochs=epochs)

    return train


def _with_bias(
    architecture: Architecture, task: TrainingTask, meter: Meter, train: Callable[[TrainingTask], list[Fit]]
) -> list[Fit]:
    """What `train` gives for the task, or with bias terms for the task of what the bias model leaves."""
    if BIAS_KEY not in architecture:
        return train(task)
    rest = rest_of(task.data, task.training, architecture[BIAS_KEY], meter)
    return [rest.whole(fit) for fit in train(replace(task, data=rest.data))]


def _interaction(architecture: Architecture, task: TrainingTask, l2: float, meter: Meter, epochs: int | None) -> Fit:
    if task.training.engine == "batched":
        return _train_batched([Candidate(architecture, l2, task.seed)], task, meter, epochs)[0]
    fused = task.training.engine == "fused" and predictor_of(architecture) is LINEAR  # the kernels' only predictor
    if fused:
        with meter.timed("setup"):
            prepare(task)  # for the architecture's own dimension, where it has one
    engine = train_fused if fused else partial(train_interaction, device=task.device)
    train = _from_scratch(engine)
    return _with_bias(architecture, task, meter, lambda own: [train(architecture, own, l2, meter, epochs)])[0]


def _train_batched(candidates: Sequence[Candidate], task: TrainingTask, meter: Meter, epochs: int | None) -> list[Fit]:
    """Train candidates that have the same bias, if any."""
    how: dict[str, Any] = {"dim": task.dim, "meter": meter, "device": task.device, "epochs": epochs}
    return _with_bias(
        candidates[0].architecture,
        task,
        meter,
        lambda own: train_batched(candidates, own.data, own.training, **how),
    )


def _approximator(architecture: Architecture, task: TrainingTask, l2: float, meter: Meter, epochs: int | None) -> Fit:
    return _from_scratch(partial(train_approximator, device=task.device))(architecture, task, l2, meter, epochs)


def _mlp(architecture: Architecture, task: TrainingTask, l2: float, meter: Meter, epochs: int | None) -> Fit:
    return _from_scratch(partial(train_mlp, device=task.device))(architecture, task, l2, meter, epochs)


def _bias(a: Architecture, task: TrainingTask, l2: float, meter: Meter, epochs: int | None) -> Fit:
    return train_bias(task.data, task.training, l2=l2, meter=meter)


def _restore_interaction(arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Model:
    own, bias = split_parts(arrays, values)
    inner = InteractionModel.restore(own, values)
    return inner if bias is None else BiasedModel(bias[0], inner, bias[1])


models.register("interaction")(ModelFamily(_interaction, restore=_restore_interaction))
models.register("approximator")(ModelFamily(_approximator, restore=ApproximatorModel.restore))
models.register("mlp")(ModelFamily(_mlp, restore=MlpModel.restore))
models.register("bias-only")(ModelFamily(_bias, BIAS_L2_GRID, BiasModel.restore))


def _baseline(baseline: Baseline) -> Trainer:
    def train(architecture: Architecture, task: TrainingTask, l2: float, meter: Meter, epochs: int | None) -> Fit:
        return _from_scratch(partial(baseline.train, device=task.device))(architecture, task, l2, meter, epochs)

    return train


for _name, _entry in BASELINES.items():
    models.register(_name)(ModelFamily(_baseline(_entry), _entry.l2_grid, _entry.restore))


def _ensemble(a: Architecture, task: TrainingTask, l2: float, meter: Meter, epochs: int | None) -> Fit:
    return train_ensemble(a, task, meter, epochs, lambda member: l2_grid(member, task.training), train_all)


def _restore_member(architecture: Architecture, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Model:
    restore = family_of(architecture).restore
    if restore is None:
        raise InputError(f"a model of the family '{architecture.get('model')}' cannot be restored.")
    return restore(arrays, values)


models.register("ensemble")(ModelFamily(_ensemble, (0.0,), partial(restore_ensemble, restore=_restore_member)))


def prepare(task: TrainingTask) -> None:
    """Do what the engine needs once per process and dimension, so that it is not booked as training."""
    if task.training.engine == "fused":
        warm_up(task.dim, task.training.precision, task.data.train.order)


def task_of(architecture: Architecture, task: TrainingTask) -> TrainingTask:
    """The task with the architecture's own embedding dimension, `dim`, if it has one."""
    return replace(task, dim=int(architecture["dim"])) if "dim" in architecture else task  # type: ignore[arg-type]


def family_of(architecture: Architecture) -> ModelFamily:
    """The family that trains `architecture`: its `model` key, or the interaction functions."""
    return models.get(str(architecture.get("model", "interaction")))


def train(
    architecture: Architecture,
    task: TrainingTask,
    meter: Meter,
    l2: float | None = None,
    epochs: int | None = None,
) -> Fit:
    """Train once: with the architecture's own `l2` if it has one, else `l2`, else the study's search l2."""
    chosen = float(architecture.get("l2", task.training.search_l2 if l2 is None else l2))  # type: ignore[arg-type]
    return family_of(architecture).train(architecture, task_of(architecture, task), chosen, meter, epochs)


def train_all(
    candidates: Sequence[Candidate], task: TrainingTask, meter: Meter, epochs: int | None = None
) -> list[Fit]:
    """Train architectures with an l2 and a seed each (the task's own seed is not used); the fits in the same order.

    The engine `batched` trains those of the family `interaction` that have the same dimension and bias at once; all
    else is trained one by one.
    """
    fits: dict[int, Fit] = {}
    tasks = [replace(task_of(c.architecture, task), seed=c.seed) for c in candidates]
    if task.training.engine == "batched":
        together = [i for i, c in enumerate(candidates) if family_of(c.architecture) is models.get("interaction")]
        likeness = {i: (tasks[i].dim, candidates[i].architecture.get(BIAS_KEY)) for i in together}
        for kind in dict.fromkeys(likeness.values()):
            same = [i for i in together if likeness[i] == kind]
            found = _train_batched([candidates[i] for i in same], tasks[same[0]], meter, epochs)
            fits |= dict(zip(same, found, strict=True))
    for i, (candidate, own) in enumerate(zip(candidates, tasks, strict=True)):
        if i not in fits:
            fits[i] = family_of(candidate.architecture).train(candidate.architecture, own, candidate.l2, meter, epochs)
    return [fits[i] for i in range(len(candidates))]


def l2_grid(architecture: Architecture, training: Training) -> tuple[float, ...]:
    """The values of l2 that the final retraining chooses from by validation (section 4.1)."""
    if "l2" in architecture:
        return (float(architecture["l2"]),)  # type: ignore[arg-type]
    return family_of(architecture).l2_grid or training.l2_grid


def train_over_grid(architecture: Architecture, task: TrainingTask, meter: Meter) -> tuple[Fit, bool]:
    """Train with every l2 of the grid; the best by validation, and whether its l2 is an end of the grid.

    The lower end 0 is no edge: there is nothing beyond it.
    """
    grid = l2_grid(architecture, task.training)
    fits = train_all([Candidate(architecture, l2, task.seed) for l2 in grid], task, meter)
    best = min(fits, key=lambda fit: fit.rmse if fit.status == "ok" else float("inf"))
    at_edge = len(grid) > 1 and (best.l2 == grid[-1] or (best.l2 == grid[0] and grid[0] > 0))
    return best, at_edge
