"""The doctor: whether this machine, its Ray and a storage are fit for work, and what to do where they are not."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import ray
import torch
from packaging.requirements import Requirement
from packaging.version import Version

from flexpose_ray.engine.cluster.check import Check
from flexpose_ray.engine.cluster.security_checks import security_checks
from flexpose_ray.engine.cluster.storage_checks import storage_checks
from flexpose_ray.engine.runtime.session import OBJECT_STORE_BYTES, ray_session
from flexpose_ray.errors import FlexPoseError

VULNERABLE = {  # package -> first safe version, vulnerabilities of older ones
    "ray": ("2.54", "CVE-2026-27482"),
    "torch": ("2.10", "CVE-2025-32434, CVE-2026-24747"),
}
LEAST_BYTES, GOOD_BYTES = 1e9, 10e9  # of free space where Ray writes
FULL, NEARLY_FULL = 0.95, 0.90  # Ray does not spill to disks fuller than the first


def diagnose(storage: str | None = None, address: str | None = None) -> list[Check]:
    """Check versions, the token, GPUs, disk and shared memory; a storage and a cluster where they are named.

    Args:
        storage: URI to test with objects that are removed again.
        address: cluster to join; ``RAY_ADDRESS`` where None.
    """
    checks = [*_versions(), *security_checks(), *_gpu(), _disk(), _shared_memory()]
    if address or os.environ.get("RAY_ADDRESS"):
        checks.append(_cluster(address))
    if storage:
        checks += storage_checks(storage)
    return checks


def version_check(name: str, found: str, needed: Requirement | None) -> Check:
    """Check a package's version against what flexpose-ray requires and against known vulnerabilities.

    Args:
        name: of the package.
        found: the version that is installed.
        needed: what flexpose-ray requires; None where it does not require the package.
    """
    safe, vulnerabilities = VULNERABLE.get(name, ("0", ""))
    if Version(found) < Version(safe):
        return Check(name, "fail", f"{found} is vulnerable: {vulnerabilities}", f"pip install '{name}>={safe}'")
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


def _gpu() -> Iterator[Check]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        if shutil.which("nvidia-smi"):
            found = f"a driver is installed, but torch {torch.__version__} sees no GPU"
            yield Check("gpu", "fail", found, "install a CUDA build of torch, and check that nvidia-smi lists the GPU")
        else:
            yield Check("gpu", "ok", "none; work runs on CPUs")
        return
    names = {torch.cuda.get_device_name(i) for i in range(count)}
    free, total = torch.cuda.mem_get_info()
    found = f"{count} x {', '.join(sorted(names))}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free on the first"
    yield Check("gpu", "ok", found)
    if torch.distributed.is_nccl_available():
        yield Check("nccl", "ok", ".".join(map(str, torch.cuda.nccl.version())))
    else:
        yield Check(
            "nccl", "fail", "torch was built without it: training cannot use several GPUs", "install torch from PyPI"
        )


def disk_check(name: str, free: float, total: float, way_out: str) -> Check:
    """Check that a disk has room for what Ray writes; ``free`` and ``total`` in bytes."""
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
        return Check("disk", "fail", f"{folder}: {error.strerror}", "set RAY_TMPDIR to a folder")
    way_out = f"free space in {folder}, or set RAY_TMPDIR to a folder with more"
    return disk_check(f"disk {folder}", usage.free, usage.total, way_out)


def _shared_memory() -> Check:
    if not Path("/dev/shm").exists():
        return Check("/dev/shm", "ok", "this system has none")
    free = shutil.disk_usage("/dev/shm").free
    found = f"{free / 1e9:.1f} GB free"
    if free < OBJECT_STORE_BYTES:
        way_out = "in a container: --shm-size of 30% of the memory; on Kubernetes an emptyDir with medium: Memory"
        return Check("/dev/shm", "warn", f"{found}, Ray needs {OBJECT_STORE_BYTES / 1e9:.1f} GB", way_out)
    return Check("/dev/shm", "ok", found)


def _cluster(address: str | None) -> Check:
    try:
        with ray_session(address):
            resources, nodes = ray.cluster_resources(), sum(node["Alive"] for node in ray.nodes())
            cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
            return Check("cluster", "ok", f"{nodes} nodes, {cpus:g} CPUs, {gpus:g} GPUs")
    except FlexPoseError as error:
        return Check("cluster", "fail", f"{error.where}: {error.problem}", error.hint)
