"""doctor and submit as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flexpose_ray.cli import main


@pytest.fixture(autouse=True)
def token(tmp_path: Path, monkeypatch) -> Path:
    """A token of this test's own; no cluster."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "x")  # so that what a command sets is taken back
        monkeypatch.delenv(name)
    path = tmp_path / "keys" / "token"
    path.parent.mkdir(mode=0o700)
    path.write_text("0" * 32)
    path.chmod(0o600)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.chdir(tmp_path)
    return path


def test_doctor_says_no_with_status_1_and_the_way_out(token: Path, capsys):
    token.chmod(0o644)
    assert main(["doctor", "--storage", "store", "--json"]) == 1
    out, err = capsys.readouterr()
    found = {check["name"]: check for check in json.loads(out)["checks"]}
    assert found["token"]["status"] == "fail" and found["token"]["way_out"] == f"chmod 600 {token}"
    assert found["conditional writes"]["status"] == "ok"
    assert f"-> chmod 600 {token}" in err
    assert not Path("store").exists()


def test_doctor_tells_a_cluster_that_does_not_answer(capsys, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # whatever other tests have started in this process
    assert main(["doctor", "--address", "127.0.0.1:9", "--json"]) == 1
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert found["cluster"]["status"] == "fail" and found["cluster"]["way_out"]


@pytest.mark.parametrize("where", ["before", "after"])
def test_submit_takes_its_cluster_before_and_after_the_verb(where: str, capsys):
    job = ["generate", "--out", "s3://bucket/x", "--count", "5"]
    cluster = ["--cluster", "127.0.0.1:8265"]
    words = [*cluster, *job] if where == "before" else [*job, *cluster]
    assert main(["submit", "--dry-run", *words]) == 0
    assert capsys.readouterr().out.endswith("run on 127.0.0.1:8265: flexpose generate --out s3://bucket/x --count 5\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["generate", "--out", "x"], "no cluster named"),
        (["generate", "--out", "s3://me:word@b/x", "--cluster", "127.0.0.1:9"], "password"),
        (["generate", "--out", "x", "--cluster", "no.yaml"], "no.yaml: No such file"),
        (["generate", "--out", "x", "--cluster", "127.0.0.1:9"], "see that the cluster is up"),
    ],
)
def test_submit_refuses_in_one_line(words: list[str], told: str, capsys):
    assert main(["submit", *words]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and "me:word" not in err


def test_submit_knows_the_verbs(capsys):
    with pytest.raises(SystemExit):
        main(["submit", "dance", "--cluster", "127.0.0.1:9"])
    assert "invalid choice: 'dance'" in capsys.readouterr().err
