"""Signals of the driver: SIGTERM ends what it does in good order, and Ray's start leaves it so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TERMINATED = threading.Event()  # whether SIGTERM came


def take_sigterm() -> None:
    """From now on SIGTERM sets ``TERMINATED`` and interrupts the main thread as Ctrl-C does.

    Ray's calls let an interrupt through, but as a new one: what kind it was is told by ``TERMINATED`` alone. Other
    threads than the main one cannot take signals; called there, this does nothing.
    """

    def leave(number, frame) -> None:
        TERMINATED.set()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        TERMINATED.clear()
        signal.signal(signal.SIGTERM, leave)


@contextmanager
def kept_sigterm() -> Iterator[None]:
    """Leave SIGTERM as it was: within ``ray.init`` Ray's core takes it, and aborts the driver with a stack dump."""
    if threading.current_thread() is not threading.main_thread():  # others cannot set handlers, and Ray does not either
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
