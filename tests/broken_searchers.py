"""Searchers that break the contract, one requirement each: `BROKEN` has them by the name of the check that they fail.

They are registered by the tests that need them, not here: else they would be searchers of every other test.
"""

import os
import sys
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from automl_cf.errors import AutomlCfError
from automl_cf.searchers import AskTellSearcher, Proposal, searchers
from automl_cf.spaces import Architecture, interaction_space

Sif = searchers.get("sif")


class Sound(AskTellSearcher):
    """Random search."""

    def propose(self, number):
        return self.space.sample(self.rng)


class RestatesTheSpace(AskTellSearcher):
    """Has the paper's space in its head, whatever the task says."""

    def propose(self, number):
        return interaction_space(units=1).sample(self.rng)


class DependsOnHashes(AskTellSearcher):
    """Python hashes strings differently in every process."""

    def __init__(self, task, options):
        super().__init__(task, options)
        self.rng = np.random.default_rng([hash("salt") % 2**32, *self.seed.generate_state(1)])

    def propose(self, number):
        return self.space.sample(self.rng)


class SeedsTheGlobalGenerator(AskTellSearcher):
    """Deterministic, but at everybody's cost."""

    def propose(self, number):
        np.random.seed(self.rng.integers(2**31))
        return self.space.decode(np.random.random(self.space.dimension))


class IgnoresItsSeed(AskTellSearcher):
    def __init__(self, task, options):
        super().__init__(task, options)
        self.rng = np.random.default_rng(0)

    def propose(self, number):
        return self.space.sample(self.rng)


class ForgetsItsGenerator(Sound):
    """A state of its own, in which the generator is missing."""

    def state_dict(self):
        pending = {number: proposal.architecture.to_json() for number, proposal in self._pending.items()}
        return {"asked": self._asked, "pending": pending}

    def load_state_dict(self, state):
        self._asked = state["asked"]
        pending = {int(number): Architecture.from_json(values) for number, values in state["pending"].items()}
        self._pending = {number: Proposal(number, architecture) for number, architecture in pending.items()}
        return list(self._pending.values())


class AddsUpLosses(Sound):
    """What failed has no RMSE to add."""

    total = 0.0

    def observe(self, number, architecture, evaluation):
        self.total += evaluation.rmse


class ReportsNan(Sif):
    """One-shot; its training diverges, and it does not say so."""

    def step(self):
        incumbent = super().step()
        if incumbent is None or incumbent.rmse is not None:
            return incumbent
        return type(incumbent)(incumbent.architecture, float("nan"))


class LooksAtTheHash(Sif):
    """The split's hash knows the test part."""

    def start(self, problem):
        digits = int(problem.task.data.hash[:8], 16)
        self.seed = np.random.SeedSequence([digits, *self.seed.generate_state(1)])
        super().start(problem)


class Maximises(AskTellSearcher):
    """Comes back, after a few random proposals, to the worst of all."""

    worst, worst_loss = None, -np.inf

    def propose(self, number):
        return self.space.sample(self.rng) if number < 4 or self.worst is None else self.worst

    def observe(self, number, architecture, evaluation):
        if evaluation.loss > self.worst_loss:
            self.worst, self.worst_loss = architecture, evaluation.loss


@dataclass(frozen=True)
class WrongDefault:
    epochs: Annotated[int, Field(gt=0)] = 0


class HasAWrongDefault(Sound):
    Options = WrongDefault


class BelievesEverything(Sound):
    """Is told of what it never proposed."""

    def tell(self, number, evaluation):
        if number in self._pending:
            super().tell(number, evaluation)


class OnlyMatrices(Sound):
    """Declares tensors, too, as is the default."""

    def propose(self, number):
        if self.task.order != 2:
            raise IndexError("no third mode here")
        return super().propose(number)


