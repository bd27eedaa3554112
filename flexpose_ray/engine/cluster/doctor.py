"""Whether this machine, its Ray and a storage are fit for work: a row a check, each with the way out."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import ray
import torch
from packaging.requirements import Requirement
from packaging.version import Version

from flexpose_ray.engine.cluster.storage_checks import storage_checks
from flexpose_ray.engine.runtime.session import OBJECT_STORE_BYTES, ray_session
from flexpose_ray.errors import FlexPoseError
from flexpose_ray.text_table import text_table

HOLES = {  # package -> first version without them, what they are called
    "ray": ("2.54", "CVE-2026-27482"),
    "torch": ("2.10", "CVE-2025-32434, CVE-2026-24747"),
}
DASHBOARD_PORT = 8265
LEAST_BYTES, GOOD_BYTES = 1e9, 10e9  # free, where Ray writes
FULL, NEARLY_FULL = 0.95, 0.90  # Ray refuses to spill on disks that are fuller than the first


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: of what.
        status: ``ok``, ``warn`` or ``fail``.
        found: what is there.
        way_out: what to do about it; empty where all is well.
    """

    name: str
    status: str
    found: str
    way_out: str = ""


def diagnose(storage: str | None = None, address: str | None = None) -> list[Check]:
    """Look at versions, the token, GPUs, disk and shared memory, and where named at a storage and a cluster.

    Args:
        storage: URI that is probed with real objects, which are removed again.
        address: cluster to join; ``RAY_ADDRESS`` where None.
    """
    checks = [*_versions(), *_token(), _dashboard(), *_gpu(), _disk(), _shared_memory()]
    if address or os.environ.get("RAY_ADDRESS"):
        checks.append(_cluster(address))
    if storage:
        checks += [Check(*row) for row in storage_checks(storage)]
    return checks


def format_checks(checks: list[Check]) -> str:
    """The checks as lines, with the way out below each that is not well."""
    rows = []
    for check in checks:
        rows.append((check.status, check.name, check.found))
        if check.way_out:
            rows.append(("", "", f"-> {check.way_out}"))
    return text_table(rows, "lll")


def version_check(name: str, found: str, needed: Requirement | None) -> Check:
    """A package's version against what the package needs and the holes that are known.

    Args:
        name: of the package.
        found: its version.
        needed: what flexpose-ray asks for; None for nothing.
    """
    safe, holes = HOLES.get(name, ("0", ""))
    if Version(found) < Version(safe):
        return Check(name, "fail", f"{found} has known holes: {holes}", f"pip install '{name}>={safe}'")
    if needed is not None and not needed.specifier.contains(found, prereleases=True):
        return Check(name, "fail", f"{found}, needed {needed.specifier}", f"pip install '{name}{needed.specifier}'")
    return Check(name, "ok", found)


def _versions() -> Iterator[Check]:
    yield Check("python", "ok", sys.version.split()[0])
    for line in requires("flexpose-ray") or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            yield version_check(needed.name, version(needed.name), needed)
        except PackageNotFoundError:
            yield Check(needed.name, "fail", "not installed", f"pip install '{needed.name}{needed.specifier}'")


