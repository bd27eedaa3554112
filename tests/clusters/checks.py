"""What every cluster file has to keep: closed to the outside, behind the token, of one set of versions, bounded.

Each check takes what a file parses to and returns its faults as text, so that tests can see them fail on spoiled files.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import boto3
import yaml
from botocore.validate import ParamValidator

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "clusters"
PYTHON = "3.11"  # of images and virtual environments on nodes
CLOUDS = ("aws", "gcp")


def documents(name: str) -> list[dict]:
    """All YAML documents of a file in clusters/."""
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def launched() -> list[str]:
    """Files for `ray up`, and the one that `ray start` takes."""
    return [path.name for path in sorted(FOLDER.glob("*.yaml")) if "\ncluster_name:" in path.read_text()]


def kubernetes() -> list[str]:
    """Files for `kubectl apply`."""
    return [path.name for path in sorted(FOLDER.glob("kuberay-*.yaml"))]


@cache
def lock() -> dict[str, str]:
    """Package -> version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def version_faults(text: str) -> list[str]:
    """Versions in a file's text that are not the lock's, and versions that move."""
    faults = [f"{found[0]} moves" for found in re.finditer(r"[\w./-]*:(latest|nightly)\b|/latest/|latest_dlami", text)]
    for name, version in re.findall(r"\b([A-Za-z][\w-]*)==(\d[\w.]*)", text):
        if lock().get(name, version) != version:
            faults.append(f"{name} {version}, the lock has {lock()[name]}")
    ray = re.findall(r"(?<![\w-])ray:(\d[\d.]*\d)|-ray(\d[\d.]*\d)|rayVersion: *(\d[\d.]*\d)", text)
    faults += [f"ray {v}, the lock has {lock()['ray']}" for v in map("".join, ray) if v != lock()["ray"]]
    pythons = [f"{v[0]}.{v[1:]}" for v in re.findall(r"-py(\d+)\b", text)] + re.findall(r"--python (\d[\d.]*)", text)
    return faults + [f"Python {version}, expected {PYTHON}" for version in pythons if version != PYTHON]


def secret_faults(text: str) -> list[str]:
    """What looks like a credential."""
    pattern = r"(?i)AKIA[0-9A-Z]{12,}|(secret_access_key|auth_token|password)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{12,}"
    return [f"{found[0][:12]}... looks like a secret" for found in re.finditer(pattern, text)]


def token_faults(config: dict) -> list[str]:
    """Starts of Ray without token authentication."""
    starts = _starts(config, "head"), _starts(config, "worker")
    faults = [] if all(starts) else ["no command that starts Ray"]
    return faults + [f"no token: {c}" for c in [*starts[0], *starts[1]] if "RAY_AUTH_MODE=token" not in c]


def dashboard_faults(config: dict) -> list[str]:
    """Heads whose dashboard others than the machine itself can reach."""
    starts = _starts(config, "head")
    return [f"public dashboard: {c}" for c in starts if re.findall(r"--dashboard-host[= ](\S+)", c) != ["127.0.0.1"]]


def network_faults(config: dict) -> list[str]:
    """Nodes of a cloud that the internet can reach."""
    provider, faults = config["provider"], []
    if provider["type"] not in CLOUDS:
        return faults
    if not provider.get("use_internal_ips"):
        faults.append("nodes are reached by public addresses")
    for cidr in _cidrs(provider.get("security_group", {})):
        if not ipaddress.ip_network(cidr).is_private:
            faults.append(f"open security group: {cidr}")
    for name, node in _nodes(config):
        if provider["type"] == "aws" and not node.get("SecurityGroupIds"):
            faults.append(f"{name}: without a group of yours Ray makes one that is open for SSH from everywhere")
        interfaces = node.get("networkInterfaces", []) + node.get("NetworkInterfaces", [])
        if any("accessConfigs" in i or i.get("AssociatePublicIpAddress") for i in interfaces):
            faults.append(f"{name}: a public address")
        if provider["type"] == "gcp" and not node.get("networkInterfaces"):
            faults.append(f"{name}: without an interface of yours it gets a public address")
    return faults


