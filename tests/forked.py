"""Commands as processes that cost little: forked from one that has loaded the package, instead of loading it anew.

For tests that kill a command, or run it beside another. ``without_ray`` lets plain processes do what Ray's actors do:
the commit protocol of a data set knows no Ray, so that its tests need none either.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import psutil
import torch

from flexpose_ray.cli import main
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.engine.generate import run as generation
from flexpose_ray.engine.generate.stages import SampleAndCommit
from flexpose_ray.errors import FlexPoseError
from flexpose_ray.storage.base import Store

FORKS = multiprocessing.get_context("forkserver")
# What commands import when they need it.
LATE = ("pipeline", "storage.s3", "engine.adapt.many", "engine.benchmark.run", "engine.sweep.run", "engine.train.run")
FORKS.set_forkserver_preload([__name__, *(f"flexpose_ray.{name}" for name in LATE)])
WORKERS = 2


class ForkedCommand:
    """``flexpose WORDS...`` in a process of its own.

    Args:
        words: of the command.
        env: what its environment has besides that of the tests; None for a variable that it shall not have.
        without_ray: let :func:`render` do the work of `generate`.

    Attributes:
        process: of the last start.
    """

    def __init__(self, words: list[str], env: dict[str, str | None], without_ray: bool = False):
        self.words, self.env, self.without_ray = [*map(str, words)], env, without_ray
        handle, name = tempfile.mkstemp(prefix="told-")
        os.close(handle)
        self.file = Path(name)

    @property
    def told(self) -> str:
        """What it wrote to standard error since its last start."""
        return self.file.read_text()

    def start(self) -> ForkedCommand:
        """Run it in the background."""
        self.file.write_text("")
        environment = {**os.environ, **self.env}
        arguments = self.words, environment, str(self.file), self.without_ray
        self.child = FORKS.Process(target=_command, args=arguments)
        self.child.start()
        self.process = psutil.Process(self.child.pid)
        return self

    def end(self, timeout: float = 60) -> int:
        """Wait for its end; returns its exit status."""
        self.child.join(timeout)
        if self.child.exitcode is None:
            self.kill()
        return self.child.exitcode

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.child.is_alive()

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self.child.kill()
        self.child.join()

    def workers(self) -> list[psutil.Process]:
        """The processes that :func:`render` has started, while the command runs."""
        return self.process.children()


def _command(words: list[str], environment: dict[str, str | None], told: str, without_ray: bool) -> None:
    """What the process of a command runs."""
    os.environ.clear()
    os.environ.update({name: value for name, value in environment.items() if value is not None})
    file = os.open(told, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 2)
    os.dup2(file, 1)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(file), "w", buffering=1) for _ in range(2))
    torch.set_num_threads(1)  # as in the tests' own process: bytes of a training depend on it
    if without_ray:
        generation.render = render
    sys.exit(main(words))


def render(store: Store, run: RunSpec, missing: list[ShardId], actors: int | None = None) -> Iterator[int]:
    """Like ``engine.generate.run.render``: a worker that dies is started again, and its shard rendered again."""
    waiting, at_work = deque(missing), {}
    try:
        while waiting or at_work:
            while waiting and len(at_work) < WORKERS:
                _give(_start_worker(store, run, at_work), waiting, at_work)
            for connection in wait(list(at_work)):
                shard = at_work.pop(connection)
                try:
                    found = connection.recv()
                except (EOFError, ConnectionError):
                    waiting.appendleft(shard)
                    continue
                if isinstance(found, FlexPoseError):
                    raise found
                yield found
                _give(connection, waiting, at_work)
    finally:
        for connection in at_work:
            connection.close()


def _give(connection: Connection, waiting: deque[ShardId], at_work: dict[Connection, ShardId]) -> None:
    if not waiting:
        connection.close()  # by which the worker ends
        return
    at_work[connection] = shard = waiting.popleft()
    with suppress(ConnectionError):  # it is dead: reading from it will tell
        connection.send(shard)


def _start_worker(store: Store, run: RunSpec, others: Iterable[Connection]) -> Connection:
    forks = multiprocessing.get_context("fork")  # the command has loaded all, and has no threads
    ours, theirs = forks.Pipe()
    forks.Process(target=_work, args=(theirs, [ours, *others], store.uri, run), daemon=True).start()
    theirs.close()
    return ours


def _work(connection: Connection, inherited: list[Connection], uri: str, run: RunSpec) -> None:
    """What an actor of Ray Data does, by its own class."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the command's own handler would have it tell of an interrupt
    for other in inherited:
        other.close()  # or nobody would hear of the driver's death
    stage = SampleAndCommit(uri, run, "cpu")
    with suppress(EOFError, ConnectionError):
        while True:
            index, rows = connection.recv()
            try:
                done = int(stage({"index": np.array([index]), "rows": np.array([rows])})["rows"].sum())
            except FlexPoseError as error:
                done = error
            connection.send(done)
