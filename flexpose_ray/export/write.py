"""Generated data sets in other formats: COCO keypoint JSON, WebDataset, NumPy.

An export is a folder with ``export.json`` (which data set it comes from, and with which options), the format's files,
and ``README.md``, a dataset card, which comes last: where it is, the export is complete. Every file appears whole or
not at all, the same call leaves the same bytes, and a repeated one writes only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.errors import ConfigError
from flexpose_ray.export.arrays import write_npz
from flexpose_ray.export.card import dataset_card
from flexpose_ray.export.coco import write_coco
from flexpose_ray.export.job import Job
from flexpose_ray.export.options import ExportOptions
from flexpose_ray.export.tars import write_webdataset
from flexpose_ray.storage.base import Store, read_json
from flexpose_ray.storage.open import open_store

WRITERS = {"coco": write_coco, "webdataset": write_webdataset, "npz": write_npz}
CLAIM_KEY, CARD_KEY = "export.json", "README.md"


def export(
    uri: str,
    out: str,
    options: ExportOptions,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write a generated data set to ``out`` in another format, shard by shard.

    A pose in crop units stands in a square picture: pixels are crop units times the picture's size.

    Args:
        uri: the data set.
        out: a folder or ``s3://bucket/prefix``.
        options: format, size, pictures, files.
        on_progress: takes (poses done, poses in all).

    Returns:
        ``uri``, ``format``, ``count``, ``size``, ``images``, ``files`` (in all) and ``written`` (by this call).

    Raises:
        ConfigError: ``out`` holds another export.
        DataError: a shard or the manifest is damaged.
        StorageError: no data set there, or storage cannot be read or written.
    """
    poses, store = PoseReader(open_store(uri)), open_store(out)
    options = options.filled(poses)
    _claim(store, poses, options)
    job = Job(poses, store, options, on_progress)
    WRITERS[options.format](job)
    with job.file(CARD_KEY) as file:
        if file:
            file.write(dataset_card(poses, options).encode())
    result = {"uri": store.uri, "format": options.format, "count": poses.count}
    return result | {"size": options.size, "images": options.images, "files": job.files, "written": job.written}


def _claim(store: Store, poses: PoseReader, options: ExportOptions) -> None:
    """Record in ``store`` what the export is of, or check that it is what is recorded there."""
    claim = {
        **asdict(options),
        "count": poses.count,
        "generator": poses.run.generator,
        "seed": poses.run.seed,
        "manifest": poses.manifest.sha256,
        "skeleton": {
            "name": poses.skeleton.name,
            "joints": list(poses.skeleton.joints),
            "limbs": [list(limb) for limb in poses.skeleton.limbs],
        },
    }
    data = json.dumps(claim, indent=1, allow_nan=False).encode() + b"\n"
    if not store.put_if_absent(CLAIM_KEY, data) and (before := read_json(store, CLAIM_KEY)) != claim:
        different = ", ".join(key for key in claim if before.get(key) != claim[key])
        hint = "choose an empty place, or remove what is there"
        raise ConfigError(f"{store.uri}/{CLAIM_KEY}", f"belongs to an export with another {different}", hint)
