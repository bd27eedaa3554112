"""A whole run in one command: generator, shots, adaptation, samples, evaluation, report; every step resumable.

What is done is what lies in the run's folder: a killed run goes on where it was, and a finished one ends at once.

    recipe.json               the checked recipe; its hash is in the folder's name
    target.parquet            held-out target poses, for evaluation alone
    shots.parquet             the few annotated poses that everything learns from
    adapted/  adapted-paper/  tau of the recipe's setting, and of the paper's literal one
    samples/                  the data set: shards, commits, manifests
    evaluation.json  report.html  pipeline.json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from flexpose_ray.config import AdaptConfig, Recipe, TargetConfig, run_key
from flexpose_ray.core.errors import ConfigError, DataError
from flexpose_ray.core.poses import PoseSet
from flexpose_ray.engine.adapt import adapt
from flexpose_ray.engine.evaluate import evaluate
from flexpose_ray.engine.generate import generate
from flexpose_ray.engine.pretrain import pretrain
from flexpose_ray.io.datasets import read_source
from flexpose_ray.io.models import load_sampler
from flexpose_ray.io.poses import read_poses, write_poses
from flexpose_ray.io.samples import first_poses
from flexpose_ray.io.store import Store, open_store
from flexpose_ray.report.run import write_run_report

DONE = "pipeline.json"
SOURCE_POSES = 20_000  # of g_s, where the recipe names no source set
PAPER = "FlexPose, the paper's setting"
UNADAPTED = "generator, not adapted"

Tell = Callable[[str, dict], None]  # stage and row of progress


def run_pipeline(recipe: Recipe, storage: str, tell: Tell = lambda stage, row: None) -> dict:
    """Run or continue all of ``recipe`` under ``storage``.

    Args:
        recipe: needs a ``target``.
        storage: folder or s3:// under which the run's folder is made.
        tell: takes progress; stages are pretrain, target, adapt, paper, generate, evaluate, report.

    Returns:
        ``run``, ``samples``, ``report`` (URIs), ``count``, ``evaluation``, ``timings`` (seconds by stage).

    Raises:
        FlexPoseError: bad recipe, data, weights or storage.
    """
    if recipe.target is None:
        raise ConfigError(recipe.name, "no target", "name one: target: {poses: KIND:PATH}")
    store = open_store(storage).child(run_key(recipe))
    if store.exists(DONE):
        return json.loads(store.get(DONE))
    store.put("recipe.json", json.dumps(recipe.model_dump(mode="json"), indent=1).encode())
    clock = _Clock(store)
    with clock.stage("pretrain"):
        generator = recipe.generator or pretrain(recipe, storage, lambda row: tell("pretrain", row))["generator"]
    with clock.stage("target"):
        held, shots = _target(recipe.target, store)
        tell("target", {"shots": len(shots), "held_out": len(held)})
    with clock.stage("adapt"):
        adapt(generator, shots, recipe.adapt, f"{store.uri}/adapted", lambda row: tell("adapt", row))
    if recipe.evaluate.paper:
        with clock.stage("paper"):
            paper = AdaptConfig.paper(mixup=recipe.adapt.mixup, seed=recipe.adapt.seed)
            adapt(generator, shots, paper, f"{store.uri}/adapted-paper", lambda row: tell("paper", row))
    with clock.stage("generate"):
        made = generate(
            f"{store.uri}/adapted",
            f"{store.uri}/samples",
            **recipe.generate.model_dump(),
            on_progress=lambda done, total: tell("generate", {"done": done, "total": total}),
        )
    with clock.stage("evaluate"):
        tell("evaluate", {"count": recipe.evaluate.count})
        result = _evaluate(recipe, store, generator, held, shots)
    with clock.stage("report"):
        tell("report", {})
        page = write_run_report(store)
    done = {
        "run": store.uri,
        "samples": made["uri"],
        "report": page,
        "count": made["count"],
        "evaluation": result,
        "timings": clock.seconds(),
    }
    store.put(DONE, json.dumps(done, indent=1).encode())
    return done


def _target(target: TargetConfig, store: Store) -> tuple[PoseSet, PoseSet]:
    """The held-out part and the shots, split by group once and kept."""
    if not store.exists("shots.parquet"):
        poses, _ = read_source(target.poses, target.mapping)
        poses = poses.take(~np.isin(poses.label_N, target.exclude))
        if not len(poses):
            raise DataError(target.poses, "no poses are left", f"exclude fewer labels than {', '.join(target.exclude)}")
        rest, held = poses.split(target.held_out, target.seed)
        write_poses(f"{store.uri}/target.parquet", held)
        write_poses(f"{store.uri}/shots.parquet", rest.pick_shots(target.shots_per_label, target.seed))
    return read_poses(f"{store.uri}/target.parquet"), read_poses(f"{store.uri}/shots.parquet")


def _evaluate(recipe: Recipe, store: Store, generator: str, held: PoseSet, shots: PoseSet) -> dict:
    if store.exists("evaluation.json"):
        return json.loads(store.get("evaluation.json"))
    count, seed = recipe.evaluate.count, recipe.evaluate.seed
    plain_NJ2, _ = load_sampler(generator).sample(seed, np.arange(max(count, 0 if recipe.source else SOURCE_POSES)))
    extra = {UNADAPTED: plain_NJ2[:count]}
    if recipe.evaluate.paper:
        extra[PAPER], _ = load_sampler(f"{store.uri}/adapted-paper").sample(seed, np.arange(count))
    if recipe.source:
        source, _ = read_source(recipe.source, recipe.mapping)
    else:
        source = PoseSet(plain_NJ2, recipe.skeleton)
    samples_NJ2 = first_poses(open_store(f"{store.uri}/samples"), count)
    result = evaluate(samples_NJ2, held, source, shots, count, seed, extra)
    if not recipe.source:
        result["notes"].append("the recipe names no source set: the generator's own poses stand for the source.")
    store.put("evaluation.json", json.dumps(result, indent=1).encode())
    return result


class _Clock:
    """Seconds of every stage, kept on storage, so that the stages of a killed run count too."""

    def __init__(self, store: Store):
        self.store = store

    def seconds(self) -> dict[str, float]:
        return json.loads(self.store.get("timings.json")) if self.store.exists("timings.json") else {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        spent = self.seconds()
        spent[name] = round(spent.get(name, 0) + time.perf_counter() - start, 2)
        self.store.put("timings.json", json.dumps(spent).encode())
