"""One thread for every library, so that each subject is measured on one core. Imports nothing heavy."""

import os
import sys

_ONE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def restart_with_one_thread(module: str) -> None:
    """Start this process again, as `python -m module`, if its libraries might use several threads.

    They read these variables when they are first imported, so it is no use to set them later.
    """
    if any(os.environ.get(name) != value for name, value in _ONE.items()):
        os.environ.update(_ONE)
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])
