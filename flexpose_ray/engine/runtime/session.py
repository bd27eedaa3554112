"""Starting or joining Ray."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import ray
from ray._raylet import Config

from flexpose_ray.engine.runtime.signals import kept_sigterm
from flexpose_ray.engine.runtime.worker_env import given, inherited, job_runtime_env
from flexpose_ray.errors import ConfigError

LEAST_CPUS = (
    4  # logical CPUs on a small machine, so that two pools, or a trial and its trainer, never starve each other
)
PROBE_S = 5.0
OBJECT_STORE_BYTES = 400_000_000  # poses are small; by default Ray would take a third of the memory


@contextmanager
def ray_session(address: str | None = None, cpus: int | None = None) -> Iterator[None]:
    """Have Ray within the block: the one that runs already, the cluster at ``address``, or a private one.

    A private Ray listens with token authentication, has no dashboard and ends with the block; a joined one stays.

    Args:
        address: cluster to join; ``RAY_ADDRESS`` where None.
        cpus: logical CPUs of a private Ray; by default those of the machine, at least four.

    Raises:
        ConfigError: no cluster at the address, or Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else warnings of its core mix with our lines
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # on a machine that is busy with other things
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _probe(address)
        start = {"address": address, "runtime_env": job_runtime_env()}
        hint = "see that versions of Ray and Python, and the token, are the cluster's"
    else:
        start, hint = _private(cpus), "look for space in /dev/shm and in the temporary folder, which RAY_TMPDIR moves"
    _guard_token(private=not address)
    Config.initialize("")  # Ray keeps what it read when it was imported; RAY_AUTH_MODE may have been set since
    try:
        # The core tells on standard error that it took the log level.
        with kept_sigterm(), _muted_stderr(), nullcontext() if address else inherited():
            ray.init(**start, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises plain ones too, as when a node takes too long to start
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(address or "Ray", f"does not answer or start: {reason}", hint) from error
    try:
        with given():
            yield
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """See that somebody listens at ``address``; Ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # such as "auto", which Ray looks up
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_S).close()
    except OSError as error:
        hint = "start the cluster, or unset RAY_ADDRESS to work on this machine alone"
        raise ConfigError(address, f"no Ray cluster there: {error.strerror or error}", hint) from error


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Drop what C++ code writes to standard error; Python's exceptions still tell what went wrong."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _private(cpus: int | None) -> dict:
    """Arguments of a Ray of our own."""
    start = {
        "address": "local",
        "num_cpus": cpus or max(LEAST_CPUS, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_system_config": {"enable_metrics_collection": False},  # else every process serves them to the network
    }
    if "RAY_TMPDIR" not in os.environ:
        folder = Path(f"/tmp/flexpose-{os.getuid()}")  # short: a socket's path has at most 107 characters
        folder.mkdir(mode=0o700, exist_ok=True)
        start["_temp_dir"] = str(folder)
    return start


def _guard_token(private: bool) -> None:
    """See that the token file is readable for its owner alone; a Ray of our own gets one where there is none.

    Ray 2.60 would make it readable for everybody.
    """
    if "RAY_AUTH_TOKEN" in os.environ or os.environ.get("RAY_AUTH_MODE") == "disabled":
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    try:
        if private and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temp = path.with_name(f".{path.name}-{os.getpid()}")
            with open(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            with suppress(FileExistsError):
                os.link(temp, path)  # whole or not at all, whoever else starts now
            temp.unlink()
        if path.exists() and path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        hint = "let RAY_AUTH_TOKEN_PATH name a file that can be written"
        raise ConfigError(str(path), f"no token file possible: {error.strerror}", hint) from error
