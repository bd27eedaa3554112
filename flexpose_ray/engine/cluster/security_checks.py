"""Whether others can run code as you through Ray: its token mode, the token, a dashboard that is open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from flexpose_ray.engine.cluster.address import DASHBOARD_PORT
from flexpose_ray.engine.cluster.check import Check
from flexpose_ray.engine.runtime.auth_token import token_path


def security_checks() -> Iterator[Check]:
    """Check the token mode, the token and the dashboard of this machine."""
    yield _token_mode()
    yield _token()
    yield _dashboard()


def _token_mode() -> Check:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "token":
        return Check("token mode", "ok", "RAY_AUTH_MODE=token")
    if mode is None:
        way_out = "export RAY_AUTH_MODE=token, before you start or join a cluster"
        return Check("token mode", "warn", "RAY_AUTH_MODE is not set: a cluster started here is open", way_out)
    found = f"RAY_AUTH_MODE={mode}: whoever reaches Ray's ports can run code as you"
    return Check("token mode", "fail", found, "export RAY_AUTH_MODE=token")


def _token() -> Check:
    if os.environ.get("RAY_AUTH_TOKEN"):
        found = "in the environment, which every process started here inherits"
        return Check("token", "warn", found, "write it to ~/.ray/auth_token, mode 600, and unset RAY_AUTH_TOKEN")
    return token_file_check(token_path())


def token_file_check(path: Path) -> Check:
    """Check that only its owner can read the token file."""
    try:
        status = path.stat()
        folder = path.parent.stat()
    except FileNotFoundError:
        way_out = "for a cluster: ray get-auth-token --generate && chmod 600 ~/.ray/auth_token"
        return Check("token", "ok", f"no {path} yet; a private Ray makes one", way_out)
    except OSError as error:
        return Check("token", "fail", f"{path}: {error.strerror}", "correct its owner")
    if status.st_mode & 0o077:
        return Check("token", "fail", f"{path} can be read by others ({status.st_mode & 0o777:o})", f"chmod 600 {path}")
    if folder.st_mode & 0o022 and not folder.st_mode & 0o1000:
        return Check("token", "fail", f"{path.parent} can be written by others", f"chmod 700 {path.parent}")
    if not path.read_text().strip():
        return Check("token", "fail", f"{path} is empty", f"rm {path} && ray get-auth-token --generate")
    return Check("token", "ok", f"{path}, readable by its owner alone")


def _dashboard() -> Check:
    """Check that no dashboard on this machine takes jobs from the network (CVE-2023-48022, by design)."""
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
        found = f"port {DASHBOARD_PORT} listens on every network: whoever reaches it may run code"
        way_out = "ray start --head --dashboard-host=127.0.0.1, and reach it by `ray dashboard` or ssh -L"
        return Check("dashboard", "fail", found, way_out)
    return Check("dashboard", "ok", "reachable from this machine alone" if listening else "none here")
