"""The page of a run: what it made and how good that is, in one HTML file that can be mailed and archived."""

from __future__ import annotations

from html import escape

from flexpose_ray.evaluation.compare import LABELS
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.detector import detector
from flexpose_ray.report.html import duration, footer, page, tiles
from flexpose_ray.report.sections import config, curves, map_of_poses, metrics, timings, triples, usage

OUTCOMES = {
    "beats": "Better than every simple method",
    "par": "No better and no worse than the best simple method",
    "behind": "Not better than the simple methods",
    "unopposed": "Nothing to compare with",
}
SECTIONS = (metrics, detector, triples, map_of_poses, curves, usage, timings, config)


def render_report(run: ReportData) -> str:
    """The page as text."""
    lead = "FlexPose: Pose Distribution Adaptation with Limited Guidance."
    return page(run.title, [_top(run), *(part(run) for part in SECTIONS), footer(run.versions, lead)])


def _top(run: ReportData) -> str:
    result = run.evaluation
    shots = len(run.shots_NJ2) if run.shots_NJ2 is not None else (result or {}).get("shot_poses", 0)
    numbers = []
    if run.count is not None:
        numbers.append((f"{run.count:,}", "poses in the data set"))
    if shots:
        numbers.append((str(shots), "annotated poses (shots) of the target"))
    if result:
        numbers.append((f"{result['fd']:.4f}", f"FD to the target; the floor is {result['floor']['fd']:.4f}"))
        if result["best_baseline"]:
            best = result["best_baseline"]
            numbers.append((f"{result['baselines'][best]['fd']:.4f}", f"FD of the best simple method, {LABELS[best]}"))
        if "copies" in result:
            numbers.append((f"{result['copies']:.1%}", "of the poses are copies of a shot"))
    if run.timings:
        numbers.append((duration(sum(run.timings.values())), "from start to end"))
    return (
        f'<header>\n<p class="eyebrow">FlexPose report</p>\n<h1>{escape(run.title)}</h1>\n'
        + tiles(numbers)
        + (_verdict(result) if result else "")
        + f"<p>{escape(_story(run, shots))}</p>\n</header>"
    )


def _story(run: ReportData, shots: int) -> str:
    joints = get_skeleton(run.skeleton_name).n_joints
    few = f"the {shots} poses" if shots else "the few poses"
    story = f"A generator learned from source poses of {joints} joints what poses look like{_adaptation(run, few)}."
    if run.layers is not None:
        story += " The aim is a distribution like that of a target domain of which little is annotated."
    if run.evaluation:
        story += (
            f" The result and other methods are compared with {run.evaluation['target_poses']:,} held-out poses of "
            "that domain."
        )
    return story


def _adaptation(run: ReportData, few: str) -> str:
    """What was done to the generator, as the end of a sentence."""
    if run.layers is None:
        return ""
    done = []
    if run.layers == "w":
        done.append(f"one linear map before its style layers was trained on {few} that were annotated")
    elif run.layers != "none":
        numbers = ", ".join(map(str, run.layers))
        which = f"a linear map on style layer {numbers}" if len(run.layers) == 1 else f"maps on style layers {numbers}"
        done.append(f"{which} {'was' if len(run.layers) == 1 else 'were'} trained on {few} that were annotated")
    if run.blended:
        done.append(
            "its poses are blended with them" if done else f"its poses are blended with {few} that were annotated"
        )
    return f"; {', and '.join(done)}" if done else ""


def _verdict(result: dict) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in result["notes"])
    return (
        f'<div class="verdict {escape(result["outcome"])}"><b>{OUTCOMES[result["outcome"]]}</b>'
        f"<p>{escape(result['verdict'])}</p>{f'<ul>{notes}</ul>' if notes else ''}</div>\n"
    )