BROKEN = {
    "space": RestatesTheSpace,
    "seed": DependsOnHashes,
    "global state": SeedsTheGlobalGenerator,
    "another seed": IgnoresItsSeed,
    "state": ForgetsItsGenerator,
    "failures": AddsUpLosses,
    "test part": LooksAtTheHash,
    "better than random": Maximises,
    "options": HasAWrongDefault,
    "protocol": BelievesEverything,
    "capabilities": OnlyMatrices,
}


# Other ways to break them.


class OneAtATime(Sound):
    """Declares, by default, that several proposals may be pending."""

    def observe(self, number, architecture, evaluation):
        if number != self._asked - 1:
            raise AutomlCfError("another proposal was expected")


class WaitsForResults(Sound):
    """Declares the same, and proposes nothing as long as it waits."""

    def propose(self, number):
        return None if self._pending else super().propose(number)


class GoesOnAfterItsEnd(Sound):
    ended = False

    def propose(self, number):
        if number == 10 and not self.ended:
            self.ended = True
            return None
        return super().propose(number)


class KeepsAState(Sound):
    """Not broken: keeps what it depends on, without a log. Those below forget something of it."""

    def state_dict(self):
        pending = {number: proposal.architecture.to_json() for number, proposal in self._pending.items()}
        return {"asked": self._asked, "pending": pending, "generator": self.rng.bit_generator.state}

    def load_state_dict(self, state):
        self._asked = state["asked"]
        pending = {int(number): Architecture.from_json(values) for number, values in state["pending"].items()}
        self._pending = {number: Proposal(number, architecture) for number, architecture in pending.items()}
        if "generator" in state:
            self.rng.bit_generator.state = state["generator"]
        return list(self._pending.values())


class ForgetsWhatFailed(KeepsAState):
    """Passes over as many points as have failed."""

    failed = 0

    def propose(self, number):
        for _ in range(self.failed):
            super().propose(number)
        return super().propose(number)

    def observe(self, number, architecture, evaluation):
        self.failed += evaluation.rmse is None


class ForgetsItsBeginning(KeepsAState):
    """Thinks that the first proposals are not worth to be stored."""

    def state_dict(self):
        state = super().state_dict()
        if self._asked < 10:
            del state["generator"]
        return state


class ForgetsWhileItWaits(KeepsAState):
    """Never saw a stop between an ask and its tell, with one proposal pending."""

    def state_dict(self):
        state = super().state_dict()
        if len(self._pending) == 1:
            del state["generator"]
        return state


class ForgetsAllButItsLastLife(KeepsAState):
    """Stores how often it drew since it was loaded; so the second stop in a row is one too many."""

    draws = 0

    def propose(self, number):
        self.draws += 1
        return super().propose(number)

    def state_dict(self):
        return {**super().state_dict(), "generator": None, "draws": self.draws}

    def load_state_dict(self, state):
        pending = super().load_state_dict({key: state[key] for key in ("asked", "pending")})
        for _ in range(state["draws"]):
            self.space.sample(self.rng)
        return pending


class StoresWhatItLoaded(Sif):
    """One-shot; its state is that of its former life."""

    loaded = None

    def state_dict(self):
        return self.loaded or super().state_dict()

    def load_state_dict(self, arrays, values):
        super().load_state_dict(arrays, values)
        self.loaded = arrays, values


class TakesNetworksForGranted(Sound):
    """Not every space has a `p`."""

    def propose(self, number):
        fresh = super().propose(number)
        return Architecture({**fresh, "p": fresh["p"]})


class AlwaysRaises(AskTellSearcher):
    def propose(self, number):
        return {}["operation"]


class EndsAnotherProcess(Sound):
    """Ends the process that `AnotherProcess` runs, and no other."""

    def propose(self, number):
        if sys.argv[0] == "-c":
            os._exit(3)
        return super().propose(number)


class RaisesWhenMade(Sound):
    def __init__(self, task, options):
        super().__init__(task, options)
        self.dims = task.dims


class PlainOptions:
    speed = 1


class OptionsOfNoDataclass(Sound):
    Options = PlainOptions


@dataclass(frozen=True)
class BareOptions:
    speed: int


class OptionsWithoutDefault(Sound):
    Options = BareOptions
