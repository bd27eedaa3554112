"""Keeping freed memory, which makes networks on a CPU up to several times faster.

By itself glibc returns large blocks to the system after every step and takes them again, page by page. Workers keep
them by their environment, from their start on; the process that the user started sets it at run time.
"""

from __future__ import annotations

import ctypes
import sys

KEEP_ENV = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8589934592"}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def keep_memory() -> None:
    """Let this process keep freed memory; without glibc this does nothing."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
