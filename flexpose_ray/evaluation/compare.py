"""Compare a generated data set with held-out target poses, beside the simple methods that it has to beat."""

from __future__ import annotations

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.judging.scores import FLOOR, FLOOR_TITLE, score_table
from flexpose_ray.methods.base import PoseTask
from flexpose_ray.methods.guidance import both_sides
from flexpose_ray.methods.registry import METHODS
from flexpose_ray.methods.simple import draw_poses
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.text_table import text_table

YOURS = "your data set"
PAR = 0.05  # FDs closer than this share of the better one count as equal
FEW = 1000  # poses on each side, below which an FD of 30 numbers is mostly sampling noise
SIMPLE = {"shots_alone": False, "pose_mixup": False, "mean_shift": True, "coral": True}  # name: needs source poses
LABELS = {FLOOR: FLOOR_TITLE, "source_as_is": "source as it is"} | {k: METHODS[k].title for k in SIMPLE}
COLUMNS = {  # key in a row: heading, format
    "fd": ("FD", "{:.4f}"),
    "mmd2": ("MMD^2", "{:.4f}"),
    "density": ("density", "{:.2f}"),
    "coverage": ("coverage", "{:.2f}"),
    "shot_distance": ("to shots", "{:.3f}"),
    "copies": ("copies", "{:.1%}"),
}


def evaluate(
    samples: PoseSet | np.ndarray,
    target: PoseSet,
    source: PoseSet | None = None,
    shots: PoseSet | None = None,
    count: int = 5000,
    seed: int = 0,
    extra: dict[str, np.ndarray] | None = None,
) -> dict:
    """Score a data set, the simple methods and any others in one table.

    Args:
        samples: the data set to judge; an array is (N, J, 2) in crop units.
        target: held-out poses of the target domain, not the shots.
        source: the set that the generator was trained on; without it mean shift and CORAL are left out.
        shots: the annotated poses that the generator was adapted to; without them only the source as it is remains.
        count: poses on each side at most.
        seed: splits the target and draws every set.
        extra: poses of further methods by name.

    Returns:
        JSON-ready: the data set's own ``fd``, ``mmd2``, ``density``, ``coverage``, ``count`` (poses on each side)
        and, with shots, ``shot_distance`` and ``copies``; the same scores under ``floor``, ``baselines`` and
        ``methods``; ``best_baseline``; ``outcome``: "beats", "par", "behind" or "unopposed"; ``verdict`` and
        ``notes``, as text;
        ``target_poses``, ``shot_poses``, ``seed``.

    Raises:
        DataError: sets that are too small, or of different skeletons.
        ConfigError: a further method has the name of another row.
    """
    for name, poses in (("samples", samples), ("source", source), ("shots", shots)):
        if isinstance(poses, PoseSet) and poses.skeleton_name != target.skeleton_name:
            problem = f"poses are {poses.skeleton.name}, the target is {target.skeleton.name}"
            raise DataError(name, problem, "compare sets of one skeleton")
    shots_NJ2 = None if shots is None else shots.keypoints_NJ2
    baselines = simple_methods(source, shots, count, seed)
    taken = sorted({YOURS, FLOOR, *baselines} & set(extra or {}))
    if taken:
        raise ConfigError("extra", f"the name {taken[0]!r} is taken", "give the method another name")
    samples_NJ2 = samples.keypoints_NJ2 if isinstance(samples, PoseSet) else np.asarray(samples)
    methods = extra or {}
    table = score_table(baselines | methods | {YOURS: samples_NJ2}, target, shots_NJ2, count, seed)
    scores = {row.pop("name"): row for row in table}
    result = {
        **scores[YOURS],
        "floor": scores[FLOOR],
        "baselines": {name: scores[name] for name in baselines},
        "methods": {name: scores[name] for name in methods},
        "best_baseline": min(baselines, key=lambda name: scores[name]["fd"], default=None),
        "target_poses": len(target),
        "shot_poses": 0 if shots is None else len(shots),
        "seed": seed,
    }
    result["outcome"], result["verdict"] = _verdict(result)
    result["notes"] = _notes(result, target, source, shots)
    return result


