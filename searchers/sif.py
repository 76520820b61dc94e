"""SIF, the paper's one-shot search of interaction functions (Algorithm 2; section 4.5.2 for k operations).

The supernet holds T (embeddings, predictors); the searcher holds S = {alpha, p, q} and updates it by proximal
gradient steps on validation batches. With its default options this is Algorithm 2 to the letter, with two
readings of it: the projection onto the ball is z / max(1, ||z|| / bound) (the printed z / ||z|| would leave
the inside of the ball unreachable), and what the paper leaves open is an option.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from automl_cf.cf.elementwise import near_identity, project_to_ball
from automl_cf.cf.problem import Incumbent, Problem
from automl_cf.cf.supernet import Part
from automl_cf.searchers._interface import Arrays, OneShotSearcher, SearchTask, searchers
from automl_cf.spaces.views.relaxation import Relaxation, relax

NOISE = {"matrix": 0.1, "tensor": 0.02}
"""The noise of a start near the identity. It puts an offset on all values of a mode. With three modes and as much noise
as for two, one can come to decide next to nothing in min or max, and then shrinks to a constant: chosen on planted
tensors (`benchmarks/tensor_fixtures.py`)."""

_EPSILON = 1e-10


@dataclass(frozen=True)
class SifOptions:
    """What Algorithm 2 leaves open, and the changes that `sif-robust` is made of.

    `epochs` T; `step` the step size for S; `optimizer` plain steps, as printed, or Adagrad; `initial` random
    networks inside the ball or networks near the identity, with `noise` in every number (`NOISE` says how much where
    none is given); `warmup` epochs in which the operation is drawn uniformly for each batch, so that every predictor
    w_m is trained before alpha is.
    """

    epochs: Annotated[int, Field(gt=0)] = 40
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    optimizer: Literal["sgd", "adagrad"] = "sgd"
    initial: Literal["random", "near-identity"] = "random"
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    warmup: Annotated[int, Field(ge=0)] = 0


def prox_c1(z: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Proposition 2.1 (i): keep the k entries of largest magnitude, ties broken at random, zero the rest."""
    order = np.lexsort((rng.random(len(z)), -np.abs(z)))
    kept = np.zeros_like(z)
    kept[order[:k]] = z[order[:k]]
    return kept


