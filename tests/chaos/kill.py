"""SIGKILL of a command and of all that it started."""

from __future__ import annotations

import os
import signal

import psutil


def kill_with_all_it_started(driver: psutil.Popen) -> None:
    """Kill a driver's process group, then what its Ray left running, all known by their ids.

    Args:
        driver: still running, and begun with ``start_new_session=True``.
    """
    os.killpg(driver.pid, signal.SIGSTOP)  # so that nothing goes on while its children are looked up
    started = driver.children(recursive=True)
    os.killpg(driver.pid, signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    for process in started:
        if process.is_running():
            process.kill()
    psutil.wait_procs(started, timeout=30)
