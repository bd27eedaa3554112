"""One cell of a benchmark: a method on a pair of source and target, with one draw of the shots."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from flexpose_ray.config import GateConfig, config_hash
from flexpose_ray.config.benchmark import BenchmarkRecipe, PairConfig, RowConfig, row_settings
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.evaluation.target import split_target
from flexpose_ray.judging.scores import score_table
from flexpose_ray.methods.base import AdaptationTask, stored_bytes
from flexpose_ray.methods.registry import METHODS
from flexpose_ray.models.generators import Pretrained, load_sampler
from flexpose_ray.models.shipped import BUILTIN, shipped_of_kind
from flexpose_ray.networks.bundle import Kind
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.mixture import read_mixture

MOST_POSES = 100_000  # of every set that is sent to the cells
SOURCE_SAMPLES = 10_000  # of the generator, where a pair names no source
FIRST_SAMPLE = 1_000_000  # seeds of samples begin here, so that no latent is both trained on and judged
FIRST_PRIOR = 2_000_000  # as those that a detector learns from
ALONE = "shots_alone"  # the method to whose poses no mixup is added
KEPT_POSES = 8  # of every cell, for pictures
READERS_VERSION = 2  # grows when a reader gives other poses than before; in 1, Penn Action's sides were exchanged


@dataclass(frozen=True)
class Cell:
    """A cell's place in the table, and all that its figures depend on.

    Attributes:
        pair, row, seed: its place.
        generator: URI of the generator that is adapted.
        method: name of the method.
        settings: of the method.
        count: poses of the method that are judged; as many as of the target where None.
        shots_per_label: that the method learns from.
        poses: that a detector learns from, where the pair has one.
        fingerprint: hash of all that its figures depend on, except for the code.
    """

    pair: str
    row: str
    seed: int
    generator: str
    method: str
    settings: Any
    count: int | None
    shots_per_label: int
    poses: int | None
    fingerprint: str

    @property
    def key(self) -> str:
        """Of its result on storage."""
        return f"cells/{self.pair}/{self.row}-{self.seed}.json"

    @property
    def prior_key(self) -> str:
        """Of the poses on storage that a detector learns from."""
        return f"priors/{self.pair}/{self.row}-{self.seed}.parquet"

    @staticmethod
    def of(pair: PairConfig, generator: str, digest: str, row_name: str, row: RowConfig, seed: int, count: int) -> Cell:
        """The cell of a row; settings with a seed get the draw's, unless the recipe sets one."""
        settings = row_settings(row_name, row)
        if "seed" in {field.name for field in fields(settings)} and "seed" not in row.settings:
            settings = replace(settings, seed=seed)
        place = pair.model_dump(mode="json", exclude={"name", "stylegan", "detector"})
        shots = place["target"]["shots_per_label"] = row.shots_per_label or pair.target.shots_per_label
        judge = pair.detector
        learned = (row.poses or judge.poses) if judge else None
        inputs = [place, digest, row.method, asdict(settings), seed, count]
        inputs.append(READERS_VERSION)
        inputs += [] if row.count is None else [row.count]
        inputs += [] if judge is None else ["prior", learned, judge.mixup]
        made = (pair.name, row_name, seed, generator, row.method, settings, row.count, shots, learned)
        return Cell(*made, config_hash(inputs))

    @property
    def place(self) -> dict[str, Any]:
        """What every result begins with."""
        return {"pair": self.pair, "row": self.row, "seed": self.seed, "make": self.fingerprint}


def generator_of(pair: PairConfig, row_name: str, row: RowConfig, kind: Kind) -> str:
    """URI of the generator that a row adapts: the pair's, or the one of the kind that is asked for or needed.

    Args:
        pair: its generators.
        row_name: for errors.
        row: its method and kind.
        kind: of the pair's generator.

    Raises:
        ConfigError: the pair has none of that kind.
    """
    needs = METHODS[row.method].needs_stylegan(row_settings(row_name, row))
    wanted = row.kind or ("stylegan" if needs else kind)
    if needs and wanted == "flow":
        raise ConfigError(f"methods.{row_name}", f"{row.method} adapts a StyleGAN, not a flow", "leave kind out")
    if wanted == kind:
        return pair.generator
    if wanted == "stylegan" and pair.stylegan:
        return pair.stylegan
    if pair.generator.startswith(BUILTIN):
        return shipped_of_kind(pair.generator, wanted)
    hint = "add stylegan: URI to the pair" if wanted == "stylegan" else "name a flow as the pair's generator"
    raise ConfigError(f"pairs.{pair.name}", f"row {row_name} needs a {wanted}, its generator is a {kind}", hint)


@dataclass(frozen=True)
class PairPoses:
    """The poses of a pair, the same for all its cells except for the shots.

    Attributes:
        source_NJ2: of the source, crop units.
        held: of the target, to judge by.
        rest: of the target, to draw shots from.
    """

    source_NJ2: np.ndarray
    held: PoseSet
    rest: PoseSet


