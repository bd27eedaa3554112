"""doctor: every check says no to what is unfit, names the way out, and leaves nothing behind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from packaging.requirements import Requirement

from flexpose_ray.engine.cluster.check import format_checks
from flexpose_ray.engine.cluster.doctor import diagnose, disk_check, version_check
from flexpose_ray.engine.cluster.security_checks import token_file_check
from flexpose_ray.engine.cluster.storage_checks import clock_check, storage_checks
from flexpose_ray.storage.open import open_store
from flexpose_ray.storage.s3 import S3Store

GB = 1e9


def of(checks, name: str):
    return next(check for check in checks if check.name == name)


@pytest.fixture(autouse=True)
def own_token(tmp_path: Path, monkeypatch) -> Path:
    """A sound token of this test's own, no cluster."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    token = folder / "token"
    token.write_text("0" * 32)
    token.chmod(0o600)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    return token


def test_this_environment_is_fit(tmp_path: Path):
    checks = diagnose(str(tmp_path / "some" / "place"))
    unfit = [check for check in checks if check.status == "fail" and not check.name.startswith(("disk", "dashboard"))]
    assert unfit == []
    assert {"python", "ray", "torch", "token mode", "token", "gpu", "/dev/shm", "storage", "clock"} <= {
        check.name for check in checks
    }
    assert not (tmp_path / "some").exists()


@pytest.mark.parametrize(
    ("package", "version", "told"),
    [("ray", "2.53.0", "CVE-2026-27482"), ("torch", "2.9.1", "CVE-2025-32434"), ("ray", "2.55.0", "needed >=2.60")],
)
def test_an_old_version_is_unfit(package: str, version: str, told: str):
    check = version_check(package, version, Requirement("ray>=2.60") if package == "ray" else None)
    assert check.status == "fail" and told in check.found and f"pip install '{package}>=" in check.way_out


def test_local_builds_of_a_version_are_fit():
    assert version_check("torch", "2.13.0+cpu", Requirement("torch>=2.10")).status == "ok"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666])
def test_a_token_that_others_can_read_is_unfit(own_token: Path, mode: int):
    own_token.chmod(mode)
    check = token_file_check(own_token)
    assert (check.status, check.way_out) == ("fail", f"chmod 600 {own_token}")


def test_a_token_that_others_can_replace_or_that_is_empty_is_unfit(own_token: Path):
    own_token.parent.chmod(0o777)
    assert "written by others" in token_file_check(own_token).found
    own_token.parent.chmod(0o700)
    own_token.write_text("\n")
    assert "empty" in token_file_check(own_token).found


@pytest.mark.parametrize(("mode", "status"), [("token", "ok"), ("disabled", "fail"), (None, "warn")])
def test_the_token_mode_is_told(monkeypatch, mode: str | None, status: str):
    monkeypatch.setenv("RAY_AUTH_MODE", mode) if mode else monkeypatch.delenv("RAY_AUTH_MODE")
    check = of(diagnose(), "token mode")
    assert check.status == status and (status == "ok" or "export RAY_AUTH_MODE=token" in check.way_out)


@pytest.mark.parametrize(
    ("free", "total", "status"),
    [(50, 100, "ok"), (5, 10, "warn"), (15, 200, "warn"), (0.5, 0.8, "fail"), (40, 1000, "fail")],
)
def test_a_disk_that_ray_would_fill_is_told(free: float, total: float, status: str):
    assert disk_check("disk", free * GB, total * GB, "free some").status == status


@pytest.mark.parametrize(("skew", "status"), [(1, "ok"), (-90, "warn"), (700, "fail"), (None, "warn")])
def test_a_wrong_clock_is_told(skew: float | None, status: str):
    assert clock_check(skew)[1] == status


def test_a_bucket_is_probed_and_left_as_it_was(s3_uri: str):
    rows = list(storage_checks(s3_uri))
    assert [row[:2] for row in rows] == [("storage", "ok"), ("conditional writes", "ok"), ("clock", "ok")]
    assert open_store(s3_uri).list() == []


def test_a_missing_bucket_is_one_failure_with_a_way_out(s3_server: str):
    ((name, status, found, way_out),) = storage_checks("s3://there-is-none/x")
    assert (name, status) == ("storage", "fail") and "no bucket" in found and way_out


def test_a_server_without_conditional_writes_is_found_out(s3_uri: str, monkeypatch):
    """The same server, with the condition taken off every request as servers do that do not know it."""
    monkeypatch.setattr(S3Store, "put_if_absent", lambda self, key, data: self.put(key, data) or True)
    rows = {row[0]: row for row in storage_checks(s3_uri)}
    assert rows["conditional writes"][1] == "fail" and "spoil" in rows["conditional writes"][2]
    assert open_store(s3_uri).list() == []


def test_a_server_whose_clock_is_off_is_found_out(s3_uri: str, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr("flexpose_ray.engine.cluster.storage_checks._skew_s", lambda store: 3600.0)
    assert ("clock", "fail") in [row[:2] for row in storage_checks(s3_uri)]


def test_a_refusal_of_the_server_is_told(s3_uri: str, monkeypatch):
    def refuse(self):
        error = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise self._explain(ClientError(error, "PutObject"), self.uri)

    monkeypatch.setattr(S3Store, "put", lambda self, key, data: refuse(self))
    ((_, status, found, way_out),) = storage_checks(s3_uri)
    assert status == "fail" and "access denied" in found and way_out


def test_text_has_the_way_out_below_what_is_unfit(own_token: Path):
    own_token.chmod(0o644)
    text = format_checks([token_file_check(own_token)])
    first, second = text.splitlines()
    assert first.startswith("fail  token") and second.strip() == f"-> chmod 600 {own_token}"