def simple_methods(source: PoseSet | None, shots: PoseSet | None, count: int, seed: int) -> dict[str, np.ndarray]:
    """Poses of the simple methods that source and shots allow, by name in table order.

    Where :func:`both_sides` holds, mirror images of shots count as shots, as they do in a benchmark.

    Returns:
        float32 arrays (count, J, 2) in crop units.

    Raises:
        DataError: fewer than two shots, or fewer than two source poses where there are shots.
    """
    source_NJ2 = None if source is None else source.keypoints_NJ2
    poses = {} if source is None else {"source_as_is": draw_poses(source_NJ2, count, seed)}
    if shots is None:
        return poses
    task = PoseTask(source_NJ2, shots.keypoints_NJ2, shots.skeleton)
    for name, needs_source in SIMPLE.items():
        if source is not None or not needs_source:
            method = METHODS[name]
            poses[name] = method.learn(task, method.settings, lambda row: None, "cpu").sample(count, seed)
    return poses


def table_rows(result: dict) -> list[tuple[str, dict]]:
    """(label, scores) of every row of :func:`evaluate`'s result in table order, the data set itself last."""
    named = {FLOOR: result["floor"]} | result["baselines"] | result["methods"]
    rows = [(LABELS.get(name, name), row) for name, row in named.items()]
    return [*rows, (YOURS, {key: result[key] for key in result["floor"]})]


def format_table(result: dict) -> str:
    """The result of :func:`evaluate` as aligned text: ``>`` marks the data set, ``*`` the best FD."""
    rows, keys = table_rows(result), [key for key in COLUMNS if key in result]
    best = min(row["fd"] for _, row in rows[1:])
    lines = [["", *(COLUMNS[key][0] for key in keys)]]
    for label, row in rows:
        marks = (">" if label == YOURS else " ") + ("*" if row["fd"] == best else " ")
        lines.append([f"{marks} {label}", *(COLUMNS[key][1].format(row[key]) for key in keys)])
    legend = f"\n{result['count']:,} poses on each side. > {YOURS}, * best FD."
    return "\n".join([text_table(lines), legend, result["verdict"], *(f"Note: {note}" for note in result["notes"])])


def _verdict(result: dict) -> tuple[str, str]:
    """Whether the data set beats the best simple method, as a word and as a sentence with the difference."""
    name, floor = result["best_baseline"], f"the floor is {result['floor']['fd']:.4f}."
    if name is None:
        return "unopposed", f"FD {result['fd']:.4f} without source or shots, so there is nothing to beat; {floor}"
    mine, other = result["fd"], result["baselines"][name]["fd"]
    rival = f"the best simple method ({LABELS[name]}, FD {other:.4f})"
    gap = abs(mine - other) / max(mine, other)
    if gap < PAR:
        return "par", f"FD {mine:.4f} is on a par with {rival}; {floor}"
    if mine < other:
        return "beats", f"FD {mine:.4f} beats {rival} by {gap:.0%}; {floor}"
    return "behind", f"FD {mine:.4f} does not beat {rival}, which is {gap:.0%} lower; {floor}"


def _notes(result: dict, target: PoseSet, source: PoseSet | None, shots: PoseSet | None) -> list[str]:
    """What to know before trusting the scores."""
    notes = []
    if result["count"] < FEW:
        notes.append(f"only {result['count']} poses on each side: differences near the floor's FD are noise.")
    if source is None:
        notes.append("no source set given: source as is, mean shift and CORAL are left out.")
    if shots is None:
        notes.append("no shots given: shots alone, pose-mixup, mean shift and CORAL are left out; no copies counted.")
        return notes
    if both_sides(shots.keypoints_NJ2, shots.skeleton):
        notes.append("the simple methods also take mirror images of the shots, in which left and right look alike.")
    known = {pose_J2.tobytes() for pose_J2 in target.keypoints_NJ2}
    shared = sum(pose_J2.tobytes() in known for pose_J2 in shots.keypoints_NJ2)
    if shared:
        notes.append(f"{shared} of {len(shots)} shots are among the target poses: hold them out, or FD looks too good.")
    if result["copies"] > max(0.1, 2 * result["floor"]["copies"]):
        notes.append(f"{result['copies']:.0%} of the data set are copies of a shot; FD and MMD^2 do not see that.")
    return notes
