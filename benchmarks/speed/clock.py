"""A meter that keeps the seconds of each block, so that an engine's epochs can be timed from outside."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from automl_cf.cf.meter import NullMeter


class BlockClock(NullMeter):
    """Implements `Meter`: `seconds[kind]` lists how long each block of that kind took, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[kind].append(time.perf_counter() - start)

    def last(self, kind: str, blocks: int) -> float:
        """The mean seconds of the last `blocks` blocks of a kind: of its epochs, without the set-up before them."""
        return sum(self.seconds[kind][-blocks:]) / blocks
