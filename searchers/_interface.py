"""What a searcher is: the two tiny interfaces, what a searcher declares, and the registry.

An ask/tell searcher proposes architectures and is told how they did: write `propose`, and `observe` if it
learns. A one-shot searcher trains a supernet on the problem: write `start` and `step`. Neither knows of
files, clocks or Ray.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from automl_cf.cf.problem import Evaluation, Incumbent, Problem
from automl_cf.errors import AutomlCfError, InputError, suggest
from automl_cf.registry import Registry
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.space import Space
from automl_cf.spaces.views.relaxation import relax

Arrays = dict[str, NDArray[np.floating]]
E = TypeVar("E")


@dataclass(frozen=True)
class Capabilities:
    """What a searcher can do and needs; a study that asks for more is refused before anything runs."""

    one_shot: bool = False
    parallel: bool = True  # may have several proposals pending
    relaxable_space_only: bool = False  # needs one choice of operations and vectors, see `relax`
    fixed_proposals: bool = False  # a baseline: proposes models of its own, not points of the space
    needs_truth: bool = False  # needs the architecture that made the data: planted data only
    orders: frozenset[int] = frozenset({2, 3})


@dataclass(frozen=True)
class SearchTask:
    """What a searcher is made for: the space, the number of modes, the study's l2 grid, and its stream.

    `dim` is the embedding dimension and `max_epochs` the longest training; `truth` is the architecture that made
    planted data, for searchers with `needs_truth` only. A searcher with a space of its own (such as `nas-random`)
    sets its `space` to that in its constructor.
    """

    space: Space
    order: int
    l2_grid: tuple[float, ...]
    seed: np.random.SeedSequence
    dim: int = 8
    max_epochs: int = 60
    truth: Architecture | None = None


@dataclass(frozen=True)
class NoOptions:
    """Options of a searcher that has none."""


@dataclass(frozen=True)
class Proposal:
    """An architecture to evaluate. `id` counts a searcher's asks from 0: architectures may repeat.

    `epochs` limits the training (a lower fidelity); None trains until validation stops improving.
    """

    id: int
    architecture: Architecture
    epochs: int | None = None


class Searcher:
    """What both kinds share. `Options` is a dataclass; its fields are the keys a study may set.

    All randomness comes from `rng` and from children of `seed`.
    """

    Options: ClassVar[type] = NoOptions
    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(self, task: SearchTask, options: Any) -> None:
        self.task = task
        self.space = task.space
        self.options = options
        self.seed = deepcopy(task.seed)  # spawning changes it, and the next searcher may get the same task
        self.rng = np.random.default_rng(task.seed)


class AskTellSearcher(Searcher, ABC):
    """Proposes architectures, learns from their validation results."""

    def __init__(self, task: SearchTask, options: Any) -> None:
        super().__init__(task, options)
        self.log: list[dict[str, Any]] | None = []
        self._pending: dict[int, Proposal] = {}
        self._asked = 0

    @abstractmethod
    def propose(self, number: int) -> Architecture | Proposal | None:
        """The next architecture, the searcher's `number`-th (from 0), or None when there are no more."""

    def observe(self, number: int, architecture: Architecture, evaluation: Evaluation) -> None:
        """Learn from a proposal's evaluation, whose `loss` is infinite for what failed. Default: nothing."""

    def ask(self, n: int = 1) -> list[Proposal]:
        """Up to `n` proposals; an empty list ends the search."""
        proposals = []
        for _ in range(n):
            number = self._asked
            answer = self.propose(number)
            if answer is None:
                break
            if not isinstance(answer, Architecture | Proposal):
                raise AutomlCfError(
                    f"propose({number}) returned {answer!r:.60}, but must return an Architecture, such as "
                    "self.space.sample(self.rng), or None to end the search."
                )
            proposal = replace(answer, id=number) if isinstance(answer, Proposal) else Proposal(number, answer)
            self._asked += 1
            self._pending[number] = proposal
            if self.log is not None:
                self.log.append({"ask": number, "architecture": proposal.architecture.to_json()})
            proposals.append(proposal)
        return proposals

    def tell(self, number: int, evaluation: Evaluation) -> None:
        """Report the evaluation of proposal `number`. Raises AutomlCfError if it is not pending."""
        proposal = self._pending.pop(number, None)
        if proposal is None:
            raise AutomlCfError(f"proposal {number} was told, but it is not pending.")
        if self.log is not None:
            self.log.append({"tell": number, "evaluation": evaluation.to_json()})
        self.observe(number, proposal.architecture, evaluation)

    def keep_no_log(self) -> None:
        """Forget the log, and keep none: for runs, whose events say the same, however many they are."""
        self.log = None

    def state_dict(self) -> dict[str, Any]:
        """The ordered log of asks and tells (JSON). Raises AutomlCfError if none is kept."""
        if self.log is None:
            raise AutomlCfError("this searcher keeps no log: its run's events are its state.")
        return {"log": list(self.log)}

    def load_state_dict(self, state: Mapping[str, Any]) -> list[Proposal]:
        """Replay a log on a fresh searcher; returns the proposals that were pending at its end.

        Raises AutomlCfError if the searcher now proposes something else, since it, its options or a library
        changed.
        """
        for entry in state["log"]:
            if "tell" in entry:
                self.tell(entry["tell"], Evaluation.from_json(entry["evaluation"]))
            else:
                again = self.ask(1)
                if not again or again[0].architecture.to_json() != entry["architecture"]:
                    raise AutomlCfError(
                        f"replaying the run's log, proposal {entry['ask']} came out differently: the "
                        "searcher, its options or a library has changed since; start a new run."
                    )
        return list(self._pending.values())