def prox_c2(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Proposition 2.1 (ii): clip to [0, 1]."""
    return np.clip(z, 0.0, 1.0)


class ArchitectureStep:
    """Gradient steps on one vector of S, plain or by Adagrad.

    A gradient that is not finite moves nothing: S stays feasible, however the supernet diverges.
    """

    def __init__(self, step: float, optimizer: str, size: int) -> None:
        self.step = step
        self.adaptive = optimizer == "adagrad"
        self.total = np.zeros(size)

    def __call__(self, value: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """The moved value."""
        if not np.isfinite(gradient).all():
            return value
        if not self.adaptive:
            return value - self.step * gradient
        self.total += gradient**2
        return value - self.step * gradient / (np.sqrt(self.total) + _EPSILON)


class Lane:
    """One supernet with its S: the loop of Algorithm 2, an epoch at a time, over `relaxation`'s operations.

    `part` holds the ratings that S is fitted on.
    """

    def __init__(
        self,
        problem: Problem,
        relaxation: Relaxation,
        options: SifOptions,
        seed: np.random.SeedSequence,
        part: Part,
    ) -> None:
        supernet_seed, own_seed = seed.spawn(2)
        self.relaxation = relaxation
        self.options = options
        self.part = part
        self.problem = problem
        self.net = problem.supernet(relaxation, supernet_seed)
        self.rng = np.random.default_rng(own_seed)
        self.bounds = {name: bound for name, _, bound in relaxation.vectors}
        self.alpha = self._random_alpha()
        self.vectors = {name: self._initial(size, bound) for name, size, bound in relaxation.vectors}
        sizes = {"alpha": len(self.alpha)} | {name: size for name, size, _ in relaxation.vectors}
        self.moves = {name: ArchitectureStep(options.step, options.optimizer, n) for name, n in sizes.items()}
        self.epochs = 0

    def epoch(self) -> Incumbent:
        """One pass over the training part."""
        warming = self.epochs < self.options.warmup
        for valid_rows, train_rows in self.net.epoch():
            self.problem.meter.check()
            alpha = self._uniform_alpha() if warming else self.selected()  # steps 3 and 4
            rows = valid_rows if self.part == "valid" else train_rows
            gradients = self.net.architecture_gradients(alpha, self.vectors, self.part, rows)
            if not warming:
                self.alpha = prox_c2(self.moves["alpha"](self.alpha, gradients.alpha))  # step 5
                if not self.alpha.any():  # nothing selected: no operation would ever be trained again
                    self.alpha = self._random_alpha()
            for name, gradient in gradients.vectors.items():  # step 6
                moved = self.moves[name](self.vectors[name], gradient)
                self.vectors[name] = project_to_ball(moved, self.bounds[name])
            self.net.train_batch(alpha if warming else self.selected(), self.vectors, train_rows)  # steps 7-9
        self.epochs += 1
        return self.incumbent()

    def selected(self) -> NDArray[np.float64]:
        """The discrete alpha: prox_C1 (steps 3 and 8), or prox_Ck."""
        return prox_c1(self.alpha, self.relaxation.k, self.rng)

    def incumbent(self) -> Incumbent:
        """The architecture as it stands, with the supernet's own validation RMSE."""
        alpha = self.selected()
        names = [name for name, weight in zip(self.relaxation.operations, alpha, strict=True) if weight != 0]
        spare = [name for name in self.relaxation.operations if name not in names]
        names += spare[: self.relaxation.k - len(names)]  # fewer than k non-zero: the rest contribute nothing
        rmse = self.net.rmse(alpha, self.vectors)
        architecture = self.relaxation.architecture(names, self.vectors)
        return Incumbent(architecture, rmse if np.isfinite(rmse) else None)

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything that the following epochs depend on."""
        arrays, net_rng = self.net.state_dict()
        arrays |= {"alpha": self.alpha} | {f"vector_{name}": v for name, v in self.vectors.items()}
        arrays |= {f"total_{name}": move.total for name, move in self.moves.items()}
        return arrays, {"net_rng": net_rng, "rng": self.rng.bit_generator.state, "epochs": self.epochs}

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], values: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.net.load_state_dict(arrays, values["net_rng"])
        self.alpha = np.array(arrays["alpha"])
        self.vectors = {name: np.array(arrays[f"vector_{name}"]) for name in self.vectors}
        for name, move in self.moves.items():
            move.total = np.array(arrays[f"total_{name}"])
        self.rng.bit_generator.state = values["rng"]
        self.epochs = int(values["epochs"])

    def _random_alpha(self) -> NDArray[np.float64]:
        return self.rng.uniform(0.0, 1.0, len(self.relaxation.operations))

    def _uniform_alpha(self) -> NDArray[np.float64]:
        drawn = np.zeros(len(self.alpha))
        drawn[self.rng.permutation(len(drawn))[: self.relaxation.k]] = 1.0
        return drawn

    def _initial(self, size: int, bound: float) -> NDArray[np.float64]:
        noise = self.rng.normal(size=size)
        if self.options.initial == "random":
            radius: float = bound * self.rng.random() ** (1 / size)
            return noise * (radius / np.linalg.norm(noise))
        activation = str(self.relaxation.space.constants.get("activation", "sigmoid"))
        scale = self.options.noise
        if scale is None:
            scale = NOISE["matrix" if len(self.relaxation.vectors) == 2 else "tensor"]
        return project_to_ball(near_identity((size - 1) // 3, activation, bound) + scale * noise, bound)


class LaneSearcher(OneShotSearcher):
    """Searches on one lane, which a subclass makes in `start`, for `options.epochs` epochs."""

    lane: Lane

    def __init__(self, task: SearchTask, options: Any) -> None:
        super().__init__(task, options)
        self.relaxation = relax(task.space)

    def step(self) -> Incumbent | None:
        return self.lane.epoch() if self.lane.epochs < self.options.epochs else None

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        return self.lane.state_dict()

    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], values: Mapping[str, Any]) -> None:
        self.lane.load_state_dict(arrays, values)


@searchers.register("sif")
class Sif(LaneSearcher):
    """Algorithm 2 as published."""

    Options = SifOptions
    part: ClassVar[Part] = "valid"

    def start(self, problem: Problem) -> None:
        self.lane = Lane(problem, self.relaxation, self.options, self.seed, self.part)
