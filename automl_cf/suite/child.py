"""The process that a supervisor's jobs run in: see `automl_cf.suite.companion`.

It receives jobs, sends their events, each of which waits until it is acknowledged, and ends with its supervisor.
"""

import faulthandler
import signal
import time
from typing import TYPE_CHECKING

import psutil

from automl_cf.suite.companion import channel_of_parent

if TYPE_CHECKING:
    from automl_cf.events import Event

DUMP_SIGNAL = signal.SIGUSR1  # asks for the stack of every thread on stderr


def main() -> None:
    """Serve jobs until the channel closes."""
    channel = channel_of_parent()
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL)
    from automl_cf.suite.inline import run_job

    def emit(event: "Event", files: dict[str, bytes] | None = None) -> None:
        channel.send((event, files))
        refusal = channel.recv()
        if refusal is not None:
            raise ValueError(refusal)

    setup = time.time() - psutil.Process().create_time()
    while True:
        try:
            order = channel.recv()
        except EOFError:
            return
        run_job(order.unpack(), emit, setup)
        setup = 0.0
        channel.send(None)