class OneShotSearcher(Searcher, ABC):
    """Trains a supernet on the problem and reads the architecture off it."""

    capabilities: ClassVar[Capabilities] = Capabilities(one_shot=True, relaxable_space_only=True)

    @abstractmethod
    def start(self, problem: Problem) -> None:
        """Build whatever is needed; called once, before the first `step` and before `load_state_dict`."""

    @abstractmethod
    def step(self) -> Incumbent | None:
        """One slice of supernet training; the best architecture so far, or None when the search has ended."""

    @abstractmethod
    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything that the rest of the search depends on: arrays, and JSON values."""

    @abstractmethod
    def load_state_dict(self, arrays: Mapping[str, NDArray[np.floating]], values: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`: the search then continues identically."""


class Searchers(Registry[type[Searcher]]):
    """The registry of searchers: classes of one of the two kinds, with all that a searcher must have."""

    def register(self, name: str) -> Callable[[E], E]:
        """As `Registry.register`; raises InputError, too, for what is no searcher."""
        decorate = super().register(name)

        def checked(entry: E) -> E:
            if not (isinstance(entry, type) and issubclass(entry, AskTellSearcher | OneShotSearcher)):
                raise InputError(
                    f"searcher '{name}' is {entry!r:.60}, but must be a class made of AskTellSearcher or "
                    "OneShotSearcher."
                )
            missing = ", ".join(sorted(getattr(entry, "__abstractmethods__", ())))
            if missing:
                raise InputError(f"searcher '{name}' lacks {missing}, which every searcher of its kind has.")
            return decorate(entry)

        return checked


searchers = Searchers("searcher", "automl_cf.searchers", "automl_cf.searchers")


def build(name: str, task: SearchTask, options: Mapping[str, Any]) -> Searcher:
    """Make the searcher `name` with `options`.

    Raises InputError for an unknown name, an unknown or ill-typed option, and a space or a number of modes
    that this searcher cannot search; AutomlCfError for whatever else it raises.
    """
    kind = searchers.get(name)
    try:
        checked = _checked_options(name, kind, options)
        if task.order not in kind.capabilities.orders:
            raise InputError(f"searcher '{name}' cannot search data with {task.order} modes.")
        if kind.capabilities.needs_truth and task.truth is None:
            raise InputError(f"searcher '{name}' needs data whose interaction function is known: planted data.")
        if kind.capabilities.relaxable_space_only:
            relax(task.space)
        return kind(task, checked)
    except AutomlCfError:
        raise
    except (Exception, SystemExit) as error:  # it may be a plug-in's
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise AutomlCfError(f"searcher '{name}' cannot be made: {what}.") from error


def _checked_options(name: str, kind: type[Searcher], options: Mapping[str, Any]) -> Any:
    known = list(getattr(kind.Options, "__dataclass_fields__", {}))
    for key in options:
        if key not in known:
            listing = ", ".join(known) or "none"
            raise InputError(f"searcher '{name}' has no option '{key}'; it has {listing}.{suggest(key, known)}")
    adapter: TypeAdapter[Any] = TypeAdapter(kind.Options)
    try:
        return adapter.validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"option '{field}' of searcher '{name}' is {first['input']!r}: {first['msg']}.") from error
