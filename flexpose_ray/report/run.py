"""The report of a run's folder."""

from __future__ import annotations

import json

import numpy as np
import yaml

from flexpose_ray.core.errors import ConfigError
from flexpose_ray.io.manifest import newest_manifest
from flexpose_ray.io.models import load_sampler
from flexpose_ray.io.poses import read_poses
from flexpose_ray.io.store import Store
from flexpose_ray.io.weights import read_model
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.page import render_report

SHOWN = 1000  # poses of each set in the figures


def write_run_report(store: Store) -> str:
    """Write ``report.html`` from what the run's folder holds; returns its URI.

    Raises:
        ConfigError: the folder is no run of `flexpose pipeline`.
    """
    if not store.exists("recipe.json"):
        raise ConfigError(store.uri, "no run here (no recipe.json)", "give the folder that `flexpose pipeline` made")
    store.put("report.html", render_report(_collect(store)).encode())
    return f"{store.uri}/report.html"


def _collect(store: Store) -> ReportData:
    recipe = json.loads(store.get("recipe.json"))
    found: dict = {"title": recipe["name"], "skeleton_name": recipe["skeleton"]}
    found["config_text"] = yaml.safe_dump(recipe, sort_keys=False)
    if store.exists("target.parquet"):
        held = read_poses(f"{store.uri}/target.parquet")
        rows = np.random.default_rng(0).permutation(len(held))[:SHOWN]
        found["target_NJ2"] = held.keypoints_NJ2[rows]
    if store.exists("shots.parquet"):
        found["shots_NJ2"] = read_poses(f"{store.uri}/shots.parquet").keypoints_NJ2
    losses = []
    if store.exists("adapted/model.json"):
        model = read_model(f"{store.uri}/adapted")
        indices = np.arange(SHOWN)
        found["source_NJ2"], _ = load_sampler(model.config["base"]).sample(0, indices)
        found["adapted_NJ2"], _ = load_sampler(f"{store.uri}/adapted").sample(0, indices)
        losses += [{"stage": "adaptation", **row} for row in model.card["history"]]
        trained = read_model(model.config["base"]).card.get("history", [])
        losses = [{"stage": "pretraining", **row} for row in trained] + losses
    if (manifest := newest_manifest(store.child("samples"))) is not None:
        found |= {"count": manifest["count"], "data_uri": f"{store.uri}/samples"}
    if store.exists("evaluation.json"):
        found["evaluation"] = json.loads(store.get("evaluation.json"))
    if store.exists("timings.json"):
        found["timings"] = json.loads(store.get("timings.json"))
    return ReportData(losses=losses, **found)
