"""SIGTERM in the driver: it interrupts the work as Ctrl-C does, and Ray's start does not change that."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TERMINATED = threading.Event()  # whether SIGTERM has come


def take_sigterm() -> None:
    """From now on let SIGTERM set ``TERMINATED`` and interrupt the main thread as Ctrl-C does.

    Ray's calls let an interrupt through, but as a new exception: only ``TERMINATED`` tells which signal it was. Only
    the main thread can take signals; called in another, this does nothing.
    """

    def interrupt(number, frame) -> None:
        TERMINATED.set()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        TERMINATED.clear()
        signal.signal(signal.SIGTERM, interrupt)


@contextmanager
def kept_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM: ``ray.init`` would replace it by one that aborts with a stack dump."""
    if threading.current_thread() is not threading.main_thread():  # only this one can set handlers, for Ray too
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
