"""A whole run in one command: generator, shots, adaptation, samples, evaluation, report; every step resumable.

A recipe with a ``sweep`` runs that first, in a folder of its own; the run then uses the best point.

The run's folder is the record of what is done: a killed run resumes, and a finished one returns at once. In the folder:

    recipe.json               the validated recipe; its hash is in the folder's name
    timings.json              seconds of every stage
    target.parquet            held-out target poses, for evaluation only
    shots.parquet             the few annotated poses that everything learns from
    pretraining.json          result of the pretraining, if the recipe trains its generator
    adapted/  adapted-paper/  tau of the recipe's setting, and of the paper's literal one
    samples/                  the data set: shards, commits, manifests
    detector/  detector.json  predictions.*   where the recipe names pictures, see engine/detect/stage.py
    evaluation.json  report.html  pipeline.json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from flexpose_ray.config import Recipe, run_key
from flexpose_ray.config.sweep_recipe import SweepRecipe, sweep_key
from flexpose_ray.dataset.manifest import newest_manifest
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.engine.adapt.one import adapt, check_shots
from flexpose_ray.engine.detect.stage import RecipePictures, detect, read_recipe_pictures
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.engine.sweep.best import run_to_best
from flexpose_ray.engine.train.run import pretrain, read_recipe_source
from flexpose_ray.errors import ConfigError
from flexpose_ray.evaluation.compare import evaluate
from flexpose_ray.evaluation.target import split_target
from flexpose_ray.judging.scores import halves
from flexpose_ray.methods.base import PoseTask
from flexpose_ray.models.generators import kind_of, load_generator, load_sampler
from flexpose_ray.models.shipped import BUILTIN, shipped_for_paper
from flexpose_ray.networks.generator import Generator
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.report.run import write_run_report
from flexpose_ray.report.sweep import write_sweep_report
from flexpose_ray.sources.pose_file import read_poses, write_poses
from flexpose_ray.storage.base import Store, read_json
from flexpose_ray.storage.open import open_store

DONE = "pipeline.json"
SOURCE_POSES = 10_000  # of g_s, where the recipe names no source set
PAPER = "FlexPose, the paper's setting"
UNADAPTED = "generator, not adapted"

Progress = Callable[[str, dict], None]  # stage and row of progress


class Inputs(NamedTuple):
    """What a run learns from and is judged by.

    Attributes:
        held: held-out target poses.
        shots: the annotated poses.
        source: poses of the recipe's source; None where it has none, or where they have not been read yet.
        pictures: as ``source``.
    """

    held: PoseSet
    shots: PoseSet
    source: PoseSet | None
    pictures: RecipePictures | None


def run_pipeline(recipe: Recipe | SweepRecipe, storage: str, on_progress: Progress = lambda stage, row: None) -> dict:
    """Run or continue all of ``recipe`` under ``storage``.

    Args:
        recipe: needs a ``target``.
        storage: folder or s3:// under which the run's folder is created.
        on_progress: takes (stage, row); stages are sweep, target, pretrain, adapt, paper, generate, evaluate, detect,
            report;
            or only done, where the run was finished before.

    Returns:
        ``run``, ``samples``, ``report`` (URIs), ``count``, ``evaluation``, ``timings`` (seconds by stage);
        ``detector`` (as of :func:`~flexpose_ray.engine.detect.stage.detect`) and ``sweep`` (URI) where there was one.

    Raises:
        FlexPoseError: bad recipe, data, weights or storage. What the recipe names is read before anything is written.
    """
    if isinstance(recipe, SweepRecipe):
        place = open_store(storage).child(sweep_key(recipe)).uri
        best = run_to_best(recipe, storage, lambda done, total: on_progress("sweep", {"done": done, "total": total}))
        write_sweep_report(open_store(place))
        return run_pipeline(best, storage, on_progress) | {"sweep": place}
    store = open_store(storage).child(run_key(recipe))
    if (done := finished(store)) is not None:
        on_progress("done", {})
        return done
    clock = _Clock(store)
    with clock.stage("target"):
        inputs = _saved_inputs(recipe, store)
        on_progress("target", {"shots": len(inputs.shots), "held_out": len(inputs.held)})
    if (generator := recipe.generator) is None:
        with clock.stage("pretrain"):
            trained = pretrain(recipe, storage, lambda row: on_progress("pretrain", row))
            generator = trained["generator"]
            store.put("pretraining.json", json.dumps(trained).encode())
    with clock.stage("adapt"):
        adapt(generator, inputs.shots, recipe.adapt, f"{store.uri}/adapted", lambda row: on_progress("adapt", row))
    if paper_generator := _paper_generator(recipe, generator):
        with clock.stage("paper"):
            paper, out = recipe.in_the_papers_way().adapt, f"{store.uri}/adapted-paper"
            adapt(paper_generator, inputs.shots, paper, out, lambda row: on_progress("paper", row))
    with clock.stage("generate"):
        made = generate(
            f"{store.uri}/adapted",
            f"{store.uri}/samples",
            recipe.generate,
            lambda done, total: on_progress("generate", {"done": done, "total": total}),
        )
    with clock.stage("evaluate"):
        on_progress("evaluate", {"count": recipe.evaluate.count})
        result = _evaluate(recipe, store, generator, inputs)
    found = {}
    if recipe.pictures is not None:
        with clock.stage("detect"):
            found["detector"] = _detect(recipe, store, inputs, lambda row: on_progress("detect", row))
    with clock.stage("report"):
        on_progress("report", {})
        page = write_run_report(store)
    done = {
        "run": store.uri,
        "samples": made["uri"],
        "report": page,
        "count": made["count"],
        "evaluation": result,
        **found,
        "timings": clock.seconds(),
    }
    store.put(DONE, json.dumps(done, indent=1).encode())
    return done


def finished(store: Store) -> dict | None:
    """What :func:`run_pipeline` returned for the run in ``store``; None without that, its data set or its page."""
    if not store.exists(DONE) or not store.exists("report.html") or newest_manifest(store.child("samples")) is None:
        return None
    return read_json(store, DONE)


def check_inputs(recipe: Recipe) -> Inputs:
    """Read what ``recipe`` names and check that it fits together; nothing is written.

    Raises:
        ConfigError: no target, a label that does not occur, a layer that the generator does not have, or skeletons that
            differ.
        DataError: poses that cannot be used, fewer than two shots, or too few held-out poses.
        WeightsError: no such generator.
    """
    if recipe.target is None:
        raise ConfigError(recipe.name, "no target", "add one: target: {poses: KIND:PATH}")
    held, shots, _ = split_target(recipe.target)
    halves(held, recipe.evaluate.seed)  # evaluation needs as many, hours later
    source = read_recipe_source(recipe) if recipe.source else None
    if recipe.generator:
        base = load_generator(recipe.generator)
        skeleton_name, layers, name = base.alpha.skeleton_name, base.generator.n_layers, recipe.generator
    else:
        p, skeleton_name, name = recipe.pretrain, recipe.skeleton, recipe.name
        layers = 0 if p.kind == "flow" else Generator(p.alpha.size).n_layers
    check_shots(shots, recipe.adapt, skeleton_name, layers, name)
    if source is not None and source.skeleton_name != skeleton_name:
        problem = f"the source is {source.skeleton.name}, the generator {get_skeleton(skeleton_name).name}"
        raise ConfigError(recipe.source, problem, "choose poses of the same skeleton")
    pictures = read_recipe_pictures(recipe.pictures, held.skeleton_name, "pictures") if recipe.pictures else None
    return Inputs(held, shots, source, pictures)


def _saved_inputs(recipe: Recipe, store: Store) -> Inputs:
    """The run's target and shots: from its folder, or read, checked and written there."""
    if store.exists("shots.parquet"):
        return Inputs(read_poses(f"{store.uri}/target.parquet"), read_poses(f"{store.uri}/shots.parquet"), None, None)
    inputs = check_inputs(recipe)
    store.put("recipe.json", json.dumps(recipe.model_dump(mode="json"), indent=1).encode())
    write_poses(f"{store.uri}/target.parquet", inputs.held)
    write_poses(f"{store.uri}/shots.parquet", inputs.shots)
    return inputs


