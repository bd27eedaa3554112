"""Ray is started once, joined where it runs, and its token is nobody else's to read."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys

import pytest
import ray

from flexpose_ray.engine.runtime.auth_token import guard_token
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.errors import ConfigError
from tests.patience import PATIENCE_S


def test_an_address_where_nobody_listens_is_told_at_once(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    for where in (address, f"ray://{address}"):
        with pytest.raises(ConfigError, match=r"no Ray cluster there.*RAY_ADDRESS"), ray_session(where):
            pass
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=address), ray_session():
        pass


def test_a_token_file_is_made_and_kept_private(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    path = tmp_path / "new" / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    guard_token(private=False)
    assert not path.exists(), "a cluster's token is not ours to invent"
    guard_token(private=True)
    token = path.read_text()
    assert len(token) == 64 and [p.name for p in path.parent.iterdir()] == ["token"]
    path.chmod(0o644)
    guard_token(private=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == token


@pytest.mark.slow
def test_a_token_asked_for_after_ray_was_imported_is_asked_of_ray_too(ray_folder):
    code = (
        "import os, ray; from flexpose_ray.engine.runtime.session import ray_session\n"
        "os.environ['RAY_AUTH_MODE'] = 'token'\n"
        "with ray_session(cpus=1): print(ray.cluster_resources()['CPU'])"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_AUTH_MODE")}
    env |= {"RAY_TMPDIR": ray_folder, "RAY_raylet_start_wait_time_s": "60"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout.split() == ["1.0"], done.stderr


@pytest.mark.slow
def test_a_running_ray_is_used_and_left_running(ray_cluster):
    before = ray.get_runtime_context().get_job_id()
    with ray_session(cpus=1):
        assert ray.get_runtime_context().get_job_id() == before
        assert ray.cluster_resources()["CPU"] == 4
    assert ray.is_initialized()
