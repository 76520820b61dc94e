"""The searcher under test: made anew for each check, and followed step by step."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch

from automl_cf.cf.meter import NullMeter
from automl_cf.cf.problem import Evaluation, Incumbent, Problem
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.searchers import AskTellSearcher, OneShotSearcher, Proposal, Searcher, SearchTask, build, searchers
from automl_cf.spaces import Architecture, Space
from automl_cf.testing import problems
from automl_cf.testing.elsewhere import AnotherProcess
from automl_cf.testing.report import in_words

LEAST, MOST = 8, 30  # steps of a trajectory
PATIENCE = 0.5  # seconds of one trajectory: a searcher that thinks long is followed for fewer steps

Step = dict[str, Any]  # JSON: what a step proposed or found


class Subject:
    """A searcher by name, with options, and a process in which it can be run again.

    Raises InputError where `searchers.build` does, for an unknown name above all.
    """

    def __init__(self, name: str, options: Mapping[str, Any], elsewhere: AnotherProcess | None) -> None:
        self.name = name
        self.options = options
        self.elsewhere = elsewhere
        self.kind = searchers.get(name)
        self.capabilities = self.kind.capabilities
        self.one_shot = issubclass(self.kind, OneShotSearcher)
        # matrices, unless it searches tensors only
        self.order = min(self.capabilities.orders & {2, 3}, default=2)
        try:
            self.make()
        except InputError:
            if options or not _lacks_a_default(self.kind.Options):  # or else a check says so
                raise
        except AutomlCfError:
            pass  # each check that makes it says so

    @property
    def problem(self) -> Problem:
        """The few ratings, with accounts that begin at 0."""
        return problems.problem_of(problems.split(self.order))

    @property
    def deterministic(self) -> bool:
        """Whether it proposes the same whatever the seed: fixed proposals, and no supernet that begins at random."""
        return self.capabilities.fixed_proposals and not self.one_shot

    def make(
        self,
        space: Space = problems.SPACE,
        seed: int = 0,
        order: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Searcher:
        """A fresh searcher."""
        task = SearchTask(
            space,
            self.order if order is None else order,
            problems.L2_GRID,
            np.random.SeedSequence(seed),
            problems.DIM,
            problems.MAX_EPOCHS,
            problems.TRUTH if self.capabilities.needs_truth else None,
        )
        return build(self.name, task, self.options if options is None else options)

    def trajectory(self, seed: int = 0) -> Iterator[Step]:
        """The steps of a fresh searcher on `SPACE`: on the loss in closed form, or one-shot on the few ratings."""
        return steps(self.make(seed=seed), self.problem)

    @cached_property
    def trace(self) -> list[Step]:
        """The first steps with seed 0: as many as `PATIENCE` allows, from `LEAST` to `MOST`."""
        began, trace = time.perf_counter(), []
        with global_randomness():
            for step in islice(self.trajectory(), MOST):
                trace.append(step)
                if len(trace) >= LEAST and time.perf_counter() - began > PATIENCE:
                    break
        return trace

    def in_words(self, error: Exception | SystemExit) -> str:
        """What the searcher raised, and where in its file."""
        return in_words(error, self.kind.__module__)

    @cached_property
    def second(self) -> tuple[list[Step], list[str], float]:
        """As many steps of an equal searcher in this process, which global random generators it moved, and seconds."""
        length, began = len(self.trace), time.perf_counter()
        with global_randomness() as moved:
            again = list(islice(self.trajectory(), length))
        return again, moved, time.perf_counter() - began


def _lacks_a_default(kind: type) -> bool:
    return is_dataclass(kind) and any(
        field.init and field.default is MISSING and field.default_factory is MISSING for field in fields(kind)
    )


def steps(searcher: Searcher, problem: Problem) -> Iterator[Step]:
    """The search as JSON, a step at a time.

    Of an ask/tell searcher, each proposal, whose loss in closed form is then told; of a one-shot searcher, which is
    started on `problem`, each incumbent, and the visits that it took.
    """
    return _steps(searcher, problem, lambda proposal: problems.evaluation(proposal.architecture, proposal.epochs))


def evaluated_steps(searcher: Searcher, problem: Problem) -> Iterator[Step]:
    """The same, but what an ask/tell searcher proposes is trained on `problem`."""
    return _steps(searcher, problem, lambda proposal: problem.evaluate(proposal.architecture, proposal.epochs))


def _steps(searcher: Searcher, problem: Problem, evaluate: Callable[[Proposal], Evaluation]) -> Iterator[Step]:
    if isinstance(searcher, OneShotSearcher):
        searcher.start(problem)
        yield from further_steps(searcher, problem)
    else:
        assert isinstance(searcher, AskTellSearcher)
        while proposals := searcher.ask(1):
            proposal = proposals[0]
            yield proposed(proposal)
            searcher.tell(proposal.id, evaluate(proposal))


def further_steps(searcher: OneShotSearcher, problem: Problem) -> Iterator[Step]:
    """The steps of a one-shot searcher that has been started."""
    while True:
        visits = _visits(problem)
        incumbent = searcher.step()
        if incumbent is None:
            return
        yield found(incumbent) | {"visits": _visits(problem) - visits}


def _visits(problem: Problem) -> int:
    assert isinstance(problem.meter, NullMeter)
    return problem.meter.visits


def proposed(proposal: Proposal) -> Step:
    """A proposal as JSON."""
    return {"architecture": proposal.architecture.to_json(), "epochs": proposal.epochs}


def found(incumbent: Incumbent) -> Step:
    """An incumbent as JSON."""
    return {"architecture": incumbent.architecture.to_json(), "rmse": incumbent.rmse}


def architecture_of(step: Step) -> Architecture:
    """What a step proposed or found."""
    return Architecture.from_json(step["architecture"])


@contextmanager
def global_randomness() -> Iterator[list[str]]:
    """A context in which the process-wide generators start from a fixed state, and after which they are as before.

    The list names, after it, those that were moved.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(1)
    np.random.seed(1)
    torch.default_generator.manual_seed(1)
    moved: list[str] = []
    start = _states()
    try:
        yield moved
    finally:
        moved += [name for name, state in _states().items() if state != start[name]]
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _states() -> dict[str, object]:
    numpy: Any = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy.random": (numpy[1].tolist(), *numpy[2:]),
        "torch": torch.get_rng_state().tolist(),
    }


def first_difference(one: list[Step], other: list[Step]) -> str | None:
    """In words, the first step at which two trajectories differ; None if they are equal."""
    for number, (a, b) in enumerate(zip(one, other, strict=False), 1):
        if a != b:
            return f"step {number} was {_short(a)} and then {_short(b)}"
    if len(one) != len(other):
        return f"one search had {len(one)} steps and the other {len(other)}"
    return None


def _short(step: Step) -> str:
    text = ", ".join(f"{key} {value}" for key, value in step.items() if value is not None)
    return text if len(text) <= 120 else text[:117] + "..."
