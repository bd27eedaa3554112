"""The cluster files are what Ray's launcher accepts, checked without any cluster."""

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FOLDER = Path(__file__).parents[1] / "clusters"
LAUNCHED = [path for path in sorted(FOLDER.glob("*.yaml")) if "\ncluster_name:" in path.read_text()]  # not KubeRay's


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.name)
def test_the_launcher_accepts_the_file(path):
    validate_config(prepare_config(yaml.safe_load(path.read_text())))


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.name)
def test_every_start_asks_for_the_token(path):
    config = yaml.safe_load(path.read_text())
    starts = [c for c in config["head_start_ray_commands"] + config["worker_start_ray_commands"] if "ray start" in c]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token ray start" in command for command in starts)


def test_the_laptop_listens_to_itself_only():
    config = yaml.safe_load((FOLDER / "laptop.yaml").read_text())
    start = next(command for command in config["head_start_ray_commands"] if "ray start" in command)
    assert config["provider"]["head_ip"] == "127.0.0.1"
    assert "--dashboard-host=127.0.0.1" in start and "--node-ip-address=127.0.0.1" in start
