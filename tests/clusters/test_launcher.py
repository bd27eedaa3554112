"""Files for `ray up`: Ray's own launcher accepts them, and what they start is closed, bounded and of one version."""

from __future__ import annotations

import copy
from collections.abc import Callable

import jsonschema
import pytest
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.clusters.checks import (
    FOLDER,
    dashboard_faults,
    documents,
    launched,
    network_faults,
    node_faults,
    secret_faults,
    token_faults,
    version_faults,
)

STARTED = [name for name in launched() if name != "laptop-multinode.yaml"]  # that one's script starts Ray
FILES = sorted(path.name for path in FOLDER.iterdir())


@pytest.fixture(params=launched())
def config(request) -> dict:
    (config,) = documents(request.param)
    return config


def test_there_is_a_file_for_every_place():
    wanted = {"aws-gpu.yaml", "gcp-gpu.yaml", "on-prem.yaml", "laptop.yaml", "laptop-multinode.yaml"}
    assert wanted == set(launched())


def test_the_launcher_accepts_the_file(config: dict):
    validate_config(prepare_config(copy.deepcopy(config)))


def test_the_launcher_would_refuse_a_misspelt_key(config: dict):
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout"):
        validate_config(prepare_config({**copy.deepcopy(config), "idle_timeout": 5}))


@pytest.mark.parametrize("name", STARTED)
def test_ray_starts_with_the_token_and_a_dashboard_of_its_own(name: str):
    (config,) = documents(name)
    assert token_faults(config) + dashboard_faults(config) == []


def test_no_node_is_open_and_all_end(config: dict):
    assert network_faults(config) + node_faults(config) == []


@pytest.mark.parametrize("name", FILES)
def test_versions_are_those_of_the_lock_and_no_secret_is_in_a_file(name: str):
    text = (FOLDER / name).read_text()
    assert version_faults(text) + secret_faults(text) == []


@pytest.mark.parametrize("name", ["aws-gpu.yaml", "gcp-gpu.yaml"])
def test_a_cloud_has_a_pool_for_every_stage(name: str):
    (config,) = documents(name)
    types = config["available_node_types"]
    assert {t.get("labels", {}).get("flexpose-pool") for t in types.values()} >= {"sampler", "alpha", "trainer"}
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert any("constraints.txt" in command for command in config["setup_commands"])


def test_the_laptop_listens_to_itself_only():
    (config,) = documents("laptop.yaml")
    assert config["provider"]["head_ip"] == "127.0.0.1"
    assert any("--node-ip-address=127.0.0.1" in command for command in config["head_start_ray_commands"])


def test_the_laptops_nodes_start_with_the_token_and_a_dashboard_of_their_own():
    script = (FOLDER / "laptop-multinode.sh").read_text()
    assert "\nexport RAY_AUTH_MODE=token\n" in script
    assert dashboard_faults({"head_start_ray_commands": [script]}) == []


def edit(kind: str, old: str, new: str) -> Callable[[dict], None]:
    """Replace text in the commands that start Ray."""

    def change(config: dict) -> None:
        key = f"{kind}_start_ray_commands"
        assert any(old in command for command in config[key])
        config[key] = [command.replace(old, new) for command in config[key]]

    return change


def node(name: str, **values) -> Callable[[dict], None]:
    """Set parts of a node type's configuration, or take them away by None."""

    def change(config: dict) -> None:
        its = config["available_node_types"][name]["node_config"]
        its.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del its[key]

    return change


OPEN_GROUP = {"GroupName": "mine", "IpPermissions": [{"FromPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}


@pytest.mark.parametrize(
    ("name", "spoil", "check", "told"),
    [
        ("aws-gpu.yaml", edit("head", "RAY_AUTH_MODE=token ", ""), token_faults, "no token"),
        ("gcp-gpu.yaml", edit("worker", "RAY_AUTH_MODE=token ", ""), token_faults, "no token"),
        ("on-prem.yaml", lambda c: c.pop("worker_start_ray_commands"), token_faults, "no command"),
        ("aws-gpu.yaml", edit("head", "host=127.0.0.1", "host=0.0.0.0"), dashboard_faults, "public"),
        ("on-prem.yaml", edit("head", "--dashboard-host=127.0.0.1", ""), dashboard_faults, "public"),
        ("aws-gpu.yaml", lambda c: c["provider"].update(security_group=OPEN_GROUP), network_faults, "0.0.0.0/0"),
        ("aws-gpu.yaml", node("sampler-spot", SecurityGroupIds=None), network_faults, "sampler-spot"),
        ("aws-gpu.yaml", lambda c: c["provider"].pop("use_internal_ips"), network_faults, "public addresses"),
        ("gcp-gpu.yaml", node("head", networkInterfaces=[{"accessConfigs": []}]), network_faults, "public address"),
        ("gcp-gpu.yaml", node("head", networkInterfaces=None), network_faults, "public address"),
        ("aws-gpu.yaml", node("alpha-spot", IamInstanceProfile=None), node_faults, "no IamInstanceProfile"),
        ("gcp-gpu.yaml", node("alpha-spot", serviceAccounts=None), node_faults, "no serviceAccounts"),
        ("aws-gpu.yaml", lambda c: c.pop("idle_timeout_minutes"), node_faults, "idle"),
        ("aws-gpu.yaml", node("head", InstanceTyp="m7i.large"), node_faults, "InstanceTyp"),
        ("aws-gpu.yaml", lambda c: c["available_node_types"].pop("sampler-on-demand"), node_faults, "on demand"),
        ("gcp-gpu.yaml", lambda c: c["available_node_types"].pop("sampler-on-demand"), node_faults, "on demand"),
        ("gcp-gpu.yaml", lambda c: c["available_node_types"]["alpha-spot"].pop("max_workers"), node_faults, "bound"),
    ],
)  # fmt: skip
def test_a_spoiled_file_is_found_out(name: str, spoil: Callable, check: Callable, told: str):
    (config,) = documents(name)
    spoil(config)
    assert any(told in fault for fault in check(config)), check(config)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image: registry/flexpose-ray:latest", "moves"),
        ("ImageId: latest_dlami", "moves"),
        ("pip install ray==2.59.0", "ray 2.59.0"),
        ("pip install torch==2.10.0", "torch 2.10.0"),
        ("ARG BASE=rayproject/ray:2.61.0-py311-cpu", "ray 2.61.0"),
        ("image: registry/flexpose-ray:0.1.0-ray2.59.0-py311-cpu", "ray 2.59.0"),
        ("rayVersion: 2.59.0", "ray 2.59.0"),
        ("uv venv --python 3.12 .venv", "Python 3.12"),
        ("ARG BASE=rayproject/ray:2.60.0-py310-cpu", "Python 3.10"),
    ],
)
def test_another_version_is_found_out(text: str, told: str):
    assert any(told in fault for fault in version_faults(text))


@pytest.mark.parametrize("text", ["key: AKIA0123456789ABCDEF", "aws_secret_access_key = wJalrXUtnFEMIK7MDENG"])
def test_a_secret_is_found_out(text: str):
    assert secret_faults(text)
