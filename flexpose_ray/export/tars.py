"""WebDataset: tar files of samples; a sample is ``<index>.json`` and perhaps a picture of the same name."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import numpy as np

from flexpose_ray.canonical import canonical_text
from flexpose_ray.dataset.blocks import Block
from flexpose_ray.export.job import Job

DECIMALS = 6  # of crop units: finer than any difference that pixels show


def write_webdataset(job: Job) -> None:
    """Write ``000000.tar`` and so on; a sample is named after its index, and headers hold no time or owner.

    The JSON holds ``index``, ``skeleton``, ``keypoints`` [[x, y], ...] in crop units and ``confidence``.
    """
    for key, first, last in job.parts("{:06d}.tar"):
        with job.file(key) as file:
            if file is None:
                job.advance(last - first)
                continue
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for block in job.blocks(first, last):
                    for name, data in _members(job, block):
                        member = tarfile.TarInfo(name)
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))


def _members(job: Job, block: Block) -> Iterator[tuple[str, bytes]]:
    """Names and contents of a block's samples."""
    pictures = job.pictures(block) if job.options.images else [None] * len(block["index"])
    keypoints, confidence = (
        np.round(block[k].astype(np.float64), DECIMALS).tolist() for k in ("keypoints", "confidence")
    )
    for index, points, sure, picture in zip(block["index"].tolist(), keypoints, confidence, pictures, strict=True):
        sample = {"index": index, "skeleton": job.poses.skeleton.name, "keypoints": points, "confidence": sure}
        yield f"{index:016d}.json", canonical_text(sample).encode()
        if picture is not None:
            yield f"{index:016d}.{job.suffix}", picture
