"""A small fixed piece of work, timed before each cell: a slower machine, or a busier one, shows in the record."""

import time

import numpy as np
import torch

_ROUNDS = 5


def calibrate() -> float:
    """Median seconds of one gather, multiply and scatter of 20,000 x 8 numbers, the shape of a training step."""
    rng = np.random.default_rng(0)
    table = torch.tensor(rng.normal(size=(1000, 8)), dtype=torch.float32)
    rows = torch.tensor(rng.integers(0, 1000, 20_000))
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        picked = table.index_select(0, rows)
        torch.zeros_like(table).index_add_(0, rows, picked * picked)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
