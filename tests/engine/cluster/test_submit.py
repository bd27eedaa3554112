"""submit: what it refuses to send, how it finds a cluster, and what it makes of a log that breaks off."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from flexpose_ray.engine.cluster import submit as submit_module
from flexpose_ray.engine.cluster.address import _running, job_server, read_cluster, tunnel
from flexpose_ray.engine.cluster.submit import _exit_status, _follow, check_folder, check_words, submit
from flexpose_ray.errors import ConfigError

CLUSTERS = Path(__file__).parents[3] / "clusters"


def server(cluster: str) -> str:
    with job_server(cluster, print) as address:
        return address


@pytest.mark.parametrize("word", ["s3://key:word@host/x", "--set=source=https://me@host/x"])
def test_addresses_with_passwords_are_refused(word: str):
    with pytest.raises(ConfigError, match="password"):
        check_words(["generate", word])


def test_a_secret_of_the_environment_is_refused_without_repeating_it(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY") as refused:
        check_words(["generate", "--set", "key=canary"])
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("folder", ["/", "~", "no/such/folder"])
def test_folders_that_hold_everything_or_nothing_are_refused(folder: str):
    with pytest.raises(ConfigError):
        check_folder(folder)


@pytest.mark.parametrize(
    ("cluster", "address"),
    [
        ("http://127.0.0.1:8266/", "http://127.0.0.1:8266"),
        ("head.example:8265", "http://head.example:8265"),
        (str(CLUSTERS / "laptop.yaml"), "http://127.0.0.1:8265"),
        (str(CLUSTERS / "laptop-multinode.yaml"), "http://127.0.0.1:8265"),
    ],
)
def test_clusters_that_need_no_tunnel(cluster: str, address: str):
    assert server(cluster) == address


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("aws-gpu.yaml", "ray dashboard {path} --port 9000"),
        ("gcp-gpu.yaml", "ray dashboard {path} --port 9000"),
        ("on-prem.yaml", "ray dashboard {path} --port 9000"),
        ("kuberay-cluster.yaml", "kubectl port-forward service/flexpose-head-svc 9000:8265"),
    ],
)
def test_clusters_elsewhere_are_reached_by_a_tunnel(name: str, command: str):
    path = str(CLUSTERS / name)
    assert " ".join(tunnel(read_cluster(path), path, 9000)) == command.format(path=path)


@pytest.mark.parametrize(
    "cluster",
    ["no/such.yaml", "ray://head:10001", str(CLUSTERS / "kuberay-network-policy.yaml"), "http://me:pw@host:8265"],
)
def test_what_is_no_cluster_is_refused_without_its_password(cluster: str):
    with pytest.raises(ConfigError) as refused:
        server(cluster)
    assert "me:pw" not in str(refused.value)


def test_a_tunnel_lasts_as_long_as_the_work():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with _running([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], port):
        socket.create_connection(("127.0.0.1", port), 5).close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_tunnel_that_does_not_open_says_why():
    with (
        pytest.raises(ConfigError, match="no route today"),
        _running([sys.executable, "-c", "exit('no route today')"], 9),
    ):
        pass


def test_a_server_that_is_away_is_told_in_a_line(tmp_path: Path):
    with pytest.raises(ConfigError, match="see that the cluster is up"):
        submit(["show", "x"], "http://127.0.0.1:9", str(tmp_path))


class Broken:
    """A job's client whose log breaks off in the middle once, after ``first`` characters."""

    def __init__(self, log: str, first: int):
        self.log, self.first, self.calls = log, first, 0

    async def tail_job_logs(self, job: str):
        self.calls += 1
        yield self.log[: self.first]
        if self.calls == 1:
            raise ConnectionError("reset")
        yield self.log[self.first :]

    def get_job_info(self, job: str):
        return SimpleNamespace(status=SimpleNamespace(is_terminal=lambda: True, value="SUCCEEDED"), driver_exit_code=0)


def test_a_log_that_breaks_off_is_told_once(monkeypatch):
    monkeypatch.setattr(submit_module.time, "sleep", lambda seconds: None)
    told: list[str] = []
    _follow(Broken("one\ntwo\nthree\n", 8), "job", told.append)
    assert "".join(told).replace("\n", "") == "onetwothree"


@pytest.mark.parametrize(
    ("status", "code", "exit_status"),
    [("SUCCEEDED", 0, 0), ("FAILED", 2, 2), ("FAILED", None, 1), ("STOPPED", None, 143)],
)
def test_the_commands_exit_status_comes_back(status: str, code: int | None, exit_status: int):
    assert _exit_status(SimpleNamespace(status=SimpleNamespace(value=status), driver_exit_code=code)) == exit_status