def read_pair(pair: PairConfig, recipe: BenchmarkRecipe, base: Pretrained) -> PairPoses:
    """Read the poses of a pair and check that they fit together.

    Raises:
        ConfigError: poses of another skeleton than the generator's.
        DataError: poses that cannot be used, or fewer than two shots.
    """
    held, _, rest = split_target(pair.target, recipe.seeds[0])
    if pair.sources:
        source = read_mixture([(source.poses, source.mapping) for source in pair.sources])
    else:
        sampled_NJ2, _ = load_sampler(pair.generator).sample(0, np.arange(SOURCE_SAMPLES))
        source = PoseSet(sampled_NJ2, base.alpha.skeleton_name)
    for what, poses in (("source", source), ("target", held)):
        if poses.skeleton_name != base.alpha.skeleton_name:
            problem = f"its {what} is {poses.skeleton.name}, its generator {base.alpha.skeleton.name}"
            raise ConfigError(f"pairs.{pair.name}", problem, "choose poses of the same skeleton")
    given = [row.shots_per_label or pair.target.shots_per_label for row in recipe.methods.values()]
    if (shots := len(rest.pick_shots(min(given)))) < 2:
        raise DataError(f"pairs.{pair.name}", f"{shots} shot, at least two needed", "raise target.shots_per_label")
    return PairPoses(_subset(source).keypoints_NJ2, _subset(held), rest)


def _subset(poses: PoseSet) -> PoseSet:
    if len(poses) <= MOST_POSES:
        return poses
    return poses.take(np.sort(np.random.default_rng(0).choice(len(poses), MOST_POSES, replace=False)))


def measure(
    cell: Cell,
    pair: PairConfig,
    base: Pretrained,
    poses: PairPoses,
    count: int,
    device: str,
    keep_prior: Callable[[np.ndarray], None] = lambda poses_NJ2: None,
) -> dict:
    """Let a cell's method learn from the shots, and score its poses.

    Args:
        cell: names method, settings and draw of the shots.
        pair: of source and target.
        base: the pair's generator and what belongs to it; not changed.
        poses: of the pair.
        count: poses a side of the comparison; only those of the target, where the cell has its own count.
        device: where networks run.
        keep_prior: takes the poses that the pair's detector learns from, where it has one.

    Returns:
        JSON-ready: place and fingerprint (``make``) of the cell; ``kind`` of its generator; scores as of
        :func:`score_table`; ``plausible``, the share of poses within the gate's limits of the source and the shots;
        ``seconds`` of learning; ``parameters``;
        ``bytes`` and their ``share`` of the generator's; ``floor``, the same scores of target poses; ``poses``, some to
        look at.

    Raises:
        DataError: the method's poses are not finite.
    """
    shots_NJ2 = poses.rest.pick_shots(cell.shots_per_label, cell.seed).keypoints_NJ2
    for part in (base.generator, base.discriminator, base.beta):
        if part is not None:
            part.to(memory_format=torch.channels_last)
    aligned_NJ2 = _subset(poses.rest).keypoints_NJ2
    task = AdaptationTask(poses.source_NJ2.copy(), shots_NJ2, base.alpha.skeleton, base, aligned_NJ2)
    started = time.perf_counter()
    learned = METHODS[cell.method].learn(task, cell.settings, lambda row: None, device)
    seconds = time.perf_counter() - started
    samples_NJ2 = learned.sample(cell.count or count, FIRST_SAMPLE + cell.seed)
    if not np.isfinite(samples_NJ2).all():
        raise DataError(cell.row, "generated poses with NaN or infinity", "lower its learning rate")
    if pair.detector is not None:
        prior_NJ2 = learned.sample(cell.poses, FIRST_PRIOR + cell.seed)
        if pair.detector.mixup and METHODS[cell.method].family != "reference" and cell.method != ALONE:
            prior_NJ2 = np.concatenate([prior_NJ2, task.mixed(pair.detector.mixup, FIRST_PRIOR + cell.seed)])
        keep_prior(prior_NJ2)
    floor, scores = score_table({cell.row: samples_NJ2}, poses.held, shots_NJ2, count, cell.seed, cell.count)
    limits = base.limits.widened(shots_NJ2)
    size, whole = learned.size, stored_bytes(base.generator.state_dict())
    cost = {"seconds": round(seconds, 1), "parameters": learned.parameters, "bytes": size, "share": size / whole}
    return {
        **cell.place,
        "error": None,
        "kind": base.kind,
        "method": cell.method,
        "settings": asdict(cell.settings),
        "skeleton": base.alpha.skeleton_name,
        "shots": len(shots_NJ2),
        **_without_name(scores),
        "plausible": plausible(limits, samples_NJ2),
        **cost,
        "floor": _without_name(floor) | {"plausible": plausible(limits, poses.held.keypoints_NJ2)},
        "poses": samples_NJ2[:KEPT_POSES].round(4).tolist(),
    }


def plausible(limits: PoseLimits, poses_NJ2: np.ndarray) -> float:
    """Share of poses all of whose limbs and angles are within the limits, with the gate's margin."""
    limbs_N, angles_N = limits.broken(poses_NJ2, GateConfig().margin)
    return float((~limbs_N & ~angles_N).mean())


def failed(cell: Any, error: str) -> dict:
    """The result of a cell, or of a detector, that failed, with the error in one line."""
    return {**cell.place, "error": error}


def _without_name(row: dict) -> dict:
    return {key: value for key, value in row.items() if key != "name"}
