"""NumPy archives: plain arrays that ``numpy.load`` reads without pickle."""

from __future__ import annotations

import numpy as np

from flexpose_ray.export.job import Job


def write_npz(job: Job) -> None:
    """Write ``poses-00000.npz`` and so on.

    Arrays: ``keypoints`` float32 (N, J, 2) in crop units, ``confidence`` float32 (N, J), ``index`` int64 (N,), and the
    skeleton's ``joints`` (names) and ``limbs`` int64 (L, 2). One file's arrays are in memory at a time.
    """
    skeleton = job.poses.skeleton
    for key, first, last in job.parts("poses-{:05d}.npz"):
        with job.file(key) as file:
            if file is None:
                job.advance(last - first)
                continue
            blocks = list(job.blocks(first, last))
            columns = {name: np.concatenate([b[name] for b in blocks]) for name in ("keypoints", "confidence", "index")}
            np.savez_compressed(file, **columns, joints=np.array(skeleton.joints), limbs=skeleton.limbs_LK)