def _paper_generator(recipe: Recipe, generator: str) -> str | None:
    """The StyleGAN for the table's row in the paper's way; None where none is wanted, or there is none."""
    if not recipe.evaluate.paper:
        return None
    if generator.startswith(BUILTIN):
        return shipped_for_paper(generator)
    return generator if kind_of(generator) == "stylegan" else None


def _evaluate(recipe: Recipe, store: Store, generator: str, inputs: Inputs) -> dict:
    if store.exists("evaluation.json"):
        return read_json(store, "evaluation.json")
    count, seed, source = recipe.evaluate.count, recipe.evaluate.seed, inputs.source
    if recipe.source and source is None:
        source = read_recipe_source(recipe)
    plain_NJ2, _ = load_sampler(generator).sample(seed, np.arange(count if recipe.source else max(count, SOURCE_POSES)))
    extra = {UNADAPTED: plain_NJ2[:count]}
    paper = _paper_generator(recipe, generator)
    if paper:
        extra[PAPER], _ = load_sampler(f"{store.uri}/adapted-paper").sample(seed, np.arange(count))
    if source is None:
        source = PoseSet(plain_NJ2, inputs.held.skeleton_name)
    samples_NJ2 = PoseReader(store.child("samples")).first(count)
    result = evaluate(samples_NJ2, inputs.held, source, inputs.shots, count, seed, extra)
    if not recipe.source:
        result["notes"].append("the recipe names no source set: the generator's own poses stand for the source.")
    if recipe.evaluate.paper and not paper:
        result["notes"].append("the paper's setting needs style layers, and the generator is a flow (--kind stylegan).")
    store.put("evaluation.json", json.dumps(result, indent=1).encode())
    return result


def _detect(recipe: Recipe, store: Store, inputs: Inputs, on_progress: Callable[[dict], None]) -> dict:
    """A detector of the recipe's pictures, which learns from the data set and from mixed shots, as in the paper."""
    config, shots = recipe.pictures, inputs.shots
    pictures = inputs.pictures or read_recipe_pictures(config, shots.skeleton_name, "pictures")
    prior_NJ2 = PoseReader(store.child("samples")).first(config.poses)
    if config.mixup:
        mixed_NJ2 = PoseTask(None, shots.keypoints_NJ2, shots.skeleton).mixed(config.mixup, recipe.adapt.seed)
        prior_NJ2 = np.concatenate([prior_NJ2, mixed_NJ2])
    return detect(config, pictures, PoseSet(prior_NJ2, shots.skeleton_name), store, on_progress)


class _Clock:
    """Seconds of every stage, kept on storage, so that stages of a killed run are included."""

    def __init__(self, store: Store):
        self.store = store

    def seconds(self) -> dict[str, float]:
        return read_json(self.store, "timings.json") if self.store.exists("timings.json") else {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        spent = self.seconds()
        spent[name] = round(spent.get(name, 0) + time.perf_counter() - start, 2)
        self.store.put("timings.json", json.dumps(spent).encode())
