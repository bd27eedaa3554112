"""Generated data sets in the formats of others: COCO keypoint JSON, WebDataset, NumPy.

An export is a folder with ``export.json`` (what it is of), the format's files, and ``README.md``, a dataset card,
which comes last: where it is, the export is complete. Every file appears whole or not at all, the same call leaves the
same bytes, and a repeated one writes only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.errors import ConfigError
from flexpose_ray.export.arrays import write_npz
from flexpose_ray.export.card import dataset_card
from flexpose_ray.export.coco import write_coco
from flexpose_ray.export.files import Job
from flexpose_ray.export.tars import write_webdataset
from flexpose_ray.storage.base import read_json
from flexpose_ray.storage.open import open_store

WRITERS = {"coco": write_coco, "webdataset": write_webdataset, "npz": write_npz}
FORMATS = tuple(WRITERS)
PER_FILE = {"webdataset": 10_000, "npz": 1_000_000}
CANVAS = 256  # pixels, where no stored pictures set another side
CLAIM_KEY, CARD_KEY = "export.json", "README.md"


def export(
    uri: str,
    format: str,
    out: str,
    *,
    size: int | None = None,
    images: bool | None = None,
    per_file: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write a generated data set to ``out`` in another format, shard by shard.

    A pose in crop units stands in a square picture: pixels are crop units times ``size``.

    Args:
        uri: the data set.
        format: "coco" (``annotations.json``, ``dataset_info.py`` for mmpose, ``images/``), "webdataset"
            (``000000.tar`` and so on) or "npz" (``poses-00000.npz`` and so on).
        out: a folder or ``s3://bucket/prefix``.
        size: side of COCO's canvas and of the pictures in pixels; that of the stored pictures by default, 256 without.
        images: write pictures too: stored ones where they have that size, else drawn by alpha. By default as the data
            set does.
        per_file: poses a file; 10,000 a tar and 1,000,000 an npz by default. COCO's annotations are one file.
        on_progress: takes (poses done, poses in all).

    Returns:
        ``uri``, ``format``, ``count``, ``size``, ``images``, ``files`` (in all) and ``written`` (by this call).

    Raises:
        ConfigError: an argument that does not fit, or ``out`` holds another export.
        DataError: a shard is damaged.
        StorageError: no data set there, or storage that cannot be read or written.
    """
    poses, store = PoseReader(open_store(uri)), open_store(out)
    options = _options(poses, format, size, images, per_file)
    claim = {
        "format": format,
        **options,
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
    claim_text = json.dumps(claim, indent=1, allow_nan=False).encode() + b"\n"
    if not store.put_if_absent(CLAIM_KEY, claim_text) and (before := read_json(store, CLAIM_KEY)) != claim:
        told = [key for key in claim if before.get(key) != claim[key]]
        hint = "choose an empty place, or remove what is there"
        raise ConfigError(f"{store.uri}/{CLAIM_KEY}", f"belongs to an export with another {', '.join(told)}", hint)
    job = Job(poses, store, on_progress=on_progress, present=set(store.list()), **options)
    WRITERS[format](job)
    with job.file(CARD_KEY) as file:
        if file:
            file.write(dataset_card(poses, format, job).encode())
    result = {"uri": store.uri, "format": format, "count": poses.count, "size": job.size, "images": job.images}
    return result | {"files": job.files, "written": job.written}


def _options(poses: PoseReader, format: str, size: int | None, images: bool | None, per_file: int | None) -> dict:
    """The arguments of an export with defaults filled in."""
    if format not in FORMATS:
        raise ConfigError("format", f"unknown format {format!r}", f"choose one of {', '.join(FORMATS)}")
    for name, value in (("size", size), ("per_file", per_file)):
        if value is not None and value < 1:
            raise ConfigError(name, f"{value} is less than 1", "give a positive number")
    if format == "npz" and images:
        raise ConfigError("images", "npz files hold no pictures", "export to webdataset or coco")
    if format == "coco" and per_file:
        raise ConfigError("per_file", "COCO annotations are one file", "leave it out")
    stored = "image" in poses.columns
    return {
        "size": size or (poses.alpha.size if stored else CANVAS),
        "images": format != "npz" and (stored if images is None else images),
        "per_file": per_file or PER_FILE.get(format),
    }
