"""A real S3 server for tests: one radosgw on loopback with its monitor and its disk, in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path

from tests.patience import PATIENCE_S

BINARIES = ("radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool")

CONFIG = """
[global]
fsid = {fsid}
run dir = {folder}/run
admin socket =
log file = {folder}/log/$name.log
keyring = {folder}/keyring
crash dir = {folder}/log
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
osd pool default pg num = 4
osd pool default pgp num = 4
mon max pg per osd = 1000
paxos propose interval = 0.05
paxos min wait = 0.01
osd pool default pg autoscale mode = off
[mon.a]
mon data = {folder}/mon
mon cluster log file = {folder}/log/cluster.log
mon data avail crit = 1
[osd.0]
osd data = {folder}/osd
bluestore block size = 10737418240
osd memory target = 939524096
bluestore fsck on mount = false
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {folder}/rgw
rgw thread pool size = 64
objecter tick interval = 0.5
objecter timeout = 1
rgw enable gc threads = false
rgw enable lc threads = false
rgw run sync thread = false
"""


def missing_binaries() -> list[str]:
    """What has to be installed first; Debian has it in radosgw, ceph-mon and ceph-osd."""
    return [name for name in (*BINARIES, "setpriv") if shutil.which(name) is None]


class Radosgw:
    """A server of its own; its daemons are children of this process and end with it.

    Args:
        folder: an empty folder on a disk; its path has to be short enough for the name of a socket.
        key: access key of the only user.
        secret: that user's secret.

    Attributes:
        url: for ``AWS_ENDPOINT_URL``.
    """

    def __init__(self, folder: Path, key: str, secret: str):
        self.folder, self.daemons = folder, []
        self.env = os.environ | {"CEPH_CONF": str(folder / "ceph.conf")}
        port, v2, v1 = _free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        for name in ("mon", "osd", "run", "log", "rgw"):
            (folder / name).mkdir()
        fsid, osd = uuid.uuid4(), uuid.uuid4()
        (folder / "ceph.conf").write_text(CONFIG.format(fsid=fsid, folder=folder, port=port, v2=v2, v1=v1))
        keyring, monmap = folder / "keyring", folder / "monmap"
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name, services in (
            ("client.admin", ("mon", "osd")),
            ("osd.0", ("mon", "osd")),
            ("client.rgw", ("mon", "osd")),
        ):
            caps = [word for service in services for word in ("--cap", service, "allow *")]
            self._run("ceph-authtool", keyring, "--gen-key", "-n", name, *caps)
        self._run(
            "monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]", monmap
        )
        self._run("ceph-mon", "-i", "a", "--mkfs", "--fsid", fsid, "--monmap", monmap, "--keyring", keyring)
        self._spawn("ceph-mon", "-i", "a")
        self._run("ceph", "osd", "new", osd, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._spawn("ceph-osd", "-i", "0")
        self._spawn("radosgw", "-n", "client.rgw")
        self._run(
            "radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", "test", "--display-name", "test",
            "--access-key", key, "--secret-key", secret,
        )  # fmt: skip
        self._wait()

    def kill(self) -> None:
        """SIGKILL to all daemons at once, as a power cut would."""
        for daemon in self.daemons:
            daemon.kill()
        for daemon in self.daemons:
            daemon.wait()
        self.daemons = []

    def restart(self) -> None:
        """Start the daemons again on what is on the disk; returns when they answer."""
        self._spawn("ceph-mon", "-i", "a")
        self._spawn("ceph-osd", "-i", "0")
        self._spawn("radosgw", "-n", "client.rgw")
        self._wait()

    def limit(self, bucket: str, objects: int) -> None:
        """Let ``bucket`` hold no more objects than that."""
        quota = "radosgw-admin", "-n", "client.rgw", "quota"
        self._run(*quota, "set", "--quota-scope", "bucket", "--bucket", bucket, "--max-objects", objects)
        self._run(*quota, "enable", "--quota-scope", "bucket", "--bucket", bucket)

    def _spawn(self, *command: str) -> None:
        with open(self.folder / "log" / f"{command[0]}.out", "ab") as log:
            watched = ["setpriv", "--pdeathsig", "KILL", *command, "-f"]  # even if the tests are killed, none stays
            self.daemons.append(subprocess.Popen(watched, env=self.env, stdout=log, stderr=log))

    def _run(self, *command) -> None:
        words = list(map(str, command))
        done = subprocess.run(words, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.decode(errors='replace')[-500:]}")

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError):
                try:
                    urllib.request.urlopen(self.url, timeout=5).close()
                    return
                except urllib.error.HTTPError:  # it refuses us: it is there
                    return
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in self.daemons):
                self.kill()
                raise RuntimeError(f"radosgw does not answer; see {self.folder}/log")
            time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
