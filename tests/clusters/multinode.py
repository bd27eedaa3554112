"""clusters/laptop-multinode.yaml, brought up by its script as a person does, on ports that are free."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil

from tests.clusters.checks import FOLDER
from tests.patience import PATIENCE_S

TOKEN = "feed" * 8


class Multinode:
    """A head that takes jobs and two nodes of one CPU, until :meth:`end`.

    Args:
        folder: short path for what Ray writes, and for the cluster's file.
        env: further environment of all nodes.

    Attributes:
        address: of the job server.
        env: environment of those who may submit jobs.
    """

    def __init__(self, folder: Path, env: dict[str, str]):
        gcs, dashboard, client, agent = free_ports(4)
        text = (FOLDER / "laptop-multinode.yaml").read_text().replace("127.0.0.1:6379", f"127.0.0.1:{gcs}")
        file, token = folder / "cluster.yaml", folder / "token"
        file.write_text(text.replace("{CPU: 2,", "{CPU: 1,"))
        token.write_text(TOKEN)
        token.chmod(0o600)
        self.folder, self.address = folder, f"http://127.0.0.1:{dashboard}"
        self.env = os.environ | env | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RAY_TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
            "RAY_raylet_start_wait_time_s": "180",  # on a machine that is busy with other things
        }  # fmt: skip
        self.env.pop("RAY_ADDRESS", None)
        command = [
            FOLDER / "laptop-multinode.sh", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}",
            f"--dashboard-agent-listen-port={agent}",
        ]  # fmt: skip
        health = {"initial_delay": "500", "period": "500", "timeout": "10000"}  # a killed node refuses at once
        noticed = {f"RAY_health_check_{name}_ms": value for name, value in health.items()}
        with open(folder / "up.log", "w") as log:
            env = self.env | noticed | {"CLUSTER": str(file)}
            self.head = psutil.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)

    def ask(self, path: str) -> str:
        """What the dashboard answers."""
        request = urllib.request.Request(f"{self.address}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def wait(self, nodes: int) -> list[psutil.Process]:
        """The raylets of the nodes that work, once there are so many and jobs are taken."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.head.poll() is None, (self.folder / "up.log").read_text()
            with suppress(OSError):
                self.ask("/api/version")
                if len(found := self.raylets()) >= nodes:
                    return found
            time.sleep(0.3)
        raise AssertionError(f"not up: {(self.folder / 'up.log').read_text()}")

    def raylets(self) -> list[psutil.Process]:
        """The nodes that work: the head's own raylet is a child of `ray start`, theirs of the autoscaler."""
        mine = {child.pid for child in self.head.children()}
        found = []
        for process in self.head.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                alive = process.name() == "raylet" and process.status() != psutil.STATUS_ZOMBIE
                if alive and process.pid not in mine:
                    found.append(process)
        return found

    def submit(self, command: list[str], folder: Path) -> subprocess.Popen:
        """Start a command that runs a job and follows it."""
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=self.env, cwd=folder, **pipe)

    def end(self) -> None:
        """End all nodes, as Ctrl-C does, and what is left of them."""
        processes = self.head.children(recursive=True)
        for process in [self.head, *processes]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([self.head, *processes], timeout=30)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens at."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def holders(folder: Path, secret: str) -> list[str]:
    """Files below ``folder`` that hold a text."""
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink() and re.search(secret.encode(), path.read_bytes()):
                found.append(str(path))
    return found
