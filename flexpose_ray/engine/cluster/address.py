"""Finds the job server of a cluster that is named by address or file, and opens a tunnel where it needs one."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from flexpose_ray.errors import ConfigError

DASHBOARD_PORT = 8265  # of the dashboard, which takes jobs
OPENS_S = 120.0  # after which a tunnel counts as failed


@contextmanager
def job_server(cluster: str, show: Callable[[str], None]) -> Iterator[str]:
    """The address of a cluster's job server, usable within the block.

    Args:
        cluster: ``http://host:port``, ``host:port``, a file for `ray up`, or a manifest of a RayCluster.
        show: takes a line when a tunnel is opened.

    Raises:
        ConfigError: no such file, a file of another kind, or a tunnel that does not open.
    """
    if re.match(r"https?://[^/@]+/?$", cluster):
        yield cluster.rstrip("/")
    elif re.fullmatch(r"[\w.-]+:\d+", cluster):
        yield f"http://{cluster}"
    elif "://" in cluster:
        hint = f"give http://HOST:{DASHBOARD_PORT}, which takes jobs, or the cluster's file"
        raise ConfigError("--cluster", f"{_safe(cluster)} is not the address of a job server", hint)
    else:
        port = _free_port()
        command = tunnel(read_cluster(cluster), cluster, port)
        if command is None:
            yield f"http://127.0.0.1:{DASHBOARD_PORT}"
            return
        show(f"opening a tunnel: {' '.join(command)}")
        with _running(command, port):
            yield f"http://127.0.0.1:{port}"


def read_cluster(path: str) -> dict:
    """Read the cluster that a file describes.

    Raises:
        ConfigError: no such file, or it describes no cluster.
    """
    try:
        found = [document for document in yaml.safe_load_all(Path(path).read_text()) if isinstance(document, dict)]
    except OSError as error:
        hint = f"name a file of clusters/, or an address such as http://127.0.0.1:{DASHBOARD_PORT}"
        raise ConfigError(path, error.strerror or str(error), hint) from error
    except yaml.YAMLError as error:
        raise ConfigError(path, f"not YAML: {' '.join(str(error).split())[:200]}", "correct it") from error
    for document in found:
        if document.get("kind") == "RayCluster" or {"cluster_name", "provider"} <= document.keys():
            return document
    raise ConfigError(path, "describes no cluster", "expected a file for `ray up`, or a RayCluster")


def tunnel(cluster: dict, path: str, port: int) -> list[str] | None:
    """The command that makes a cluster's job server available at ``port`` of this machine; None if it runs here."""
    if cluster.get("kind") == "RayCluster":
        meta = cluster["metadata"]
        where = ["--namespace", meta["namespace"]] if "namespace" in meta else []
        return ["kubectl", "port-forward", *where, f"service/{meta['name']}-head-svc", f"{port}:{DASHBOARD_PORT}"]
    provider = cluster["provider"]
    here = provider.get("head_ip"), str(provider.get("gcs_address", "")).rpartition(":")[0]
    if "127.0.0.1" in here or "localhost" in here:
        return None
    return ["ray", "dashboard", path, "--port", str(port)]


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """Run the command of a tunnel; the block begins once it takes connections."""
    with tempfile.TemporaryFile("w+") as log:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except FileNotFoundError:
            raise ConfigError(
                command[0], "is not installed here", "install it, or give the address of the job server"
            ) from None
        try:
            deadline = time.monotonic() + OPENS_S
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    last = ([line.strip() for line in log if line.strip()] or ["no answer"])[-1]
                    raise ConfigError(" ".join(command), last[:300], "see that the cluster is up and reachable")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    """The dashboard's usual port if it is free, so that the address is the usual one; else any free port."""
    for port in (DASHBOARD_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise ConfigError("--cluster", "no free port on this machine", "close some programs")


def _safe(cluster: str) -> str:
    return re.sub(r"//.*@", "//***@", cluster)
