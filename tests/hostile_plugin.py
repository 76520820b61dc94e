"""Searchers and a model that do what must cost nobody else anything; a plug-in of tests/test_isolation.py."""

import ctypes
import os
import time

from automl_cf.cf.bias import train_bias
from automl_cf.cf.models import ModelFamily, models
from automl_cf.cf.problem import Incumbent
from automl_cf.cf.training import Fit
from automl_cf.searchers import AskTellSearcher, Capabilities, OneShotSearcher, searchers
from automl_cf.spaces.architecture import Architecture

DEEDS = ("good", "nan", "negative", "status", "none", "raise", "exit", "segfault", "hang", "leak", "curve", "good")


def leak():
    held = []
    while True:
        held.append(b"x" * 50_000_000)


def train(architecture, task, l2, meter, epochs):
    fit = train_bias(task.data, task.training, l2=l2, meter=meter)
    match architecture["deed"]:
        case "nan":
            return Fit("ok", float("nan"), l2, 1, 1)
        case "negative":
            return Fit("ok", -1.0, l2, 1, 1)
        case "status":
            return Fit("splendid", 0.1, l2, 1, 1)
        case "none":
            return None
        case "raise":
            raise KeyError("of a candidate")
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            while True:
                time.sleep(1)
        case "leak":
            leak()
    return fit


models.register("hostile")(ModelFamily(train))


@searchers.register("bad-candidates")
class BadCandidates(AskTellSearcher):
    capabilities = Capabilities(fixed_proposals=True)

    def propose(self, number):
        if number < len(DEEDS):
            return Architecture({"model": "hostile", "deed": DEEDS[number], "number": number})
        return None


class Misbehaving(AskTellSearcher):
    """Does something in its third proposal."""

    def propose(self, number):
        if number == 2:
            self.misbehave()
        return self.space.sample(self.rng)


@searchers.register("hanging")
class Hanging(Misbehaving):
    def misbehave(self):
        while True:
            pass


@searchers.register("leaking")
class Leaking(Misbehaving):
    def misbehave(self):
        leak()


@searchers.register("crashing")
class Crashing(Misbehaving):
    def misbehave(self):
        ctypes.string_at(0)


@searchers.register("flooding")
class Flooding(Misbehaving):
    def misbehave(self):
        for _ in range(20_000):
            print("x" * 1000)

    def propose(self, number):
        architecture = super().propose(number)
        return Architecture({**architecture, "more": "x" * 2_000_000}) if number == 4 else architecture


@searchers.register("outside")
class Outside(AskTellSearcher):
    def propose(self, number):
        return Architecture({"operation": "no such", "p": [1e9] * 16})


@searchers.register("raising")
class Raising(AskTellSearcher):
    def propose(self, number):
        return self.space.sample(self.rng)

    def observe(self, number, architecture, evaluation):
        if number == 2:
            raise RuntimeError("of a searcher")


@searchers.register("lying-one-shot")
class LyingOneShot(OneShotSearcher):
    def start(self, problem):
        pass

    def step(self):
        return Incumbent(Architecture({"operation": "no such"}), -5.0)

    def state_dict(self):
        return {}, {}

    def load_state_dict(self, arrays, values):
        pass
