"""What a generation has to do: the checks and the pinned run that come before any rendering. No Ray is needed."""

from __future__ import annotations

from dataclasses import dataclass

from flexpose_ray.config import GenerateConfig
from flexpose_ray.dataset.commits import committed
from flexpose_ray.dataset.layout import MODEL, ShardId, plan_shards
from flexpose_ray.dataset.manifest import Manifest, newest_manifest, publish
from flexpose_ray.dataset.run_spec import BF16, RunSpec
from flexpose_ray.dataset.shards import shard_schema
from flexpose_ray.errors import ConfigError
from flexpose_ray.models.generators import copy_model, load_sampler
from flexpose_ray.networks.sampler import PoseSampler
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store


@dataclass(frozen=True)
class Generation:
    """A data set on its way to a number of poses.

    Attributes:
        store: the data set; it holds its run and its model.
        run: what every pose depends on.
        shards: all of those that make up the poses, in order.
        missing: those of them that are not committed yet, in order.
        newest: the manifest that readers see at the start; None where nothing is published.
    """

    store: Store
    run: RunSpec
    shards: list[ShardId]
    missing: list[ShardId]
    newest: Manifest | None

    def publish(self) -> Manifest:
        """Make all shards the data set that readers see; errors as :func:`dataset.manifest.publish`."""
        return publish(self.store, self.run, self.shards, self.newest)


def plan_generation(generator_uri: str | None, out_uri: str, config: GenerateConfig) -> Generation:
    """Check what is asked for, pin the run in the data set, and copy its generator there.

    Args:
        generator_uri: a trained or adapted generator, or ``builtin:NAME``; None where the data set has its own already.
        out_uri: the data set.
        config: number of poses, and what they depend on.

    Raises:
        ConfigError: the data set at ``out_uri`` belongs to another run or is larger.
        DataError: the records of the data set are damaged.
        WeightsError: the generator is missing or damaged.
        StorageError: ``out_uri`` cannot be written.
    """
    store = open_store(out_uri)
    run = run_of(load_sampler(generator_uri or f"{store.uri}/{MODEL}", config.batch), config)
    run.pin(store)
    newest = newest_manifest(store)
    if newest is not None and newest.count > config.count:
        problem = f"holds {newest.count:,} poses, more than the {config.count:,} asked for"
        raise ConfigError(store.uri, problem, "ask for at least as many, or choose another place")
    if generator_uri:
        copy_model(generator_uri, store.child(MODEL))
    shards = plan_shards(config.count, run.shard_size)
    return Generation(store, run, shards, sorted(set(shards) - committed(store)), newest)


def run_of(sampler: PoseSampler, config: GenerateConfig) -> RunSpec:
    """Everything that a pose of ``sampler`` under ``config`` depends on.

    Raises:
        ConfigError: the gate is to read poses off drawings, and the generator has nothing that reads.
    """
    if config.gate.round_trip is not None and sampler.read is None:
        problem = "needs beta, which reads poses off drawings, and a flow has none"
        raise ConfigError("generate.gate.round_trip", problem, "leave it out, or use a StyleGAN: --kind stylegan")
    schema = shard_schema(sampler.alpha.skeleton.n_joints, bool(config.images))
    return RunSpec(
        generator=sampler.digest,
        skeleton=sampler.skeleton_name,
        seed=config.seed,
        shard_size=config.shard_size or sampler.best_shard,
        batch=sampler.batch,
        gate=config.gate.model_dump(),
        schema={field.name: str(field.type) for field in schema},
        images=config.images,
        alpha=sampler.alpha.config,
        confidence=sampler.confidence,
        precision=BF16 if config.bf16 else None,
    )
