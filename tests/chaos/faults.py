"""What tests do to a generation by way of the proxy: kill at a request, break the network, cut the server's power."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.proxy import Answer, Dropped, Hook, Request
from tests.radosgw import Radosgw

ANSWERS = {"500": "InternalError", "503": "SlowDown"}
LOST = "lost answer"
HARMS = ("500", LOST, "reset", "503", "stall")


def is_actor(process: psutil.Process) -> bool:
    """Whether it is an actor of Ray Data."""
    return "MapWorker" in " ".join(process.cmdline())


@dataclass
class Trap(Hook):
    """Kills processes at one request, the first that ``at`` names, and drops that request's connection.

    Args:
        at: whether this is such a request.
        sender: whether this is a process whose request it is.
        answered: whether the server answers first.
        victims: the processes to kill, from the one that sent the request.

    """

    at: Callable[[Request], bool]
    sender: Callable[[psutil.Process], bool]
    answered: bool
    victims: Callable[[psutil.Process], list[psutil.Process]]
    dead: list[psutil.Process] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def killed(self) -> list[psutil.Process]:
        """The victims, once the trap has sprung; waits for their death where it is springing."""
        with self.lock:
            return self.dead

    def before(self, request: Request) -> None:
        if not self.answered:
            self._spring(request)

    def after(self, request: Request) -> None:
        if self.answered:
            self._spring(request)

    def _spring(self, request: Request) -> None:
        if self.dead or not self.at(request):
            return
        with self.lock:
            client = None if self.dead else request.client()
            if client is None or not self.sender(client):
                return
            victims = self.victims(client)
            for victim in victims:
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
            for victim in victims:
                wait_dead(victim)
            self.dead = victims
        raise Dropped


@dataclass
class Weather(Hook):
    """Harms every fifth call: an error of the server, a stall, or a reset before or after the server's answer, in turn.

    Args:
        first: how many calls pass before the first one that is harmed.

    Attributes:
        harmed: the kind of harm of every call that met any.
    """

    first: int
    calls: int = 0
    harmed: list[str] = field(default_factory=list)
    losing: Request | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, request: Request) -> None:
        kind = self._next()
        if kind == LOST:
            self.losing = request
        if kind in ANSWERS:
            raise Answer(int(kind), ANSWERS[kind])
        if kind == "stall":
            time.sleep(1)
        if kind not in (None, LOST):
            raise Dropped

    def after(self, request: Request) -> None:
        if request is self.losing:
            raise Dropped

    def _next(self) -> str | None:
        with self.lock:
            number = self.calls - self.first
            self.calls += 1
            if number < 0 or number % 5:
                return None
            self.harmed.append(HARMS[number // 5 % len(HARMS)])
            return self.harmed[-1]


class Away(Hook):
    """Drops every call for so many seconds, from the first one by which a worker loads the generator.

    Args:
        seconds: how long.
        is_worker: whether a process is one.
    """

    def __init__(self, seconds: float, is_worker: Callable[[psutil.Process], bool]):
        self.seconds, self.is_worker, self.end, self.lock = seconds, is_worker, None, threading.Lock()

    def before(self, request: Request) -> None:
        with self.lock:
            loads = self.end is None and "/model/" in request.path
            if loads and (client := request.client()) and self.is_worker(client):
                self.end = time.monotonic() + self.seconds
        if self.end is not None and time.monotonic() < self.end:
            raise Dropped


class Meeting(Hook):
    """Holds commits back until two drivers have asked which shards there are, so that both have them all to render.

    Attributes:
        commits: how many were sent.
    """

    def __init__(self):
        self.lists, self.commits, self.both, self.lock = 0, 0, threading.Event(), threading.Lock()

    def after(self, request: Request) -> None:
        if request.method == "GET" and re.search(r"prefix=[^&]*commits%2F", request.query):
            self.lists += 1
            if self.lists == 2:
                self.both.set()

    def before(self, request: Request) -> None:
        if request.method == "PUT" and "/commits/" in request.path:
            assert self.both.wait(120)
            with self.lock:
                self.commits += 1


class PowerCut(Hook):
    """Kills the server after the second commit, before anybody hears of it."""

    def __init__(self, server: Radosgw):
        self.server, self.commits, self.lock = server, 0, threading.Lock()
        self.fell, self.refused = threading.Event(), threading.Event()  # `refused`: somebody has asked since

    def before(self, request: Request) -> None:
        if self.fell.is_set():
            self.refused.set()

    def after(self, request: Request) -> None:
        if request.method == "PUT" and "/commits/" in request.path:
            with self.lock:
                self.commits += 1
                if self.commits != 2:
                    return
                self.server.kill()
                self.fell.set()
            raise Dropped


def wait_dead(victim: psutil.Process) -> None:
    """Until the kernel has ended it; its parent may take its time to reap what is left."""
    deadline = time.monotonic() + 30
    with suppress(psutil.NoSuchProcess):
        while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"{victim} survives a SIGKILL"
            time.sleep(0.01)
