"""Signals of the driver around Ray's start."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
