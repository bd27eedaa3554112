"""One HTML file that tells what a run made and how good it is. It loads nothing, so it can be mailed and archived."""

from __future__ import annotations

from html import escape
from pathlib import Path

from flexpose_ray.evaluation.compare import LABELS
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.sections import config, curves, duration, map_of_poses, metrics, timings, triples, usage
from flexpose_ray.report.style import CSS
from flexpose_ray.storage.local import LocalStore

OUTCOMES = {
    "beats": "Better than every simple method",
    "par": "No better and no worse than the best simple method",
    "behind": "Not better than the simple methods",
    "unopposed": "Nothing to compare with",
}
SECTIONS = (metrics, triples, map_of_poses, curves, usage, timings, config)
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(out_html: str | Path, run: ReportData) -> Path:
    """Write the page of a run.

    Args:
        out_html: the file to write; an earlier one is replaced as a whole.
        run: what to show; absent parts are left out.

    Raises:
        StorageError: the file cannot be written.
    """
    path = Path(out_html)
    LocalStore(path.parent).put(path.name, render_report(run).encode())
    return path


def render_report(run: ReportData) -> str:
    """The page as text."""
    parts = [_top(run), *(section(run) for section in SECTIONS), _versions(run)]
    title = escape(run.title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">\n<style>{CSS}</style>\n</head>\n<body>\n'
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _top(run: ReportData) -> str:
    result = run.evaluation
    shots = len(run.shots_NJ2) if run.shots_NJ2 is not None else (result or {}).get("shot_poses", 0)
    numbers = []
    if run.count is not None:
        numbers.append((f"{run.count:,}", "poses in the data set"))
    if shots:
        numbers.append((str(shots), "annotated shots they grew from"))
    if result:
        numbers.append((f"{result['fd']:.4f}", f"FD to the target; the floor is {result['floor']['fd']:.4f}"))
        if result["best_baseline"]:
            best = result["best_baseline"]
            numbers.append((f"{result['baselines'][best]['fd']:.4f}", f"FD of the best simple method, {LABELS[best]}"))
        if "copies" in result:
            numbers.append((f"{result['copies']:.1%}", "of the poses are copies of a shot"))
    if run.timings:
        numbers.append((duration(sum(run.timings.values())), "from start to end"))
    tiles = "".join(f"<div><b>{escape(value)}</b><span>{escape(words)}</span></div>" for value, words in numbers)
    return (
        f'<header>\n<p class="eyebrow">FlexPose report</p>\n<h1>{escape(run.title)}</h1>\n'
        + (f'<div class="numbers">{tiles}</div>\n' if tiles else "")
        + (_verdict(result) if result else "")
        + f"<p>{escape(_story(run, shots))}</p>\n</header>"
    )


def _story(run: ReportData, shots: int) -> str:
    joints = get_skeleton(run.skeleton_name).n_joints
    few = f"the {shots} poses" if shots else "the few poses"
    story = (
        f"These poses of {joints} joints are generated, distributed like a target domain of which little is "
        f"annotated. A generator learned from a large public set what poses look like{_adaptation(run, few)}."
    )
    if run.evaluation:
        story += (
            f" The figures compare the result with {run.evaluation['target_poses']:,} held-out poses of that domain, "
            "and with what simple methods make of the same poses without any network."
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


def _versions(run: ReportData) -> str:
    versions = " · ".join(f"{escape(name)} {escape(number)}" for name, number in run.versions.items())
    return f"<footer><p>FlexPose: Pose Distribution Adaptation with Limited Guidance.</p><p>{versions}</p></footer>"