def node_faults(config: dict) -> list[str]:
    """Node types of a cloud that do not end, have no identity, or that EC2 would refuse."""
    provider, faults = config["provider"], []
    if provider["type"] not in CLOUDS:
        return faults
    if not config.get("idle_timeout_minutes"):
        faults.append("idle nodes stay")
    identity = {"aws": "IamInstanceProfile", "gcp": "serviceAccounts"}[provider["type"]]
    types = config["available_node_types"]
    for name, node in _nodes(config):
        if not node.get(identity):
            faults.append(f"{name}: no {identity}, so no way to the bucket but keys")
        if name != config["head_node_type"] and not types[name].get("max_workers"):
            faults.append(f"{name}: no upper bound")
        if provider["type"] == "aws":
            faults += [f"{name}: {fault}" for fault in _ec2_faults(node)]
    for name, node in _nodes(config):
        rest = {other: types[other] for other, its in _nodes(config) if other != name and not _spot(its)}
        same = [t for t in rest.values() if t["resources"] == types[name]["resources"]]
        if _spot(node) and "GPU" in types[name]["resources"] and not any(_below(t, types[name]) for t in same):
            faults.append(f"{name}: no machine on demand takes its place")
    return faults


def manifest_faults(document: dict) -> list[str]:
    """A Kubernetes document of ours that is open, unbounded or without the token."""
    kind, spec, faults = document["kind"], document.get("spec", {}), []
    if kind in ("RayCluster", "RayJob"):
        cluster = spec if kind == "RayCluster" else spec["rayClusterSpec"]
        if cluster.get("authOptions", {}).get("mode") != "token":
            faults.append("no token authentication")
        if (head := cluster["headGroupSpec"]).get("serviceType") != "ClusterIP" or head.get("enableIngress"):
            faults.append("public dashboard")
        if not cluster.get("autoscalerOptions", {}).get("resources", {}).get("limits"):
            faults.append("autoscaler: no limits")
        if any("maxReplicas" not in group for group in cluster["workerGroupSpecs"]):
            faults.append("a group without an upper bound")
    for pod in _pods(document):
        if not pod.get("securityContext", {}).get("runAsNonRoot"):
            faults.append("a pod that may run as root")
        for container in pod["containers"]:
            limits = container.get("resources", {}).get("limits", {})
            faults += [f"{container['name']}: no limit of {what}" for what in ("cpu", "memory") if what not in limits]
            if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
                faults.append(f"{container['name']}: may gain privileges")
            if not re.search(r":[^:/]*\d", container["image"]):
                faults.append(f"{container['image']}: no version")
            names = [entry["name"] for entry in container.get("env", []) if "value" in entry]
            faults += [f"{name} in clear text" for name in names if re.search("SECRET|TOKEN|PASSWORD|KEY", name)]
    if kind == "NetworkPolicy":
        if set(spec.get("policyTypes", [])) != {"Ingress", "Egress"}:
            faults.append("one direction is not governed")
        for rule in spec.get("ingress", []):
            if not rule.get("from") or any(not peer or "ipBlock" in peer for peer in rule["from"]):
                faults.append("open to everybody")
        if any(not rule.get("to") for rule in spec.get("egress", [])):
            faults.append("may talk to everybody")
    return faults


def docker_faults(text: str) -> list[str]:
    """An image that runs as root or whose base has no version."""
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    faults = [] if users and users[-1] not in ("root", "0") else ["runs as root"]
    bases = re.findall(r"^ARG BASE=(\S+)", text, re.MULTILINE) + re.findall(r"^FROM ([^$\s]+)", text, re.MULTILINE)
    return faults + [f"{base}: no version" for base in bases if not re.search(r":\d", base)]


def _starts(config: dict, kind: str) -> list[str]:
    return [command for command in config.get(f"{kind}_start_ray_commands", []) if "ray start" in command]


def _nodes(config: dict) -> Iterator[tuple[str, dict]]:
    return ((name, node["node_config"]) for name, node in config.get("available_node_types", {}).items())


def _spot(node: dict) -> bool:
    return "InstanceMarketOptions" in node or node.get("scheduling", {}).get("provisioningModel") == "SPOT"


def _below(one: dict, other: dict) -> bool:
    return one.get("priority", 0) < other.get("priority", 0)


def _cidrs(found) -> Iterator[str]:
    if isinstance(found, dict):
        yield from (value for key, value in found.items() if key in ("CidrIp", "CidrIpv6"))
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else []:
        yield from _cidrs(inner)


def _ec2_faults(node: dict) -> list[str]:
    """What RunInstances would not take; Ray itself turns SubnetIds into one SubnetId."""
    client = boto3.client("ec2", "us-west-2", aws_access_key_id="nobody", aws_secret_access_key="nothing")
    shape = client.meta.service_model.operation_model("RunInstances").input_shape
    request = {**{k: v for k, v in node.items() if k != "SubnetIds"}, "MinCount": 1, "MaxCount": 1}
    report = ParamValidator().validate(request, shape)
    return report.generate_report().splitlines() if report.has_errors() else []


def _pods(document: dict) -> Iterator[dict]:
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from _pods(value)
    elif isinstance(document, list):
        for value in document:
            yield from _pods(value)
