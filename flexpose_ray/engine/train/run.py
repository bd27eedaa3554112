"""Pretraining under Ray Train: a flow, or a StyleGAN and its beta, on the source poses, resumable after any kill.

This file is the driver's side: what a run reads, whether it can resume, what it writes. In a run's folder:

    source.parquet             the poses; names of groups keep several sources apart
    beta.safetensors  beta.json
    checkpoints/STEP.safetensors   the last few, and the one with the best FD
    grids/  tensorboard/       pictures that the generator draws, and curves, while it trains
    generator/                 the best by FD, with its card
    pretrain.json  card.md     written at the end
"""

from __future__ import annotations

import json

import torch

from flexpose_ray.config import Recipe, pretrain_key
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.train.card import card_text
from flexpose_ray.engine.train.checkpoint import check_fits, last_checkpoint
from flexpose_ray.engine.train.job import split_source
from flexpose_ray.engine.train.judge import Judge
from flexpose_ray.engine.train.launch import Progress, Resources, run_workers
from flexpose_ray.engine.train.record import GENERATOR
from flexpose_ray.engine.train.tracking import check_trackers
from flexpose_ray.engine.train.trainer import build_flow, build_networks, untaught
from flexpose_ray.errors import ConfigError, DataError, WeightsError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.models.weights import copy_weights, read_model
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.sources.mixture import read_mixture
from flexpose_ray.sources.pose_file import read_poses, write_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

DONE = "pretrain.json"


def pretrain(
    recipe: Recipe, storage: str, on_progress: Progress = lambda row: None, resources: Resources | None = None
) -> dict:
    """Train a generator on the recipe's source; a second call resumes or returns at once.

    A StyleGAN that a flow teaches takes two runs: the flow's, in a folder of its own, then its own.

    Args:
        recipe: its ``source`` and ``pretrain`` apply.
        storage: URI under which the run's folder is created.
        on_progress: takes a row (kimg, rates, losses, now and then fd and mmd2) on the driver.
        resources: CPU and GPU of a worker, perhaps fractions; by default a CPU, and a whole GPU where there is one.

    Returns:
        ``generator`` (URI), ``run`` (URI), ``kimg``, ``fd`` (best) and its ``mmd2``, ``history``.

    Raises:
        ConfigError: no source, or a package for ``pretrain.track`` is missing.
        TrainingError: losses are not finite, memory runs out, or workers are lost again and again.
        FlexPoseError: bad data, storage or checkpoint, also from within a worker.
    """
    store = open_store(storage).child(pretrain_key(recipe))
    if store.exists(DONE):
        done = json.loads(store.get(DONE))
        if done["kimg"] >= recipe.pretrain.goal_kimg:
            return {
                **done,
                "run": store.uri,
                "generator": f"{store.uri}/{GENERATOR}",
            }  # the folder may have moved
    check_trackers(recipe.pretrain.track)
    check_checkpoint(recipe, store)  # here, so that it fails before workers start
    if not store.exists("source.parquet"):
        write_poses(f"{store.uri}/source.parquet", _checked_source(recipe))
    with ray_session():
        teacher = None
        if recipe.pretrain.taught:
            teacher = pretrain(teacher_recipe(recipe), storage, on_progress, resources)["generator"]
        run_workers(recipe, store, on_progress, resources, teacher)
    return _finish(recipe, store)


def teacher_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the flow that teaches the StyleGAN of ``recipe``: the same flow for all StyleGANs of a source."""
    changes = {"kind": "flow", "report_kimg": None, "eval_kimg": None}
    return recipe.model_copy(update={"pretrain": recipe.pretrain.model_copy(update=changes)})


def _checked_source(recipe: Recipe) -> PoseSet:
    """The source poses, enough of them on both sides of the split."""
    poses = read_recipe_source(recipe)
    train, held = split_source(recipe, poses)
    if min(len(train), len(held)) < 2:
        problem = f"{len(poses)} poses split by group into {len(train)} to train on and {len(held)} to judge by"
        raise DataError(recipe.source_name, problem, "add poses of more pictures or videos")
    return poses


def _finish(recipe: Recipe, store: Store) -> dict:
    """Judge the best generator once more, and write the card and the summary of a run that has reached its goal."""
    history = last_checkpoint(store).history
    best = min((row for row in history if "fd" in row), key=lambda row: row["fd"])
    done = {
        "run": store.uri,
        "generator": f"{store.uri}/{GENERATOR}",
        "kimg": history[-1]["kimg"],
        "fd": best["fd"],
        "mmd2": best.get("mmd2"),
        "fd_kimg": best["kimg"],
        "history": history,
    }
    judge = Judge(*split_source(recipe, read_poses(f"{store.uri}/source.parquet")), recipe)
    card = read_model(done["generator"]).card | judge.independence(load_sampler(done["generator"]))
    copy_weights(done["generator"], store.child(GENERATOR), card)
    store.put("card.md", card_text(read_model(done["generator"]), done["kimg"]).encode())
    store.put(DONE, json.dumps(done).encode())
    return done


def read_recipe_source(recipe: Recipe) -> PoseSet:
    """Read the source poses of a recipe, of all its sources together.

    Raises:
        ConfigError: the recipe names no source, or another skeleton than that of the poses.
        DataError: poses that cannot be used.
    """
    if not recipe.sources:
        raise ConfigError(recipe.name, "no source to pretrain on", "add one: source: KIND:PATH")
    poses = read_mixture([(source.poses, source.mapping) for source in recipe.sources])
    if poses.skeleton_name != recipe.skeleton:
        problem = f"its poses are {poses.skeleton.name}, the recipe says {get_skeleton(recipe.skeleton).name}"
        raise ConfigError(recipe.source_name, problem, f"write skeleton: {poses.skeleton.name}")
    return poses


def check_checkpoint(recipe: Recipe, store: Store) -> None:
    """Check that the run in ``store`` can resume from its last checkpoint.

    Raises:
        WeightsError: the checkpoint is damaged, of another run, of other networks, or missing.
    """
    last = last_checkpoint(store, pretrain_key(recipe))
    if last is not None:
        check_fits(last.tensors, _networks_of_checkpoint(recipe, store), f"{store.uri}/checkpoints")
    elif _had_checkpoint(store):
        way_out = "restore it, or move the run's folder away to start over"
        raise WeightsError(f"{store.uri}/checkpoints", "the run's last checkpoint is missing", way_out)


def _networks_of_checkpoint(recipe: Recipe, store: Store) -> dict[str, torch.nn.Module]:
    p = recipe.pretrain
    if p.kind == "flow" or p.taught:
        generator = build_flow(p, split_source(recipe, read_poses(f"{store.uri}/source.parquet"))[0])
        if p.taught:
            generator = untaught(p, generator)
        return {"generator": generator, "averaged": generator}
    with torch.device("meta"):
        generator, discriminator = build_networks(p)
    return {"generator": generator, "averaged": generator, "discriminator": discriminator}


def _had_checkpoint(store: Store) -> bool:
    """Whether there was a checkpoint once. The first generator is written before the first checkpoint."""
    if store.exists(DONE):
        return True
    if not store.exists(f"{GENERATOR}/model.json"):
        return False
    card = json.loads(store.get(f"{GENERATOR}/model.json"))["card"]
    return len(card.get("history", [])) > 1
