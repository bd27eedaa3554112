"""Starting or joining Ray."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray
from ray._raylet import Config

from flexpose_ray.engine.runtime.auth_token import guard_token
from flexpose_ray.engine.runtime.signals import kept_sigterm
from flexpose_ray.engine.runtime.worker_env import given, inherited, job_runtime_env
from flexpose_ray.errors import ConfigError

LEAST_CPUS = 4  # logical CPUs of a small machine, so that two pools, or a trial and its trainer, fit side by side
PROBE_S = 5.0  # after which an address counts as dead
OBJECT_STORE_BYTES = 400_000_000  # poses are small; Ray's default is a third of the memory


@contextmanager
def ray_session(address: str | None = None, cpus: int | None = None) -> Iterator[None]:
    """Use Ray within the block: the one that this process has, the cluster at ``address``, or a private one.

    A private Ray uses token authentication, has no dashboard and ends with the block; a cluster keeps running.

    Args:
        address: cluster to join; by default ``RAY_ADDRESS``, where it is set.
        cpus: logical CPUs of a private Ray; by default those of the machine, at least four.

    Raises:
        ConfigError: no cluster answers at the address, or Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # or warnings of its core mix with our lines
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # for a busy machine
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _probe(address)
        start = {"address": address, "runtime_env": job_runtime_env()}
        hint = "see that versions of Ray and Python, and the token, are the cluster's"
    else:
        start, hint = _private(cpus), "look for space in /dev/shm and in the temporary folder, which RAY_TMPDIR moves"
    guard_token(private=not address)
    Config.initialize("")  # Ray keeps what it read when it was imported; RAY_AUTH_MODE may have been set since
    try:
        # The core tells on standard error that it took the log level.
        with kept_sigterm(), _muted_stderr(), nullcontext() if address else inherited():
            ray.init(**start, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises plain ones too, such as when a node starts too slowly
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(address or "Ray", f"does not answer or start: {reason}", hint) from error
    try:
        with given():
            yield
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """Check that something listens at ``address``; Ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # "auto", for example, which Ray looks up
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_S).close()
    except OSError as error:
        hint = "start the cluster, or unset RAY_ADDRESS to use this machine alone"
        raise ConfigError(address, f"no Ray cluster there: {error.strerror or error}", hint) from error


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Drop what C++ code writes to standard error; Python's exceptions still report what went wrong."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _private(cpus: int | None) -> dict:
    """Arguments of ``ray.init`` for a private Ray."""
    os.environ.setdefault("LOG_NAME_UPDATE_INTERVAL_S", "1e9")  # ours reads no logs, for which Ray would look on and on
    os.environ.setdefault("RAY_LOG_MONITOR_MANY_FILES_THRESHOLD", "0")  # or the one above counts for nothing
    start = {
        "address": "local",
        "num_cpus": cpus or max(LEAST_CPUS, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_system_config": {"enable_metrics_collection": False},  # or every process serves them to the network
    }
    if "RAY_TMPDIR" not in os.environ:
        folder = Path(f"/tmp/flexpose-{os.getuid()}")  # short: the path of a socket has at most 107 characters
        folder.mkdir(mode=0o700, exist_ok=True)
        start["_temp_dir"] = str(folder)
    return start
