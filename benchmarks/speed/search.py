"""Measurement `search`: SIF with its default options, and the retraining of what it found over the l2 grid."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from automl_cf.benchmarks.speed.cases import OUR_BATCH, TEXTBOOK_BATCH, named
from automl_cf.benchmarks.speed.interleave import Subject, interleave
from automl_cf.benchmarks.speed.records import Record, Sample, setting
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.subjects import FUSED, LOADER, REFERENCE, SLICES
from automl_cf.benchmarks.speed.textbook import FEEDS, train_textbook
from automl_cf.benchmarks.speed.textbook_sif import TextbookSif
from automl_cf.benchmarks.speed.whole import at_batch
from automl_cf.cf.fused import warm_up
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask, train_over_grid
from automl_cf.cf.problem import Problem
from automl_cf.cf.training import Fit, Training
from automl_cf.searchers import OneShotSearcher, SearchTask, build
from automl_cf.searchers.sif import SifOptions
from automl_cf.spaces.interaction import interaction_space

_DIM = 8
_SAMPLED = 2  # epochs of the slowest subject that are measured


class Plan:
    """How long the search and each training may be."""

    def __init__(self, quick: bool) -> None:
        self.epochs = 2 if quick else SifOptions().epochs
        self.max_epochs = 1 if quick else Training().max_epochs

    def training(self, **options: object) -> Training:
        """The study's protocol, with options of its own."""
        return Training.model_validate({"max_epochs": self.max_epochs, **options})


def engine_search(engine: str, plan: Plan, seed: int) -> Sample:
    """The searcher `sif` on one of our engines, as the suite runs it."""
    training = plan.training(engine=engine)
    task = TrainingTask(named("ml-100k"), training, _DIM, np.random.SeedSequence(seed))
    space, stream = interaction_space(), np.random.SeedSequence([seed, 1])
    start = time.perf_counter()
    searcher = build("sif", SearchTask(space, 2, training.l2_grid, stream), {"epochs": plan.epochs})
    assert isinstance(searcher, OneShotSearcher)
    searcher.start(Problem(task, NullMeter()))
    incumbent = searcher.step()
    while (later := searcher.step()) is not None:
        incumbent = later
    assert incumbent is not None
    searched = time.perf_counter()
    best, _ = train_over_grid(incumbent.architecture, task, NullMeter())
    return _sample(searched - start, time.perf_counter() - searched, best)


class TextbookSearches:
    """The textbook's search. With slices it is run; with a DataLoader a part of it is, and the rest is calculated.

    The calculation takes the epochs of retraining from the latest run with slices; the rounds begin with one.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.training = plan.training(batch_size=TEXTBOOK_BATCH)
        self.retrained = 0  # epochs over the whole grid, of the latest run

    def run(self, seed: int) -> Sample:
        """All of it, with slices."""
        data, feed = named("ml-100k"), FEEDS[SLICES]
        start = time.perf_counter()
        search = TextbookSif(data, self.training, _DIM, seed, feed)
        for _ in range(self.plan.epochs):
            search.epoch()
        architecture = search.architecture()
        searched = time.perf_counter()
        train = partial(train_textbook, architecture, data, self.training, dim=_DIM, seed=seed, feed=feed)
        fits = [train(l2=l2, meter=NullMeter()) for l2 in self.training.l2_grid]
        self.retrained = sum(fit.epochs for fit in fits)
        best = min(fits, key=lambda fit: fit.rmse if fit.status == "ok" else float("inf"))
        return {**_sample(searched - start, time.perf_counter() - searched, best), "retraining epochs": self.retrained}

    def extrapolate(self, seed: int) -> Sample:
        """With a DataLoader: seconds of a few epochs of both parts, times the epochs that they would take."""
        data, feed = named("ml-100k"), FEEDS[LOADER]
        search = TextbookSif(data, self.training, _DIM, seed, feed)
        start = time.perf_counter()
        for _ in range(_SAMPLED):
            search.epoch()
        searched = time.perf_counter()
        l2 = self.training.search_l2
        train_textbook(
            search.architecture(),
            data,
            self.training,
            dim=_DIM,
            l2=l2,
            seed=seed,
            feed=feed,
            meter=NullMeter(),
            epochs=_SAMPLED,
        )
        per_search, per_training = (searched - start) / _SAMPLED, (time.perf_counter() - searched) / _SAMPLED
        searching, retraining = per_search * self.plan.epochs, per_training * self.retrained
        return {
            "seconds": searching + retraining,
            "search": searching,
            "retraining": retraining,
            "epochs measured": _SAMPLED,
        }


def _sample(search: float, retraining: float, best: Fit) -> Sample:
    return {"seconds": search + retraining, "search": search, "retraining": retraining, "rmse": best.rmse}


def measure_search(scope: Scope) -> Iterator[Record]:
    """The default space on ml-100k; each round another seed. The textbook takes batches of 512, ours the default."""
    plan = Plan(scope.quick)
    textbook = TextbookSearches(plan)
    subjects: dict[str, Subject] = {
        at_batch(SLICES, TEXTBOOK_BATCH): textbook.run,
        at_batch(LOADER, TEXTBOOK_BATCH): textbook.extrapolate,
        at_batch(REFERENCE, OUR_BATCH): partial(engine_search, "reference", plan),
        at_batch(FUSED, OUR_BATCH): partial(engine_search, "fused", plan),
    }
    at = setting(data="ml-100k", dim=_DIM, epochs=plan.epochs)
    scope.say(f"search: {at}")
    warm_up(_DIM, "float32")
    yield from interleave("search", at, subjects, scope.pick(2, 1), warm_up=False)
