"""Kubernetes manifests: valid against KubeRay's own schemas to the letter, closed and bounded."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.clusters.checks import FOLDER, docker_faults, documents, kubernetes, manifest_faults

CRDS = {"RayCluster": "rayclusters.yaml", "RayJob": "rayjobs.yaml"}
CORE = {  # kinds of Kubernetes itself: the fields that we use
    "ServiceAccount": {"apiVersion", "kind", "metadata", "automountServiceAccountToken"},
    "NetworkPolicy": {"apiVersion", "kind", "metadata", "spec"},
}
DOCUMENTS = [(name, i) for name in kubernetes() for i in range(len(documents(name)))]


@cache
def schema(kind: str) -> dict:
    """The CRD's schema in which fields that it does not name are errors."""
    folder = os.environ.get("FLEXPOSE_KUBERAY")
    if not folder:
        pytest.skip("no KubeRay schemas: FLEXPOSE_KUBERAY names a folder with rayclusters.yaml and rayjobs.yaml")
    crd = yaml.load(Path(folder, CRDS[kind]).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    found = next(v["schema"]["openAPIV3Schema"] for v in crd["spec"]["versions"] if v["name"] == "v1")
    _close(found)
    return found


def _close(node) -> None:
    if isinstance(node, dict):
        if node.pop("x-kubernetes-int-or-string", False):
            node["type"] = ["integer", "string"]
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def errors(document: dict) -> list[str]:
    """What the API server would say to a document of KubeRay's, or to the rules of a NetworkPolicy."""
    found = schema(document["kind"]) if document["kind"] in CRDS else schema("RayCluster")
    if document["kind"] == "NetworkPolicy":  # KubeRay's own field holds rules of the same types
        rules = found["properties"]["spec"]["properties"]["networkPolicy"]["properties"]["head"]["properties"]
        peer = rules["ingressRules"]["items"]["properties"]["from"]["items"]["properties"]
        found = {
            "type": "object", "additionalProperties": False,
            "properties": {
                "podSelector": peer["podSelector"],
                "policyTypes": {"type": "array", "items": {"enum": ["Ingress", "Egress"]}},
                "ingress": rules["ingressRules"], "egress": rules["egressRules"],
            },
        }  # fmt: skip
        document = document["spec"]
    elif document["kind"] not in CRDS:
        return sorted(document.keys() - CORE[document["kind"]])
    found_errors = jsonschema.Draft202012Validator(found).iter_errors(document)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found_errors]


@pytest.mark.parametrize(("name", "number"), DOCUMENTS)
def test_a_manifest_is_valid_to_the_letter(name: str, number: int):
    assert errors(documents(name)[number]) == []


@pytest.mark.parametrize(("name", "number"), DOCUMENTS)
def test_a_manifest_is_closed_and_bounded(name: str, number: int):
    assert manifest_faults(documents(name)[number]) == []


def test_every_cluster_of_pods_has_a_policy_that_selects_it():
    (policy,) = documents("kuberay-network-policy.yaml")
    assert policy["spec"]["podSelector"] == {"matchLabels": {"ray.io/is-ray-node": "yes"}}


def test_the_job_runs_a_script_of_ours():
    job = _of_kind("kuberay-job.yaml", "RayJob")
    (script,) = [word for word in job["spec"]["entrypoint"].split() if word.endswith(".py")]
    assert (FOLDER.parent / "jobs" / Path(script).name).exists()


def test_images_are_built_by_the_recipe():
    text = (FOLDER / "Dockerfile").read_text()
    assert docker_faults(text) == []
    images = {c["image"] for name in kubernetes() for c in _containers(documents(name))}
    tags = {image.rpartition(":")[2] for image in images}
    assert tags and all(f"flexpose-ray:{tag}" in text for tag in tags)


def _of_kind(name: str, kind: str) -> dict:
    return copy.deepcopy(next(document for document in documents(name) if document["kind"] == kind))


def _containers(node) -> Iterator[dict]:
    if isinstance(node, dict):
        yield from node.get("containers", [])
        for value in node.values():
            yield from _containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from _containers(value)


def _head(cluster: dict) -> dict:
    return cluster["spec"]["headGroupSpec"]


def _pod(cluster: dict) -> dict:
    return _head(cluster)["template"]["spec"]


def _container(cluster: dict) -> dict:
    return _pod(cluster)["containers"][0]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda c: c["spec"].pop("authOptions"), "token"),
        (lambda c: c["spec"].update(authOptions={"mode": "disabled"}), "token"),
        (lambda c: _head(c).update(serviceType="LoadBalancer"), "public dashboard"),
        (lambda c: _head(c).update(enableIngress=True), "public dashboard"),
        (lambda c: _container(c).pop("resources"), "no limit of memory"),
        (lambda c: c["spec"]["autoscalerOptions"].pop("resources"), "autoscaler"),
        (lambda c: _container(c).update(image="registry/flexpose-ray"), "no version"),
        (lambda c: _container(c).pop("securityContext"), "privileges"),
        (lambda c: _pod(c).pop("securityContext"), "root"),
        (lambda c: c["spec"]["workerGroupSpecs"][0].pop("maxReplicas"), "upper bound"),
        (lambda c: _container(c).update(env=[{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]), "clear text"),
    ],
)
def test_a_spoiled_cluster_is_found_out(spoil: Callable, told: str):
    cluster = _of_kind("kuberay-cluster.yaml", "RayCluster")
    spoil(cluster)
    assert any(told in fault for fault in manifest_faults(cluster)), manifest_faults(cluster)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda s: s["ingress"].append({}), "open to everybody"),
        (lambda s: s["ingress"].append({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}), "open to everybody"),
        (lambda s: s["policyTypes"].remove("Ingress"), "not governed"),
        (lambda s: s["egress"].append({}), "may talk"),
    ],
)
def test_a_spoiled_policy_is_found_out(spoil: Callable, told: str):
    policy = _of_kind("kuberay-network-policy.yaml", "NetworkPolicy")
    spoil(policy["spec"])
    assert any(told in fault for fault in manifest_faults(policy))


@pytest.mark.parametrize(
    ("kind", "spoil", "told"),
    [
        ("RayCluster", lambda d: d["spec"].update(rayVerson="2.60.0"), "rayVerson"),
        ("RayCluster", lambda d: _container(d)["resources"].update(limit={}), "limit"),
        ("RayCluster", lambda d: d["spec"]["workerGroupSpecs"][0].update(minReplicas="one"), "minReplicas"),
        ("RayCluster", lambda d: d["spec"]["authOptions"].update(mode="tokens"), "tokens"),
        ("RayJob", lambda d: d["spec"].update(entrypoints="x"), "entrypoints"),
        ("NetworkPolicy", lambda d: d["spec"]["ingress"][0].update(form=[]), "form"),
    ],
)
def test_a_misspelt_manifest_is_found_out(kind: str, spoil: Callable, told: str):
    names = {"RayCluster": "kuberay-cluster.yaml", "RayJob": "kuberay-job.yaml"}
    document = _of_kind(names.get(kind, "kuberay-network-policy.yaml"), kind)
    spoil(document)
    assert any(told in error for error in errors(document))


@pytest.mark.parametrize(
    ("old", "new"),
    [("USER 1000", ""), ("USER 1000", "USER root"), ("BASE=rayproject/ray:2.60.0-py311-cpu", "BASE=ray")],
)
def test_a_spoiled_image_is_found_out(old: str, new: str):
    text = (FOLDER / "Dockerfile").read_text()
    assert old in text and docker_faults(text.replace(old, new, 1))
