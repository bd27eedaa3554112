"""The report of a run, from what its folder holds."""

from __future__ import annotations

import numpy as np
import yaml

from flexpose_ray.dataset.manifest import newest_manifest
from flexpose_ray.errors import ConfigError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.models.weights import read_model
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.run_page import render_report
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.base import Store, read_json

SHOWN = 1000  # poses of each set in the figures


def write_run_report(store: Store, write: bool = True) -> str:
    """Write ``report.html`` from what the run's folder holds; returns its URI.

    Args:
        store: the run's folder.
        write: False renders the page without writing it.

    Raises:
        ConfigError: the folder is no run of `flexpose pipeline`.
        FlexPoseError: what it holds is damaged, or the adapted model's base is gone.
    """
    if not store.exists("recipe.json"):
        raise ConfigError(store.uri, "no run here (no recipe.json)", "give the folder that `flexpose pipeline` made")
    page = render_report(collect(store)).encode()
    if write:
        store.put("report.html", page)
    return f"{store.uri}/report.html"


def collect(store: Store) -> ReportData:
    """Read what a run's folder holds; the parts that are not there yet stay empty.

    Raises:
        FlexPoseError: what the folder holds is damaged, or the adapted model's base is gone.
    """
    recipe = read_json(store, "recipe.json")
    found: dict = {"title": recipe.get("name", store.uri), "config_text": yaml.safe_dump(recipe, sort_keys=False)}
    if store.exists("target.parquet"):
        held = read_poses(f"{store.uri}/target.parquet")
        found["skeleton_name"] = held.skeleton_name
        rows = np.random.default_rng(0).permutation(len(held))[:SHOWN]
        found["target_NJ2"] = held.keypoints_NJ2[rows]
    if store.exists("shots.parquet"):
        found["shots_NJ2"] = read_poses(f"{store.uri}/shots.parquet").keypoints_NJ2
    losses = []
    if store.exists("pretraining.json"):
        losses += [{"stage": "pretraining", **row} for row in read_json(store, "pretraining.json")["history"]]
    if store.exists("adapted/model.json"):
        model = read_model(f"{store.uri}/adapted")
        indices = np.arange(SHOWN)
        found["source_NJ2"], _ = load_sampler(model.card["base"]).sample(0, indices)
        found["adapted_NJ2"], _ = load_sampler(f"{store.uri}/adapted").sample(0, indices)
        transfer = model.config["transfer"]
        found |= {"layers": transfer["layers"], "blended": "blend" in transfer}
        losses += [{"stage": "adaptation", **row} for row in model.card["history"]]
    if (manifest := newest_manifest(store.child("samples"))) is not None:
        found |= {"count": manifest.count, "data_uri": f"{store.uri}/samples"}
    if store.exists("evaluation.json"):
        found["evaluation"] = read_json(store, "evaluation.json")
    if store.exists("detector.json"):
        found["detector"] = read_json(store, "detector.json")
        found["detector_sheet"] = store.get("predictions.png")
    if store.exists("timings.json"):
        found["timings"] = read_json(store, "timings.json")
    return ReportData(losses=losses, **found)
