"""Ensembles: a weighted mean of models' predictions (Caruana et al.: "Ensemble Selection from Libraries of Models",
ICML 2004).

The library are the member architectures, each trained with every l2 of its grid from an initialisation of its own;
validation chooses which of them, and how often each counts.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl_cf.cf.batched import Candidate
from automl_cf.cf.meter import Meter
from automl_cf.cf.metrics import rmse
from automl_cf.cf.training import Fit, Model, Storable, settled
from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture

if TYPE_CHECKING:
    from automl_cf.cf.models import TrainingTask

MODEL = "ensemble"
SIZE = 30  # models chosen one after the other, with replacement; more change little

Floats = NDArray[np.float64]


def ensemble(members: Sequence[Architecture]) -> Architecture:
    """The architecture whose library are these members."""
    return Architecture({"model": MODEL, "members": [json.dumps(member.to_json()) for member in members]})


def members_of(architecture: Architecture) -> list[Architecture]:
    """Read an ensemble's members; raises InputError if there are none, or if one is no single model."""
    texts = architecture.get("members")
    if not isinstance(texts, tuple) or not texts:
        raise InputError(f"'members' of model '{MODEL}' is {texts!r}, but must be a list of architectures, as JSON.")
    members = []
    for text in texts:
        try:
            members.append(Architecture.from_json(json.loads(str(text))))
        except ValueError as error:
            raise InputError(
                f"a member of model '{MODEL}' is {text!r}, but must be an architecture as JSON."
            ) from error
        if members[-1].get("model") == MODEL:
            raise InputError(f"a member of model '{MODEL}' is an ensemble itself, but must be a single model.")
    return members


class EnsembleModel:
    """A weighted mean of models; `architectures` are theirs, each with the l2 that it was trained with."""

    def __init__(
        self, models: Sequence[Model], weights: Sequence[float], architectures: Sequence[Architecture]
    ) -> None:
        self.models = list(models)
        self.weights = list(weights)
        self.architectures = list(architectures)

    def predict(self, indices: NDArray[np.int64]) -> Floats:
        """Standardised predictions, (n,)."""
        total = np.zeros(len(indices))
        for model, weight in zip(self.models, self.weights, strict=True):
            total += weight * model.predict(indices)
        return total

    def settled(self, architecture: Architecture) -> Architecture:
        """The ensemble in which nothing is left to choose: these models with these weights."""
        return Architecture({**ensemble(self.architectures), "weights": self.weights})

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        members = []
        for number, (model, architecture) in enumerate(zip(self.models, self.architectures, strict=True)):
            if not isinstance(model, Storable):
                raise InputError(f"a {type(model).__name__} of the ensemble cannot be stored.")
            own, values = model.parts()
            arrays |= {f"{number}.{name}": array for name, array in own.items()}
            members.append({"architecture": architecture.to_json(), "values": values})
        return arrays, {"weights": self.weights, "members": members}


def train_ensemble(
    architecture: Architecture,
    task: "TrainingTask",
    meter: Meter,
    epochs: int | None,
    grid_of: Callable[[Architecture], tuple[float, ...]],
    train_all: Callable[[Sequence[Candidate], "TrainingTask", Meter, int | None], list[Fit]],
) -> Fit:
    """Train the library, and choose from it unless the architecture has `weights` already, one a member.

    What diverged is left out. The best epoch is the chosen models' mean. Raises InputError as `members_of` does.
    """
    members, seed = members_of(architecture), task.seed
    candidates = [
        Candidate(member, l2, np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number)))
        for number, member in enumerate(members)
        for l2 in grid_of(member)
    ]
    fits = train_all(candidates, task, meter, epochs)
    sound = [i for i, fit in enumerate(fits) if fit.status == "ok" and fit.model is not None]
    if not sound:
        return Fit("diverged", float("nan"), 0.0, max(fit.epochs for fit in fits), 0)
    valid = task.data.valid
    with meter.timed("validate"):
        predictions = np.stack([fits[i].model.predict(valid.indices) for i in sound])  # type: ignore[union-attr]
        weights = (
            _given_weights(architecture, sound) if "weights" in architecture else select(predictions, valid.values)
        )
        error = rmse(weights @ predictions, valid.values)
    chosen = [(sound[i], weight) for i, weight in enumerate(weights.tolist()) if weight > 0]
    model = EnsembleModel(
        [fits[i].model for i, _ in chosen],  # type: ignore[misc]
        [weight for _, weight in chosen],
        [settled(Architecture({**candidates[i].architecture, "l2": candidates[i].l2}), fits[i]) for i, _ in chosen],
    )
    best = round(sum(weight * fits[i].best_epoch for i, weight in chosen))
    return Fit("ok", error, 0.0, max(fit.epochs for fit in fits), max(best, 1), (error,), model)


def select(predictions: Floats, targets: NDArray[Any], size: int = SIZE) -> Floats:
    """The weights of greedy selection, (models,), which sum to 1.

    `predictions` are (models, n). One after the other that model is added, again perhaps, with which the mean of those
    chosen has the least squared error; the best of all these means counts.
    """
    total, counts = np.zeros(predictions.shape[1]), np.zeros(len(predictions))
    best, best_counts = np.inf, counts
    for number in range(1, size + 1):
        errors = np.mean(((total + predictions) / number - targets) ** 2, axis=1)
        added = int(errors.argmin())
        total = total + predictions[added]
        counts = counts + np.eye(len(predictions))[added]
        if errors[added] < best:
            best, best_counts = float(errors[added]), counts
    return np.asarray(best_counts / best_counts.sum())


def restore_ensemble(
    arrays: Mapping[str, NDArray[Any]],
    values: Mapping[str, Any],
    restore: Callable[[Architecture, Mapping[str, NDArray[Any]], Mapping[str, Any]], Model],
) -> EnsembleModel:
    """The inverse of `EnsembleModel.parts`; `restore` makes one member's model."""
    models, architectures = [], []
    for number, member in enumerate(values["members"]):
        prefix = f"{number}."
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        architectures.append(Architecture.from_json(member["architecture"]))
        models.append(restore(architectures[-1], own, member["values"]))
    return EnsembleModel(models, [float(weight) for weight in values["weights"]], architectures)


def _given_weights(architecture: Architecture, sound: Sequence[int]) -> Floats:
    """An architecture's own weights; raises InputError unless each is for one model that was trained."""
    given = architecture["weights"]
    if not isinstance(given, tuple) or len(given) != len(sound):
        raise InputError(f"'weights' of model '{MODEL}' must be {len(sound)} numbers, one for each model.")
    return np.array(given, dtype=np.float64)
