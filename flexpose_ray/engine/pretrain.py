"""Pretraining under Ray Train: beta and g_s on the source poses, resumable at any kill.

The networks know nothing of workers: a batch is drawn by its step's number, every worker takes its share, and one
all-reduce averages the gradients, so that the result does not depend on how many workers there are.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import ray
import ray.train
import torch
import torch.distributed as dist
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.util.queue import Queue

from flexpose_ray.config import PretrainConfig, Recipe, pretrain_key
from flexpose_ray.core.alpha import Alpha, to_uint8
from flexpose_ray.core.beta import Beta
from flexpose_ray.core.discriminator import Discriminator
from flexpose_ray.core.distribution import moments
from flexpose_ray.core.errors import ConfigError, DataError, FlexPoseError
from flexpose_ray.core.gan import GanSettings, GanTrainer
from flexpose_ray.core.generator import Generator
from flexpose_ray.core.geometry import flip
from flexpose_ray.core.latents import latents
from flexpose_ray.core.limits import PoseLimits
from flexpose_ray.core.metrics import frechet_distance
from flexpose_ray.core.poses import PoseSet
from flexpose_ray.core.sampler import PoseSampler
from flexpose_ray.engine.checkpoint import Checkpoint, last_checkpoint, write_checkpoint
from flexpose_ray.engine.memory import KEEP_ENV
from flexpose_ray.engine.pretrain_beta import BETA_CARD, BETA_REPORTS, trained_beta
from flexpose_ray.engine.session import ray_session
from flexpose_ray.io.datasets import read_source
from flexpose_ray.io.models import save_generator
from flexpose_ray.io.poses import read_poses, write_poses
from flexpose_ray.io.store import Store, open_store

POLL_ENV = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"  # Ray Train hands the driver's to its controller
MAX_FAILURES = 3  # lost workers or nodes before a run gives up
DONE = "pretrain.json"

Progress = Callable[[dict], None]


def pretrain(recipe: Recipe, storage: str, on_progress: Progress = lambda row: None) -> dict:
    """Train beta and the generator on the recipe's source; a second call goes on or returns at once.

    Args:
        recipe: its ``source`` and ``pretrain`` count.
        storage: URI under which the run's folder is made.
        on_progress: takes a row (kimg, rates, losses, now and then fd) on the driver.

    Returns:
        ``generator`` (URI), ``run`` (URI), ``kimg``, ``fd`` (best), ``history``.

    Raises:
        ConfigError: no source.
        FlexPoseError: bad data, storage or checkpoint, also from within a worker.
    """
    store = open_store(storage).child(pretrain_key(recipe))
    if store.exists(DONE):
        done = json.loads(store.get(DONE))
        if done["kimg"] >= recipe.pretrain.kimg:
            return {**done, "run": store.uri, "generator": f"{store.uri}/generator"}  # the folder may have moved
    if not store.exists("source.parquet"):
        poses = read_recipe_source(recipe)
        train, held = poses.split(recipe.pretrain.held_out, recipe.pretrain.seed)
        if min(len(train), len(held)) < 2:
            problem = f"{len(poses)} poses split by group into {len(train)} to train on and {len(held)} to judge by"
            raise DataError(recipe.source, problem, "give poses of more pictures or videos")
        write_poses(f"{store.uri}/source.parquet", poses)
    last_checkpoint(store)  # a damaged one is told before workers start and stumble over it again and again
    with ray_session():
        _fit(recipe, store, on_progress)
    history = last_checkpoint(store).history
    best = min((row for row in history if "fd" in row), key=lambda row: row["fd"])
    done = {
        "run": store.uri,
        "generator": f"{store.uri}/generator",
        "kimg": history[-1]["kimg"],
        "fd": best["fd"],
        "fd_kimg": best["kimg"],
        "history": history,
    }
    store.put(DONE, json.dumps(done).encode())
    return done


def read_recipe_source(recipe: Recipe) -> PoseSet:
    """The source poses of a recipe.

    Raises:
        ConfigError: it names none, or poses of another skeleton than it says.
        DataError: poses that cannot be used.
    """
    if recipe.source is None:
        raise ConfigError(recipe.name, "no source to pretrain on", "name one: source: KIND:PATH")
    poses, _ = read_source(recipe.source, recipe.mapping)
    if poses.skeleton_name != recipe.skeleton:
        problem = f"its poses are {poses.skeleton_name}, the recipe says {recipe.skeleton}"
        raise ConfigError(recipe.source, problem, f"write skeleton: {poses.skeleton_name}")
    return poses


def _fit(recipe: Recipe, store: Store, on_progress: Progress) -> None:
    p = recipe.pretrain
    gpu = ray.cluster_resources().get("GPU", 0) >= 1
    rows = Queue()
    threads = p.threads or max(1, (os.cpu_count() or 1) // p.workers)
    os.environ.setdefault(POLL_ENV, "0.2")  # a report waits for the next poll: two seconds by default
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"recipe": recipe.model_dump(mode="json"), "run": store.uri, "threads": threads},
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=3600),
        scaling_config=ray.train.ScalingConfig(num_workers=p.workers, use_gpu=gpu, resources_per_worker={"CPU": 1}),
        run_config=ray.train.RunConfig(
            name=f"launch-{time.time_ns()}",  # a name of its own: our checkpoints say where to go on, not Ray's
            storage_path=f"{store.uri}/ray",
            failure_config=ray.train.FailureConfig(max_failures=MAX_FAILURES),
            callbacks=[_Relay(rows)],
            worker_runtime_env={"env_vars": {**KEEP_ENV, "OMP_NUM_THREADS": str(threads)}},
        ),
    )
    listener = threading.Thread(target=_listen, args=(rows, on_progress), daemon=True)
    listener.start()
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise _cause(error) from error
    finally:
        rows.put(None)
        listener.join()
        rows.shutdown()


class _Relay(ray.train.UserCallback):
    """Sends the first worker's rows to the driver; Ray Train's controller, where this runs, is another process."""

    def __init__(self, rows: Queue):
        self.rows = rows

    def after_report(self, run_context, metrics, checkpoint) -> None:
        for row in metrics:
            if row:
                self.rows.put(row)


def _listen(rows: Queue, on_progress: Progress) -> None:
    while (row := rows.get()) is not None:
        on_progress(row)


def _cause(error: ray.train.TrainingFailedError) -> Exception:
    """The error of ours inside Ray's, if there is one."""
    for failure in getattr(error, "worker_failures", {}).values():
        while failure is not None:
            if isinstance(failure, FlexPoseError):
                return failure
            failure = getattr(failure, "cause", None) or failure.__cause__
    return error


