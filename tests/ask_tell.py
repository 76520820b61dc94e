"""What holds for every ask/tell searcher, for the tests of each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from automl_cf.cf.problem import Evaluation
from automl_cf.searchers import SearchTask, build

FAILURES = (
    Evaluation("diverged", None, 2, 1, (0.9, float("nan"))),
    Evaluation("out-of-memory", None, error="out of memory"),
    Evaluation("ok", float("nan")),
)


def searcher_of(name, space, seed=0, options=None, **task):
    return build(name, SearchTask(space, 2, (0.0,), np.random.SeedSequence(seed), **task), options or {})


def evaluation_of(loss):
    return FAILURES[0] if loss is None else Evaluation("ok", float(loss), 2, 2, (loss + 1, loss))


def hashed(architecture):
    """A loss without any meaning, and None for a quarter of the architectures."""
    key = int(architecture.id, 16)
    return None if key % 4 == 0 else 0.5 + key % 97 / 97


def minimise(searcher, loss, trials):
    """The architectures proposed one by one, and their losses."""
    proposed, losses = [], []
    for _ in range(trials):
        (proposal,) = searcher.ask()
        value = loss(proposal.architecture)
        searcher.tell(proposal.id, evaluation_of(value))
        proposed.append(proposal.architecture)
        losses.append(value)
    return proposed, losses


def advance(searcher, waiting, pending, tells, loss):
    """Keep so many proposals pending, and tell of the newest first, to have their order mixed."""
    trace = []
    for _ in range(tells):
        waiting += searcher.ask(pending - len(waiting))
        proposal = waiting.pop()
        searcher.tell(proposal.id, evaluation_of(loss(proposal.architecture)))
        trace.append(proposal)
    return trace


def check_replay(fresh, pending, before, after, loss=hashed):
    """`fresh` makes the same searcher each time; it is stored after `before` tells and compared for `after` more."""
    searcher, waiting = fresh(), []
    advance(searcher, waiting, pending, before, loss)
    waiting += searcher.ask(pending - len(waiting))
    again = fresh()
    resumed = again.load_state_dict(json.loads(json.dumps(searcher.state_dict(), allow_nan=False)))
    assert resumed == waiting
    assert again.state_dict() == searcher.state_dict()
    expected = advance(searcher, waiting, pending, after, loss)
    assert advance(again, resumed, pending, after, loss) == expected
    return expected


def check_survives_failures(searcher, trials):
    """Nothing but failures first, then every second one."""
    for number in range(trials):
        (proposal,) = searcher.ask()
        assert searcher.space.contains(proposal.architecture)
        failed = number < trials // 3 or number % 2
        searcher.tell(proposal.id, FAILURES[number % 3] if failed else Evaluation("ok", 1.0 + number % 5))


def in_another_process(expression):
    """The JSON value of an expression such as `test_module.function()`, hashes being different there."""
    module = expression.split(".")[0]
    result = subprocess.run(
        [sys.executable, "-c", f"import json, {module}; print(json.dumps({expression}))"],
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)
