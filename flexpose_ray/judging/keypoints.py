"""How far a detector's points are from the true ones."""

from __future__ import annotations

import numpy as np

from flexpose_ray.errors import DataError

PCK_AT = (0.05, 0.10, 0.20)  # of the picture's side


def keypoint_scores(
    found_NJ2: np.ndarray,
    true_NJ2: np.ndarray,
    flip_J: tuple[int, ...],
    corrected_N: np.ndarray | None = None,
    eyes: tuple[int, int] | None = None,
) -> dict[str, float]:
    """Errors of points, in shares of the picture's side (crop units).

    A pose read with left and right exchanged is the one thing that a picture's skeleton can hide, so errors come in up
    to three kinds: plain; ``corrected``, exchanged where the detector itself doubts; and ``best``, the better of both,
    which knows the truth.

    Args:
        found_NJ2: crop units, finite.
        true_NJ2: as many.
        flip_J: for every joint its mirror image.
        corrected_N: bool, where the detector would exchange sides; None leaves its columns out.
        eyes: the joints whose true distance normalises ``nme`` (of faces: outer eye corners); None leaves it out.

    Returns:
        ``error`` (mean over joints, then pictures, of the Euclidean distance), ``mse`` (mean of its square),
        ``pck5``, ``pck10``, ``pck20`` (share of all joints at most 5, 10, 20% of the side away); the first and the
        shares as ``best_...`` and ``corrected_...``; ``flipped`` (share of pictures whose exchanged reading is nearer);
        ``nme``.

    Raises:
        DataError: other shapes, no picture, or eyes in one point.
    """
    if found_NJ2.shape != true_NJ2.shape or not len(found_NJ2):
        raise DataError("keypoints", f"found {found_NJ2.shape}, true {true_NJ2.shape}", "give the same pictures twice")
    plain_NJ = np.linalg.norm(found_NJ2 - true_NJ2, axis=2)
    other_NJ = np.linalg.norm(found_NJ2[:, list(flip_J)] - true_NJ2, axis=2)
    flipped_N = other_NJ.mean(1) < plain_NJ.mean(1)
    kinds = {"": plain_NJ, "best_": np.where(flipped_N[:, None], other_NJ, plain_NJ)}
    if corrected_N is not None:
        kinds["corrected_"] = np.where(corrected_N[:, None], other_NJ, plain_NJ)
    scores = {"mse": float(np.square(plain_NJ).mean()), "flipped": float(flipped_N.mean())}
    for kind, distance_NJ in kinds.items():
        scores[f"{kind}error"] = float(distance_NJ.mean())
        scores |= {f"{kind}pck{round(100 * at)}": float((distance_NJ <= at).mean()) for at in PCK_AT}
    if eyes is not None:
        apart_N = np.linalg.norm(true_NJ2[:, eyes[0]] - true_NJ2[:, eyes[1]], axis=1)
        if not apart_N.all():
            raise DataError(f"face {int(apart_N.argmin())}", "its eyes are in one point", "drop it")
        scores["nme"] = float((plain_NJ.mean(1) / apart_N).mean())
    return scores
