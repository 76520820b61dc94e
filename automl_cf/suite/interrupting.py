"""Interruptions that let what is being written be finished: Ctrl-C, a polite kill, a terminal that closes."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class _State:
    """Of this process, whose signals there are: how deep it is shielded, and what came."""

    depth = 0
    received: int | None = None
    raised = False


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, by `signal`."""

    def __init__(self, signal: int) -> None:
        super().__init__()
        self.signal = signal


@contextmanager
def shielded() -> Iterator[None]:
    """An interruption that comes within the block is raised at its end."""
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    _raise_if_due()


@contextmanager
def interruptible(at_once: Callable[[int], None]) -> Iterator[None]:
    """Within the block the first of `SIGNALS` raises Interrupted, outside of what is shielded; a second one ends the
    process at once, after `at_once(signal)`, with 128 + its number.

    What the process was started to ignore, as by nohup, it goes on to ignore. In another thread than the main one,
    which alone may handle signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if _State.received is not None:
            at_once(number)
            os._exit(128 + number)
        _State.received = number
        _raise_if_due()

    former = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in former.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, handle)
    _State.received, _State.raised = None, False
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _raise_if_due() -> None:
    if _State.depth == 0 and _State.received is not None and not _State.raised:
        _State.raised = True
        raise Interrupted(_State.received)
