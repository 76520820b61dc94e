"""Independent random streams, one per purpose: nothing here or elsewhere uses global random state."""

import zlib

import numpy as np


def stream(purpose: str, *keys: int) -> np.random.SeedSequence:
    """The stream of a named purpose (`init`, `searcher`, ...) for the given keys, such as a seed."""
    return np.random.SeedSequence([zlib.crc32(purpose.encode()), *keys])
