"""Whether poses look as people do: which way up they are, which side is left, whether joints are where they belong.

What people look like is learned from the source of ``builtin:coco``: mean and covariance of its poses lie with its
weights. A set is compared with them as it is and with two joints, two sides or the axes exchanged; where that brings it
nearer, a warning says so. It is a suspicion: people seen from behind look like people whose sides are exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import numpy as np
from safetensors import safe_open

from flexpose_ray.judging.metrics import moments_distance
from flexpose_ray.pose.geometry import crop
from flexpose_ray.pose.moments import Moments, moments
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15, FACE_68, Skeleton

NEARER = 0.97  # of the distance as it is; on whole real sets no exchange comes under 0.98
TURNED = 0.8  # the same for exchanged axes; on real sets no exchange comes under 1.1
MOSTLY_BEHIND = 0.42  # share of left on the picture's right; real sets have 0.50 (cameras all around) to 0.95
SURE = 2.0  # standard deviations
ONE_POINT = 0.05  # share of poses in which two joints are one point; real sets have 0.007 at most
MOSTLY_OUTSIDE = 0.5
KNEES = "knees bend forward"
UPRIGHT = "upright in space"
ALONG = "heads along "
OUTSIDE = "joints outside the picture"
FEWEST = 8  # poses that say anything
MOST = 20_000  # poses that are looked at
TINY = 1e-4  # of the canvas
AT = {joint: i for i, joint in enumerate(BODY_15.joints)}
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
CHAINS = ("shoulder elbow", "elbow wrist", "hip knee", "knee ankle", "shoulder hip")


def check(poses: PoseSet, seen: dict[str, float] | None = None) -> tuple[dict[str, float], tuple[str, ...]]:
    """Look at the poses of a set.

    Args:
        poses: of any skeleton; most is known of body_15.
        seen: what the reader saw of them -> share: ``KNEES`` of motion, ``OUTSIDE`` where pictures' sizes are known.

    Returns:
        shares: what is seen -> share of poses, 0 to 1.
        warnings: what looks wrong and how to mend it.
    """
    seen, some = seen or {}, poses.take(np.arange(0, len(poses), -(-len(poses) // MOST)))
    shares: dict[str, float] = {}
    warnings: list[str] = []
    if poses.skeleton_name == BODY_15.name:
        shares, warnings = _body(some, seen.get(UPRIGHT))
    elif poses.skeleton_name == FACE_68.name:
        shares, warnings = _face(some.keypoints_NJ2)
    shares["two joints in one point"], pairs = _one_point(some.keypoints_NJ2, poses.skeleton)
    if pairs and poses.skeleton_name != FACE_68.name:  # where corners of inner and outer lips meet
        warnings.append(f"{pairs} are one point in many poses: look whether the mapping names one joint for two")
    if seen.get(OUTSIDE, 0) > MOSTLY_OUTSIDE:
        warnings.append(f"{seen[OUTSIDE]:.0%} of the poses have joints outside of their pictures: is size= right?")
    along = {what.removeprefix(ALONG): share for what, share in seen.items() if what.startswith(ALONG)}
    up = max(along, key=along.get, default="")
    if seen.get(UPRIGHT, 1) < 0.5 < along[up]:
        heads = f"heads point along {up} in {along[up]:.0%}"
        warnings.append(f"bodies lie or stand on their heads ({heads}): up={up} mends it")
    elif seen.get(KNEES, 1) < 0.5:
        knees = f"knees bend forward in {seen[KNEES]:.0%}"
        warnings.append(f"left and right look exchanged ({knees}): swap_sides=yes mends it")
    seen = {what: share for what, share in seen.items() if not what.startswith(ALONG)}
    return shares | seen, tuple(warnings)


def _body(poses: PoseSet, upright: float | None) -> tuple[dict[str, float], list[str]]:
    """Shares and warnings of bodies.

    ``upright`` is their share in space; what shows there is not told again of the pictures.
    """
    k_NJ2 = poses.keypoints_NJ2.astype(np.float64)
    at = {joint: k_NJ2[:, i] for joint, i in AT.items()}
    ankles_N2, extent_N2 = (at["left_ankle"] + at["right_ankle"]) / 2, np.ptp(k_NJ2, axis=1)
    head_up_N = at["head"][:, 1] < ankles_N2[:, 1]
    tall_N = extent_N2[:, 1] > extent_N2[:, 0]
    torso_N = np.linalg.norm(at["neck"] - at["pelvis"], axis=1) + TINY
    shoulders_N = (at["left_shoulder"] - at["right_shoulder"])[:, 0] / torso_N
    hips_N = (at["left_hip"] - at["right_hip"])[:, 0] / torso_N
    upright_N = (at["head"][:, 1] < at["pelvis"][:, 1]) & (at["pelvis"][:, 1] < ankles_N2[:, 1])
    facing_N = upright_N & (shoulders_N * hips_N > 0) & (abs(shoulders_N) > 0.2) & (abs(hips_N) > 0.1)
    lengths = []
    for chain in CHAINS[:4]:
        a, b = chain.split()
        left_N, right_N = (np.linalg.norm(at[f"{s}_{a}"] - at[f"{s}_{b}"], axis=1) + TINY for s in ("left", "right"))
        lengths.append(np.minimum(left_N, right_N) / np.maximum(left_N, right_N))
    shares = {
        "heads above ankles": float(head_up_N.mean()),
        "taller than wide": float(tall_N.mean()),
        "shorter of two mirrored limbs, of the longer": float(np.median(lengths)),
    }
    if facing_N.any():
        shares["left on the picture's right"] = float((shoulders_N[facing_N] > 0).mean())
    if len(poses) < FEWEST:
        return shares, []
    groups = len(np.unique(poses.group_N[facing_N]))
    own, people = moments(k_NJ2), people_moments()
    distance = moments_distance(own, people)
    if upright is not None:
        return shares, _exchanged(own, shares, 0, distance, people) if upright > 0.5 else []
    warnings = _turned(k_NJ2, shares, distance, people) or _exchanged(own, shares, groups, distance, people)
    return shares, warnings


def _turned(k_NJ2: np.ndarray, shares: dict[str, float], distance: float, people: Moments) -> list[str]:
    """The warning of bodies that lie or stand on their heads, where another axis would put them upright."""
    turns = {}
    if shares["heads above ankles"] < 0.5:
        turns["upside down"] = (k_NJ2 * [1, -1], "y=up for a table, another up= for motion")
    if shares["taller than wide"] < 0.5:
        hint = "another up= for motion; x and y are exchanged in other files"
        turns["lying, heads to the left"] = (np.stack([-k_NJ2[..., 1], k_NJ2[..., 0]], 2), hint)
        turns["lying, heads to the right"] = (np.stack([k_NJ2[..., 1], -k_NJ2[..., 0]], 2), hint)
    found = {what: moments_distance(moments(crop(turned)[0]), people) for what, (turned, _) in turns.items()}
    what = min(found, key=found.get, default=None)
    if what is None or found[what] > TURNED * distance:
        return []
    upright, tall = shares["heads above ankles"], shares["taller than wide"]
    seen = f"heads above ankles in {upright:.0%}, bodies taller than wide in {tall:.0%}"
    return [f"bodies look {what} ({seen}): {turns[what][1]}"]


def _exchanged(own: Moments, shares: dict[str, float], groups: int, distance: float, people: Moments) -> list[str]:
    """The warning of sides or joints whose exchange brings the set nearer to people."""
    left = shares.get("left on the picture's right", 1.0)
    behind = left < MOSTLY_BEHIND and (0.5 - left) * 2 * np.sqrt(groups) > SURE
    found = {what: moments_distance(_permuted(own, order), people) for what, order in _exchanges()}
    what = min(found, key=found.get)
    if found[what] > NEARER * distance or (what == "left and right" and not behind):
        return []
    if what == "left and right":
        seen = f"the left shoulder and hip lie on the picture's right in {left:.0%} of upright poses, in COCO in 95%"
        return [f"left and right look exchanged ({seen}): swap_sides=yes mends it, if it is not people from behind"]
    distances = f"FD to people of COCO {distance:.3f}, without that {found[what]:.3f}"
    return [f"{what} look exchanged ({distances}): see the mapping"]


def _exchanges() -> Iterator[tuple[str, list[int]]]:
    """What may be exchanged, and the order of joints that undoes it."""
    yield "left and right", list(BODY_15.flip)
    for parts in (LIMBS[:3], LIMBS[3:], LIMBS[1:3], LIMBS[4:], *((limb,) for limb in LIMBS)):
        pairs = [(f"left_{part}", f"right_{part}") for part in parts]
        yield f"left and right {' and '.join(parts)}", _order(pairs)
    for a, b in [("head", "neck"), ("neck", "pelvis")]:
        yield f"{a} and {b}", _order([(a, b)])
    for side in ("left", "right"):
        for chain in CHAINS:
            a, b = (f"{side}_{part}" for part in chain.split())
            yield f"{a} and {b}", _order([(a, b)])


def _order(pairs: list[tuple[str, str]]) -> list[int]:
    order = list(range(BODY_15.n_joints))
    for a, b in pairs:
        order[AT[a]], order[AT[b]] = AT[b], AT[a]
    return order


def _permuted(found: Moments, order: list[int]) -> Moments:
    mean_D, cov_DD = found
    axes = np.array([[2 * i, 2 * i + 1] for i in order]).ravel()
    return mean_D[axes], cov_DD[np.ix_(axes, axes)]


def _face(k_NJ2: np.ndarray) -> tuple[dict[str, float], list[str]]:
    """The first eye of iBUG's order is the one on the picture's left, the chin below the brows."""
    eyes_N = k_NJ2[:, 36:42, 0].mean(1) < k_NJ2[:, 42:48, 0].mean(1)
    upright_N = k_NJ2[:, 17:27, 1].mean(1) < k_NJ2[:, 8, 1]
    shares = {"first eye on the picture's left": float(eyes_N.mean()), "brows above the chin": float(upright_N.mean())}
    warnings = []
    if len(k_NJ2) >= FEWEST and upright_N.mean() < 0.5:
        warnings.append(f"faces look upside down (brows above the chin in {upright_N.mean():.0%}): y=up mends it")
    elif len(k_NJ2) >= FEWEST and eyes_N.mean() < 0.5:
        seen = f"first eye on the picture's left in {eyes_N.mean():.0%}"
        warnings.append(f"left and right look exchanged ({seen}): swap_sides=yes mends it")
    return shares, warnings


def _one_point(k_NJ2: np.ndarray, skeleton: Skeleton) -> tuple[float, str]:
    """Share of poses with two joints in one point, and the pair that is so most often, if it is so often."""
    most, names = 0.0, ""
    any_N = np.zeros(len(k_NJ2), bool)
    for i in range(skeleton.n_joints - 1):
        same_NK = (np.abs(k_NJ2[:, i + 1 :] - k_NJ2[:, i : i + 1]) < TINY).all(2)
        any_N |= same_NK.any(1)
        share_K = same_NK.mean(0)
        if share_K.max() > max(most, ONE_POINT):
            most, names = share_K.max(), f"{skeleton.joints[i]} and {skeleton.joints[i + 1 + share_K.argmax()]}"
    return float(any_N.mean()), names


@cache
def people_moments() -> Moments:
    """Mean and covariance of the poses that ``builtin:coco`` was trained on, with their mirror images."""
    (path,) = (p for p in files("flexpose_ray").joinpath("weights/coco").iterdir() if p.name.startswith("model-"))
    with safe_open(str(path), "np") as found:
        return tuple(found.get_tensor(f"source.{name}").astype(np.float64) for name in ("mean", "covariance"))
