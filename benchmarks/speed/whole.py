"""Measurement `whole`: one candidate's training from its start to its end by validation, everything included."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from automl_cf.benchmarks.speed.cases import OUR_BATCH, TEXTBOOK_BATCH, candidate, named
from automl_cf.benchmarks.speed.interleave import Subject, interleave
from automl_cf.benchmarks.speed.records import Record, Sample, setting
from automl_cf.benchmarks.speed.scope import Scope
from automl_cf.benchmarks.speed.subjects import FUSED, REFERENCE
from automl_cf.benchmarks.speed.textbook import FEEDS, Feed, train_textbook
from automl_cf.cf.fused import train_fused, warm_up
from automl_cf.cf.interaction import train_interaction
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.training import Fit, Training

_DIM = 8


def at_batch(subject: str, batch: int) -> str:
    """The subject's name at a batch size."""
    return f"{subject}, batch {batch}"


def _engine(train: Callable[..., Fit], protocol: Training, seed: int) -> Fit:
    rng, l2 = np.random.default_rng(seed), protocol.search_l2
    return train(candidate(), named("ml-100k"), protocol, dim=_DIM, l2=l2, rng=rng, meter=NullMeter())


def _textbook(feed: Feed, protocol: Training, seed: int) -> Fit:
    l2, data = protocol.search_l2, named("ml-100k")
    return train_textbook(candidate(), data, protocol, dim=_DIM, l2=l2, seed=seed, feed=feed, meter=NullMeter())


def _timed(train: Callable[[int], Fit], seed: int) -> Sample:
    start = time.perf_counter()
    fit = train(seed)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "epochs": fit.epochs, "rmse": fit.rmse}


def _subjects(max_epochs: int) -> dict[str, Subject]:
    theirs, ours = (Training(batch_size=size, max_epochs=max_epochs) for size in (TEXTBOOK_BATCH, OUR_BATCH))
    trainings = {
        at_batch(name, protocol.batch_size): partial(_engine, train, protocol)
        for name, train in ((FUSED, train_fused), (REFERENCE, train_interaction))
        for protocol in (theirs, ours)
    } | {at_batch(name, TEXTBOOK_BATCH): partial(_textbook, feed, theirs) for name, feed in FEEDS.items()}
    return {name: partial(_timed, train) for name, train in trainings.items()}


def measure_whole(scope: Scope) -> Iterator[Record]:
    """`multiply` with networks on ml-100k, the search's l2, the study's protocol; each round another seed."""
    at = setting(data="ml-100k", operation="multiply", dim=_DIM, networks=True)
    scope.say(f"whole: {at}")
    warm_up(_DIM, "float32")
    yield from interleave("whole", at, _subjects(scope.pick(Training().max_epochs, 2)), scope.pick(5, 1), warm_up=False)