def _train_worker(config: dict) -> None:
    """What every worker runs."""
    recipe, store = Recipe.model_validate(config["recipe"]), open_store(config["run"])
    p = recipe.pretrain
    context = ray.train.get_context()
    rank, world, device = context.get_world_rank(), context.get_world_size(), get_device()
    if device.type == "cpu":
        torch.set_num_threads(config["threads"])
    alpha = Alpha(recipe.skeleton, **p.alpha.model_dump())
    train, held = read_poses(f"{store.uri}/source.parquet").split(p.held_out, p.seed)
    bf16 = fast_bf16(device) if p.bf16 == "auto" else p.bf16
    has_beta = store.exists(BETA_CARD)
    if world > 1:
        dist.barrier()  # all have looked before the first one writes it
    if rank == 0:
        beta, beta_card = trained_beta(p, alpha, train, held, store, device, bf16, ray.train.report)
    elif not has_beta:
        for _ in range(BETA_REPORTS):  # every worker reports as often as the first
            ray.train.report({})
    if world > 1:
        dist.barrier()
    if rank:
        beta, _ = trained_beta(p, alpha, train, held, store, device, bf16, ray.train.report)  # now it is there
    trainer = _gan_trainer(p, alpha, beta, train, device, bf16, rank, world)
    history = []
    if (last := last_checkpoint(store)) is not None:
        trainer.load_state(last.tensors, last.numbers)
        history = last.history
    judge = _Judge(beta, train, held, p) if rank == 0 else None
    meter = _Meter(trainer)
    report_steps, eval_steps = (max(1, round(k * 1000 / p.batch)) for k in (p.report_kimg, p.eval_kimg))
    last_step = -(-round(p.kimg * 1000) // p.batch)
    while trainer.step_count < last_step:
        meter.add(trainer.step())
        done = trainer.step_count
        evaluates = done % eval_steps == 0 or done == last_step
        if done % report_steps and not evaluates:
            continue
        row = meter.row(p.kimg)
        if rank == 0:
            if evaluates:
                row["fd"] = judge.fd(trainer.averaged, alpha)
                best = all(row["fd"] <= old["fd"] for old in history if "fd" in old)
            history.append(row)
            if evaluates:
                store.put(f"grids/kimg{round(row['kimg']):06d}.png", judge.grid(trainer.averaged))
                if best:
                    card = _card(recipe, history, {**beta_card, "poses": len(train), "fd_floor": judge.floor})
                    folder = f"{store.uri}/generator"
                    parts = trainer.averaged, trainer.discriminator, beta, alpha
                    save_generator(folder, *parts, judge.source, judge.limits, card)
                write_checkpoint(store, Checkpoint(*trainer.state(), history))
        meter.restart()
        ray.train.report(row if rank == 0 else {})


def _card(recipe: Recipe, history: list[dict], facts: dict) -> dict:
    """What a person wants to know of a generator; the last row of ``history`` is its own."""
    last = history[-1]
    return {
        "command": f"flexpose pretrain {recipe.name}",
        "attribution": recipe.attribution,
        "source": recipe.source,
        "kimg": last["kimg"],
        "fd": last["fd"],
        **facts,
        "settings": recipe.pretrain.model_dump(mode="json"),
        "history": [row for row in history if "fd" in row],
    }


def _gan_trainer(
    p: PretrainConfig, alpha: Alpha, beta: Beta, train: PoseSet, device: torch.device, bf16: bool, rank: int, world: int
) -> GanTrainer:
    torch.manual_seed(p.seed)  # the same networks on every worker
    network = p.network.model_dump()
    shared = dict(size=p.alpha.size, channels=p.alpha.channels, base=p.network.base, most=p.network.most)
    generator, discriminator = Generator(**{**network, **shared}), Discriminator(**shared)
    same = {name: getattr(p, name) for name in GanSettings.__dataclass_fields__}
    settings = GanSettings(**{**same, "bf16": bf16})
    workers = dict(reduce=partial(average, world=world), gather=partial(gather, world=world)) if world > 1 else {}
    return GanTrainer(
        generator, discriminator, alpha, train.keypoints_NJ2, settings, device, beta, **workers, rank=rank, world=world
    )


def average(tensors: list[torch.Tensor], world: int) -> None:
    """Average tensors over all workers in place, as one flat all-reduce."""
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    flat /= world
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def gather(rows_N: torch.Tensor, world: int) -> torch.Tensor:
    """Rows of all workers, in the workers' order."""
    parts = [torch.empty_like(rows_N) for _ in range(world)]
    dist.all_gather(parts, rows_N.contiguous())
    return torch.cat(parts)


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is worth it there: on CUDA and on CPUs with instructions for it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()


class _Judge:
    """FD of generated poses, through beta, to held-out real ones; and pictures."""

    def __init__(self, beta: torch.nn.Module, train: PoseSet, held: PoseSet, p: PretrainConfig):
        self.beta, self.p = beta, p
        self.source = moments(torch.as_tensor(_both_sides(train)))
        self.limits = PoseLimits.of(train.keypoints_NJ2, train.skeleton)
        self.real_NJ2 = _both_sides(held)
        half = np.random.default_rng(p.seed).permutation(len(self.real_NJ2))
        cut = len(half) // 2
        self.floor = frechet_distance(self.real_NJ2[half[:cut]], self.real_NJ2[half[cut:]])

    def fd(self, generator: Generator, alpha: Alpha) -> float:
        sampler = PoseSampler(generator, self.beta, alpha, "", device=next(generator.parameters()).device)
        poses_NJ2, _ = sampler.sample(self.p.seed, np.arange(self.p.eval_samples))
        return frechet_distance(poses_NJ2, self.real_NJ2)

    @torch.inference_mode()
    def grid(self, generator: Generator) -> bytes:
        """PNG of 6 x 12 generated images, always of the same latents."""
        z = torch.as_tensor(latents(self.p.seed, np.arange(72), generator.z_size), device=generator.start.device)
        images_NHWC = to_uint8(generator(z)[:, [2, 1, 0]] if self.p.alpha.channels == 3 else generator(z))
        rows = [np.concatenate(list(images_NHWC[i : i + 12]), 1) for i in range(0, 72, 12)]
        return cv2.imencode(".png", np.concatenate(rows))[1].tobytes()


def _both_sides(poses: PoseSet) -> np.ndarray:
    """The poses and their mirror images, which training takes as often."""
    return np.concatenate([poses.keypoints_NJ2, flip(poses.keypoints_NJ2, poses.skeleton)])


class _Meter:
    """Averages of the losses, over all workers, and the speed since the last report."""

    def __init__(self, trainer: GanTrainer):
        self.trainer = trainer
        self.restart()

    def restart(self) -> None:
        self.start, self.seen, self.sums = time.perf_counter(), self.trainer.images_seen, {}

    def add(self, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self.sums.setdefault(name, []).append(value)

    def row(self, goal_kimg: float) -> dict[str, float]:
        kimg = self.trainer.images_seen / 1000
        seconds = time.perf_counter() - self.start
        rate = (self.trainer.images_seen - self.seen) / 1000 / seconds
        means = torch.tensor([np.mean(v) for v in self.sums.values()], dtype=torch.float64, device=self.trainer.device)
        self.trainer.reduce([means])
        losses = {name: round(mean, 5) for name, mean in zip(self.sums, means.tolist(), strict=True)}
        return {"kimg": kimg, "kimg_s": round(rate, 5), "eta_s": max(0, round((goal_kimg - kimg) / rate)), **losses}
