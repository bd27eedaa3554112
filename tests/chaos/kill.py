"""SIGKILL of a command that has joined the Ray of the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psutil

from tests.forked import ForkedCommand
from tests.patience import PATIENCE_S

Found = TypeVar("Found")


def wait_until(reached: Callable[[], Found], command: ForkedCommand) -> Found:
    """Look again and again, while the command runs, until something is found."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := reached()):
        assert command.runs(), f"ended by itself: {command.told}"
        assert time.monotonic() < deadline, f"not reached: {command.told}"
        time.sleep(0.005)
    return found


def at_work(name: str) -> list[psutil.Process]:
    """Processes of the tests' Ray that run a task or an actor of that name."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if name in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill_driver(command: ForkedCommand, name: str) -> None:
    """Kill it, and wait until Ray has ended the tasks or actors of that name that worked for it."""
    assert command.runs(), f"ended by itself: {command.told}"
    command.kill()
    deadline = time.monotonic() + PATIENCE_S
    while at_work(name):
        assert time.monotonic() < deadline, "workers outlive the command that started them"
        time.sleep(0.05)
