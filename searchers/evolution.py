"""Regularised evolution (Real, Aggarwal, Huang and Le: "Regularized Evolution for Image Classifier Architecture
Search", AAAI 2019, Algorithm 1)."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers._interface import AskTellSearcher, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.parameters import Category, Coordinate, Parameter


@dataclass(frozen=True)
class EvolutionOptions:
    """`population` P and `sample` S of the paper, and `step`, the standard deviation of a mutation in the unit cube.

    Real et al. take P = 100 and S = 25 for 20,000 models. The defaults are those of NATS-Bench (Dong et al., TPAMI
    2021) for some hundreds of models, as our studies have them.
    """

    population: Annotated[int, Field(gt=0)] = 10
    sample: Annotated[int, Field(gt=0)] = 3
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1


@searchers.register("evolution")
class Evolution(AskTellSearcher):
    """Regularised evolution: after P random ones, each is a mutation of the best of S drawn from the last P.

    The population is the last P that were told, so the oldest dies, however good; S are drawn with replacement. Several
    proposals may be pending: a parent is drawn from those told by then. A mutation changes one parameter, drawn
    uniformly from those that exist in the parent: a choice to another option, a number or vector by a Gaussian step in
    the unit cube, reflected at its walls. The genome is the whole point of the cube, so that a parameter that ceases to
    exist keeps its value for descendants in which it exists again.
    """

    Options = EvolutionOptions

    def __init__(self, task: SearchTask, options: EvolutionOptions) -> None:
        super().__init__(task, options)
        self._population: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=options.population)
        self._points: dict[int, NDArray[np.float64]] = {}  # of the pending proposals
        self._genes: list[tuple[Parameter, slice]] = []  # the parameters that have more than one value
        start = 0
        for parameter in self.space.searched:
            coordinates = parameter.coordinates()
            where = slice(start, start + len(coordinates))
            start = where.stop
            if not all(isinstance(coordinate, Category) and coordinate.n == 1 for coordinate in coordinates):
                self._genes.append((parameter, where))

    def propose(self, number: int) -> Architecture:
        if number < self.options.population or not self._population:
            point = self.rng.random(self.space.dimension)
        else:
            drawn = self.rng.integers(len(self._population), size=self.options.sample)
            _, parent = min((self._population[i] for i in drawn), key=lambda member: member[0])
            point = self._mutate(parent)
        self._points[number] = point
        return self.space.decode(point)

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        loss = evaluation.loss if np.isfinite(evaluation.loss) else float("inf")
        self._population.append((loss, self._points.pop(number)))

    def _mutate(self, parent: NDArray[np.float64]) -> NDArray[np.float64]:
        architecture = self.space.decode(parent)
        genes = [(parameter, where) for parameter, where in self._genes if parameter.name in architecture]
        child = parent.copy()
        if genes:
            parameter, where = genes[self.rng.integers(len(genes))]
            child[where] = self._another(parameter, parent[where].tolist())
        return child

    def _another(self, parameter: Parameter, numbers: Sequence[float]) -> list[float]:
        """Numbers in the cube at which the parameter has another value."""
        coordinates, step = parameter.coordinates(), self.options.step
        while True:
            moved = [self._moved(c, u, step) for c, u in zip(coordinates, numbers, strict=True)]
            if _value(parameter, moved) != _value(parameter, numbers):
                return moved
            step *= 2  # a small step may leave an Int what it is, and the architecture has been evaluated

    def _moved(self, coordinate: Coordinate, u: float, step: float) -> float:
        if isinstance(coordinate, Category):
            other = (coordinate.from_cube(u) + self.rng.integers(1, max(coordinate.n, 2))) % coordinate.n
            return float(other + 0.5) / coordinate.n
        return reflect(u + step * self.rng.normal())


def reflect(x: float) -> float:
    """Fold the real line onto [0, 1] by reflection at 0 and 1."""
    x = abs(x) % 2.0
    return 2.0 - x if x > 1.0 else x


def _value(parameter: Parameter, numbers: Sequence[float]) -> object:
    return parameter.decode([c.from_cube(u) for c, u in zip(parameter.coordinates(), numbers, strict=True)])
