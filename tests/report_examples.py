"""Stored runs to make reports of."""

from pathlib import Path
from typing import Any

import numpy as np
from stored_runs import Found, StoredRun

SEARCHERS = ("bias-only", "sif", "bayes", "random")
RANKING = {f"{metric}@{k}": 0.5 + k / 100 for metric in ("hit", "ndcg", "recall") for k in (5, 10)}
HOSTILE = (
    "<script>window.hit = 1; alert(1)</script>",
    '"><img src=x onerror="window.hit = 2">',
    "</script><script>window.hit = 3</script>",
    "a.b[c]'$d$ {{ 7 * 7 }} \\n \u2028 \u2029 é",
    "__proto__",
)
"""Names that page, script, template or chart could take for their own language."""
MESSAGE = "ValueError: <img src=x onerror='window.hit = 4'> & </script> `*|`"


def architecture(number: int, operation: str = "plus") -> dict[str, Any]:
    """An architecture of the paper's space, of random element-wise functions."""
    rng = np.random.default_rng(number)
    functions = {mode: rng.normal(size=16).round(4).tolist() for mode in "pq"}
    return {"operation": operation, **functions, "activation": "sigmoid"}


def mixed(path: Path, dataset: str = "d", searchers: tuple[str, ...] = SEARCHERS, shift: float = 0.0) -> StoredRun:
    """Three seeds of some searchers on one data set; the last searcher fails on seed 3."""
    run = StoredRun(path)
    run.study["analysis"] = {"thresholds": [0.85, 0.84]}
    for place, searcher in enumerate(searchers):
        for seed in (1, 2, 3):
            if searcher == searchers[-1] and seed == 3:
                run.cell(dataset, 8, searcher, seed, [Found(1, 0.9)], end=3, last="cell_failed")
                continue
            end = 0.83 + shift + 0.004 * place + 0.002 * seed + 0.0007 * ((seed * (place + 2)) % 3)
            score = {"architecture": architecture(10 * place + seed), "ranking": RANKING}
            found = [Found(2 + place, end + 0.08, 1, 1000, 100), Found(9 + seed, end, 2, 5000, 200, score=score)]
            if searcher == "bias-only":
                found = [Found(0.5, end, 1, 100, 100)]
            run.cell(dataset, 8, searcher, seed, found, end=30, end_visits=9000)
    run.manifest["versions"] = {"python": "3.11.7"}
    run.manifest["splits"] = {f"{dataset}/s1": "a2c4"}
    return run


def hostile(path: Path) -> StoredRun:
    """Every name that a run holds is hostile, and so is an error's message."""
    run = StoredRun(path)
    dataset = "<b>data</b></title><script>window.hit = 5</script>"
    for place, searcher in enumerate(HOSTILE):
        for seed in (1, 2, 3):
            score = {"architecture": architecture(seed, f"<i>{searcher}</i>")}
            run.cell(
                dataset, 8, searcher, seed, [Found(2, 0.84 + 0.01 * place + 0.001 * seed**2, 1, score=score)], end=9
            )
    cell = run.start(dataset, 8, HOSTILE[0], 4)
    run.event("cell_failed", cell, error=MESSAGE, traceback="...")
    run.study["name"] = HOSTILE[2]
    run.manifest = {"command": f"automl-cf {HOSTILE[1]}", "versions": {HOSTILE[0]: HOSTILE[1]}}
    return run


def many(path: Path, searchers: int = 37, seeds: int = 5, incumbents: int = 40) -> StoredRun:
    """Many searchers, of which a few cells fail."""
    run = StoredRun(path)
    rng = np.random.default_rng(0)
    names = ["bias-only", *(f"searcher-{number:02}" for number in range(1, searchers))]
    run.study["analysis"] = {"thresholds": [0.87, 0.85]}
    for place, searcher in enumerate(names):
        for seed in range(1, seeds + 1):
            if place % 9 == 4 and seed == 2:
                run.cell("a-data-set", 8, searcher, seed, [], end=3, last="cell_failed")
                continue
            end = 0.838 + 0.001 * place + rng.normal(0, 0.002)
            times = np.sort(rng.uniform(0.3, 58, incumbents))
            errors = end + 0.06 * np.exp(-np.linspace(0, 5, incumbents)) * rng.uniform(0.6, 1)
            found = [
                Found(float(t), float(e), 0.8, int(1e5 * t), 30_000, "multiply" if place % 2 else "plus")
                for t, e in zip(times, errors, strict=True)
            ]
            found[-1] = found[-1]._replace(score={"architecture": architecture(100 * place + seed)})
            if searcher == "bias-only":
                found = [Found(0.4, 0.842 + 0.001 * seed, 0.1, 1000, 1000)]
            run.cell("a-data-set", 8, searcher, seed, found, end=60, end_visits=6_000_000)
    return run
