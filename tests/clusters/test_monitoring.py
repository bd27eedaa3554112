"""The dashboard asks for what is exported and for nothing else; Prometheus reads it and shows it to nobody outside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from flexpose_ray.engine.runtime.metrics import METRICS
from tests.clusters.checks import FOLDER, documents

TAGS = {name: {*metric.tags} | ({"le"} if name.endswith("_bucket") else set()) for metric in METRICS
        for name in metric.exported}  # fmt: skip
RAYS = {"SessionName", "NodeAddress", "WorkerId", "instance", "job"}  # labels of every time series
FUNCTIONS = {"sum", "max", "rate", "histogram_quantile", "max_over_time", "last_over_time", "by"}
VARIABLES = {"$session", "$window", "$__range"}
PROMETHEUS = (FOLDER / "prometheus.yaml").read_text()


def dashboard() -> dict:
    return json.loads((FOLDER / "grafana-flexpose.json").read_text())


def expression_faults(expr: str, tags: dict[str, set[str]]) -> list[str]:
    """What a query has that Prometheus would not find: metrics, labels, functions, variables."""
    variables = set(re.findall(r"\$\w+", expr)) - VARIABLES
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", expr))
    labels |= {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expr) for label in group.split(",")}
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)", " ", expr)
    names = set(re.findall(r"[A-Za-z_:]\w*", bare)) - FUNCTIONS
    known = set.intersection(*(tags[name] for name in names & tags.keys())) if names & tags.keys() else set()
    return sorted(variables | (names - tags.keys()) | (labels - known - RAYS))


def queries() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("expr", queries())
def test_a_query_asks_for_what_is_exported(expr: str):
    assert expression_faults(expr, TAGS) == []
    assert 'SessionName=~"$session"' in expr, "other sessions would be mixed in"


def test_every_metric_is_shown():
    text = " ".join(queries())
    assert [m.name for m in METRICS if not any(re.search(rf"\b{name}\b", text) for name in m.exported)] == []


@pytest.mark.parametrize("name", TAGS)
def test_a_metric_with_another_name_or_tag_is_found_out(name: str):
    asking = [expr for expr in queries() if re.search(rf"\b{name}\b", expr)]
    renamed = {(f"{key}_2" if key == name else key): tags for key, tags in TAGS.items()}
    assert all(name in expression_faults(expr, renamed) for expr in asking)
    for expr in asking:
        for tag in TAGS[name]:
            if re.search(rf"\b{tag}\b", expr):
                assert expression_faults(expr, TAGS | {name: TAGS[name] - {tag}}) == [tag]


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ("sum(rate(ray_flexpose_poses[5m]))", "ray_flexpose_poses"),
        ("sum by (reson) (ray_flexpose_rejects_total)", "reson"),
        ('ray_flexpose_kimg{rum="x"}', "rum"),
        ("ray_flexpose_kimg{run='$name'}", "$name"),
        ("summ(ray_flexpose_kimg)", "summ"),
    ],
)
def test_a_spoiled_query_is_found_out(expr: str, fault: str):
    assert expression_faults(expr, TAGS) == [fault]


def test_panels_say_what_they_show_and_where_from():
    board = dashboard()
    assert board["schemaVersion"] >= 38, "Grafana 10"
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "session", "window"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["title"] and panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        labels = {
            label for target in panel["targets"] for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        }
        assert all(re.search(rf"by \([^)]*\b{label}\b", t["expr"]) for label in labels for t in panel["targets"])
    places = [(p["x"] + x, p["y"] + y) for p in (panel["gridPos"] for panel in board["panels"])
              for x in range(p["w"]) for y in range(p["h"])]  # fmt: skip
    assert len(set(places)) == len(places) and max(x for x, _ in places) < 24, "panels overlap"


def commented() -> tuple[dict, dict]:
    """The job and the PodMonitor that stand in comments."""
    blocks = re.findall(r"(?:^#  .*\n)+", PROMETHEUS, re.MULTILINE)
    found = [yaml.safe_load(re.sub(r"^#  ", "", block, flags=re.MULTILINE)) for block in blocks[-2:]]
    return found[0][0], found[1]


def test_prometheus_reads_rays_own_list():
    (config,) = documents("prometheus.yaml")
    (job,) = config["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == ["/tmp/ray/prom_metrics_service_discovery.json"]


def test_prometheus_finds_the_pods_of_the_clusters():
    job, monitor = commented()
    (cluster,) = (d for d in documents("kuberay-cluster.yaml") if d["kind"] == "RayCluster")
    ports = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["ports"]
    (policy,) = documents("kuberay-network-policy.yaml")
    let_in = [rule for rule in policy["spec"]["ingress"] if "monitoring" in json.dumps(rule)]
    (port,) = (port["containerPort"] for port in ports if port["name"] == "metrics")
    assert [rule["ports"] for rule in let_in] == [[{"protocol": "TCP", "port": port}]]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"}
    assert kept["__meta_kubernetes_pod_container_port_name"] == "metrics"
    assert kept["__meta_kubernetes_pod_label_ray_io_is_ray_node"] == "yes"
    assert monitor["spec"]["selector"]["matchLabels"] == policy["spec"]["podSelector"]["matchLabels"]
    assert monitor["metadata"]["namespace"] == "monitoring"
    assert [point["port"] for point in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]


def openness(text: str) -> list[str]:
    """Ways by which metrics would leave the cluster."""
    pattern = (
        r"remote_write|remote_read|0\.0\.0\.0|LoadBalancer|NodePort|Ingress\b|\[::\]|listen-address=(?!127\.0\.0\.1)\S*"
    )
    return re.findall(pattern, text)


def test_nothing_is_open_to_the_world():
    assert openness(PROMETHEUS) == []
    assert "--web.listen-address=127.0.0.1:" in PROMETHEUS, "else it listens to everybody"
    assert openness(PROMETHEUS.replace("127.0.0.1:9090", ":9090", 1)) == ["listen-address=:9090"]
    assert openness(PROMETHEUS + "remote_write: [{url: https://example.com}]") == ["remote_write"]