def _token() -> Iterator[Check]:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "token":
        yield Check("token mode", "ok", "RAY_AUTH_MODE=token")
    elif mode is None:
        way_out = "export RAY_AUTH_MODE=token, before you start or join a cluster"
        yield Check("token mode", "warn", "RAY_AUTH_MODE is not set: a cluster started here is open", way_out)
    else:
        found = f"RAY_AUTH_MODE={mode}: who reaches Ray's ports runs code as you"
        yield Check("token mode", "fail", found, "export RAY_AUTH_MODE=token")
    if os.environ.get("RAY_AUTH_TOKEN"):
        found = "in the environment, which every process here inherits"
        yield Check("token", "warn", found, "write it to ~/.ray/auth_token, mode 600, and unset RAY_AUTH_TOKEN")
        return
    yield token_file_check(Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token")))


def token_file_check(path: Path) -> Check:
    """Whether the token file can be read by its owner alone."""
    try:
        status = path.stat()
        folder = path.parent.stat()
    except FileNotFoundError:
        way_out = "for a cluster: ray get-auth-token --generate && chmod 600 ~/.ray/auth_token"
        return Check("token", "ok", f"no {path} yet; a Ray of our own makes one", way_out)
    except OSError as error:
        return Check("token", "fail", f"{path}: {error.strerror}", "correct its owner")
    if status.st_mode & 0o077:
        return Check("token", "fail", f"{path} can be read by others ({status.st_mode & 0o777:o})", f"chmod 600 {path}")
    if folder.st_mode & 0o022 and not folder.st_mode & 0o1000:
        return Check("token", "fail", f"{path.parent} can be written by others", f"chmod 700 {path.parent}")
    if not path.read_text().strip():
        return Check("token", "fail", f"{path} is empty", f"rm {path} && ray get-auth-token --generate")
    return Check("token", "ok", f"{path}, for its owner alone")


def _dashboard() -> Check:
    """Whether a dashboard on this machine takes jobs from others (CVE-2023-48022, which is so by design)."""
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            host, _, port = local.partition(":")
            if state == "0A" and int(port, 16) == DASHBOARD_PORT:
                listening.add(host)
    if any(set(host) == {"0"} for host in listening):
        found = f"port {DASHBOARD_PORT} listens to every network: who reaches it may run code"
        way_out = "ray start --head --dashboard-host=127.0.0.1, and reach it by `ray dashboard` or ssh -L"
        return Check("dashboard", "fail", found, way_out)
    return Check("dashboard", "ok", "for this machine alone" if listening else "none here")


def _gpu() -> Iterator[Check]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        if shutil.which("nvidia-smi"):
            found = f"there is a driver, but torch {torch.__version__} sees no GPU"
            yield Check("gpu", "fail", found, "install the CUDA build of torch, and see that nvidia-smi lists the GPU")
        else:
            yield Check("gpu", "ok", "none; work is done on CPUs")
        return
    names = {torch.cuda.get_device_name(i) for i in range(count)}
    free, total = torch.cuda.mem_get_info()
    found = f"{count} x {', '.join(sorted(names))}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free on the first"
    yield Check("gpu", "ok", found)
    if torch.distributed.is_nccl_available():
        yield Check("nccl", "ok", ".".join(map(str, torch.cuda.nccl.version())))
    else:
        yield Check("nccl", "fail", "torch was built without it: several GPUs cannot train", "install torch from PyPI")


def disk_check(name: str, free: float, total: float, way_out: str) -> Check:
    """Whether a disk has room for what Ray writes, in bytes."""
    used = 1 - free / total
    found = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if free < LEAST_BYTES or used > FULL:
        return Check(name, "fail", found, way_out)
    return Check(name, *(("warn", found, way_out) if free < GOOD_BYTES or used > NEARLY_FULL else ("ok", found)))


def _disk() -> Check:
    folder = os.environ.get("RAY_TMPDIR", tempfile.gettempdir())
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return Check("disk", "fail", f"{folder}: {error.strerror}", "let RAY_TMPDIR name a folder")
    way_out = f"free space in {folder}, or let RAY_TMPDIR name a roomier folder"
    return disk_check(f"disk {folder}", usage.free, usage.total, way_out)


def _shared_memory() -> Check:
    if not Path("/dev/shm").exists():
        return Check("/dev/shm", "ok", "this system has none")
    free = shutil.disk_usage("/dev/shm").free
    found = f"{free / 1e9:.1f} GB free"
    if free < OBJECT_STORE_BYTES:
        way_out = "in a container: --shm-size of 30% of the memory; on Kubernetes an emptyDir with medium: Memory"
        return Check("/dev/shm", "warn", f"{found}, Ray wants {OBJECT_STORE_BYTES / 1e9:.1f} GB", way_out)
    return Check("/dev/shm", "ok", found)


def _cluster(address: str | None) -> Check:
    def ask() -> str:
        there = ray.cluster_resources()
        nodes = sum(node["Alive"] for node in ray.nodes())
        return f"{nodes} nodes, {there.get('CPU', 0):g} CPUs, {there.get('GPU', 0):g} GPUs"

    try:
        with ray_session(address):
            return Check("cluster", "ok", ask())
    except FlexPoseError as error:
        return Check("cluster", "fail", f"{error.where}: {error.problem}", error.hint)
