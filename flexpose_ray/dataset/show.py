"""Describing a data set: counts, origin, rejects, cost."""

from __future__ import annotations

from typing import Any

from flexpose_ray.dataset.call_log import read_log
from flexpose_ray.dataset.commits import committed
from flexpose_ray.dataset.layout import MODEL
from flexpose_ray.dataset.manifest import Manifest, newest_manifest
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.errors import WeightsError
from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.models.shots import read_shots
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.storage.base import Store
from flexpose_ray.text_table import text_table

FD_POSES = 5000  # compared with the shots


def show(store: Store) -> dict[str, Any]:
    """Describe the data set in ``store``, finished or not.

    Returns:
        ``count`` and ``shards`` (of the newest manifest; 0 where none is published), ``manifest`` (``version``,
        ``sha256``; or None), ``committed`` (poses on storage), ``bytes`` of the shards, ``schema``,
        ``generator``, ``seed``, ``images``, ``gate`` (its settings), ``drawn`` and ``rejects`` by reason,
        ``fd_to_shots`` of the first 5,000 poses (None without shots), and ``cost`` of all calls: ``poses``,
        ``seconds``, ``poses_s``, ``cpu_s_per_million``, ``gpu_s_per_million``.

    Raises:
        MissingKeyError: no data set there.
        DataError: one of its records is damaged.
    """
    run, manifest = RunSpec.read(store), newest_manifest(store)
    present = {}
    for shard in sorted(committed(store)):  # of a last shard that has grown, the longer one counts
        present[shard.index] = shard.rows
    entries = manifest.shards if manifest else ()
    return {
        "uri": store.uri,
        "count": manifest.count if manifest else 0,
        "shards": len(entries),
        "manifest": {"version": manifest.version, "sha256": manifest.sha256} if manifest else None,
        "committed": sum(present.values()),
        "bytes": sum(entry.bytes for entry in entries),
        "schema": run.schema,
        "skeleton": get_skeleton(run.skeleton).name,
        "generator": run.generator,
        "seed": run.seed,
        "shard_size": run.shard_size,
        "images": run.images,
        "gate": run.gate,
        "drawn": sum(entry.stats.get("drawn", entry.rows) for entry in entries),
        "rejects": manifest.rejects if manifest else {},
        "fd_to_shots": _fd_to_shots(store, manifest) if manifest else None,
        "cost": _cost(store),
    }


def _fd_to_shots(store: Store, manifest: Manifest) -> float | None:
    try:
        shots_SJ2 = read_shots(f"{store.uri}/{MODEL}")
    except WeightsError:
        return None
    return None if shots_SJ2 is None else frechet_distance(PoseReader(store, manifest).first(FD_POSES), shots_SJ2)


def _cost(store: Store) -> dict[str, float] | None:
    calls = read_log(store)
    poses, seconds = sum(call.poses for call in calls), sum(call.seconds for call in calls)
    if not poses:
        return None
    gpu_s = sum(call.sampling_s * call.gpu_share for call in calls)
    cpu_s = sum(call.sampling_s for call in calls if not call.gpu_share)
    return {
        "poses": poses,
        "seconds": round(seconds, 3),
        "poses_s": round(poses / seconds, 1),
        "cpu_s_per_million": round(cpu_s / poses * 1e6, 1),
        "gpu_s_per_million": round(gpu_s / poses * 1e6, 1),
    }


def format_show(shown: dict[str, Any]) -> str:
    """The result of :func:`show` as lines for a terminal."""
    manifest, gate, cost = shown["manifest"], shown["gate"], shown["cost"]
    lines = [("data set", shown["uri"])]
    if manifest:
        size = f"{shown['count']:,} poses in {shown['shards']:,} shards, {shown['bytes'] / 1e6:,.1f} MB"
        lines += [("published", f"{size}; version {manifest['version']}, sha256 {manifest['sha256'][:16]}")]
    if not manifest or shown["committed"] > shown["count"]:
        lines += [("at work", f"{shown['committed']:,} poses committed; repeat the command that began it to go on")]
    lines += [
        ("generator", f"{shown['generator'][:16]}, {shown['skeleton']}, seed {shown['seed']}"),
        ("images", shown["images"] or "none; alpha draws them when read"),
    ]
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(shown["rejects"].items(), key=lambda item: -item[1]))
    lines += [("gate", f"{gate['mode']}; of {shown['drawn']:,} drawn {sum(shown['rejects'].values()):,} rejected")]
    lines[-1] = lines[-1] if gate["mode"] != "off" else ("gate", "off")
    lines += [("", reasons)] if reasons else []
    if shown["fd_to_shots"] is not None:
        lines += [("FD to shots", f"{shown['fd_to_shots']:.4f}")]
    if cost:
        device = "GPU" if cost["gpu_s_per_million"] else "CPU"
        spent = cost[f"{device.lower()}_s_per_million"]
        lines += [("cost", f"{cost['poses_s']:,.0f} poses/s, {spent:,.0f} {device}-seconds a million")]
    return text_table(lines, "ll")
