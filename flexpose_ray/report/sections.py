"""The sections of a run's page: each takes the run and returns HTML, nothing where the run has no such data."""

from __future__ import annotations

import shlex
from html import escape

import numpy as np

from flexpose_ray.evaluation.compare import COLUMNS, YOURS, table_rows
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.html import duration, section
from flexpose_ray.report.plots import curve_svg, skeletons_svg, tsne_svgs

TRIPLES = 12  # poses shown before and after adaptation
TSNE_LEAST = 10  # poses of every set; a map of fewer shows nothing
MEANINGS = {
    "fd": "Fréchet distance of the two pose distributions: difference of mean and of covariance. Lower is better.",
    "mmd2": "Squared maximum mean discrepancy, unbiased: about 0 for equal distributions. It does not detect copies.",
    "density": "How much the poses lie where target poses are dense. The floor's value is the aim.",
    "coverage": "Share of target poses that have a generated pose nearer than their fifth neighbour. Higher is better.",
    "shot_distance": "Mean joint distance to the nearest annotated shot, as a share of the canvas side.",
    "copies": "Share of poses nearer than 0.02 to a shot.",
}


def metrics(run: ReportData) -> str:
    """The score table, with bars for FD, and what its columns mean."""
    result = run.evaluation
    if not result:
        return ""
    rows, keys = table_rows(result), [key for key in COLUMNS if key in result]
    fds = [row["fd"] for _, row in rows]
    body = ""
    for i, (label, row) in enumerate(rows):
        kind = "floor" if i == 0 else "yours" if label == YOURS else ""
        tag = '<span class="tag">best FD</span>' if i and row["fd"] == min(fds[1:]) else ""
        bar = f'<i style="--share:{row["fd"] / max(max(fds), 1e-9):.3f}"></i>'
        cells = f"<td>{escape(label)}{tag}</td>"
        for key in keys:
            value = COLUMNS[key][1].format(row[key])
            cells += f'<td class="fd"><span>{value}</span>{bar}</td>' if key == "fd" else f"<td>{value}</td>"
        body += f'<tr class="{kind}">{cells}</tr>\n'
    head = "".join(f'<th class="{key}">{_heading(key)}</th>' for key in keys)
    meanings = "".join(f"<dt>{_heading(key)}</dt><dd>{escape(MEANINGS[key])}</dd>" for key in keys)
    return section(
        "How close to the target",
        f"{result['count']:,} poses on both sides of every comparison. The floor compares one half of the target with "
        "the other half, split by video or picture if there are several: real poses differ from real poses that much.",
        f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
        f"<dl>{meanings}</dl>",
    )


def triples(run: ReportData) -> str:
    """Poses before and after adaptation, with the nearest shot (paper figure 2)."""
    if run.source_NJ2 is None or run.adapted_NJ2 is None:
        return ""
    skeleton, cards, shots_NJ2 = get_skeleton(run.skeleton_name), "", run.shots_NJ2
    for i, pair in enumerate(zip(run.source_NJ2[:TRIPLES], run.adapted_NJ2[:TRIPLES], strict=False)):
        poses, names = list(pair), ["source", "adapted"]
        if shots_NJ2 is not None:
            nearest = np.linalg.norm(shots_NJ2 - pair[1], axis=-1).mean(-1).argmin()
            poses, names = [*poses, shots_NJ2[nearest]], [*names, "nearest shot"]
        caption = "".join(f"<span>{name}</span>" for name in names)
        svg = skeletons_svg(f"pose{i}", np.stack(poses), skeleton)
        cards += f"<figure>{svg}<figcaption>{caption}</figcaption></figure>\n"
    return section(
        "The same noise before and after adaptation",
        "Left and middle are drawn from one latent by the source generator and by the adapted one. These are the first "
        "samples, not chosen ones."
        + (" Right: the shot nearest to the adapted pose." if shots_NJ2 is not None else ""),
        f'<div class="triples">\n{cards}</div>',
    )


def map_of_poses(run: ReportData) -> str:
    """The t-SNE maps (paper figure 3)."""
    sets = (run.source_NJ2, run.adapted_NJ2, run.target_NJ2)
    if any(poses is None or len(poses) < TSNE_LEAST for poses in sets):
        return ""
    before, after = tsne_svgs(*sets, run.shots_NJ2)
    shots = '<span class="cross">✕</span>shots' if run.shots_NJ2 is not None else ""

    def panel(svg: str, word: str, color: str) -> str:
        legend = f"{_dot('target')}target{_dot(color)}{word}{shots}"
        return f"<figure>{svg}<figcaption>{legend}</figcaption></figure>"

    return section(
        "Where the poses lie",
        "A t-SNE map of all sets together: neighbours are alike, distances between islands mean little. Adaptation "
        "should carry the generated poses onto the target's islands.",
        f'<div class="pair">{panel(before, "source", "source")}{panel(after, "adapted", "adapted")}</div>',
    )


def curves(run: ReportData) -> str:
    """Every figure that training reported, by stage."""
    stages = {}
    for row in run.losses:
        stages.setdefault(str(row.get("stage", "")), []).append(row)
    blocks = ""
    for s, (stage, rows) in enumerate(stages.items()):
        x_key = "kimg" if "kimg" in rows[0] else "step"
        keys = dict.fromkeys(key for row in rows for key, value in row.items() if _is_number(value))
        figures = ""
        for k, key in enumerate(sorted(keys, key=lambda key: key != "fd")):  # FD first, the others as they come
            points = [(row.get(x_key, i), row[key]) for i, row in enumerate(rows) if _is_number(row.get(key))]
            if key in ("kimg", "step") or len(points) < 2:
                continue
            x_N, y_N = np.array(points, float).T
            caption = f"<figcaption><b>{escape(key)}</b><span>last {y_N[-1]:.4g}</span></figcaption>"
            figures += f"<figure>{caption}{curve_svg(f'curve{s}-{k}', x_N, y_N, x_key)}</figure>\n"
        if figures:
            blocks += (f"<h3>{escape(stage)}</h3>\n" if stage else "") + f'<div class="curves">\n{figures}</div>\n'
    return section("Training", "", blocks) if blocks else ""


def usage(run: ReportData) -> str:
    """Lines of code that read, check and convert the data set."""
    if not run.data_uri:
        return ""
    joints = get_skeleton(run.skeleton_name).n_joints
    code = (
        "import flexpose_ray\n\n"
        f"poses = flexpose_ray.open_dataset({run.data_uri!r})\n"
        f"table = poses.to_arrow()                 # or iter_arrow(), to_ray()\n"
        f"for batch in poses.to_torch(batch=512):  # shuffled, shared out over ranks and loader workers\n"
        f'    keypoints = batch["keypoints"]       # (512, {joints}, 2): x right, y down, canvas = [0, 1]\n'
        f"    images = poses.alpha.draw(keypoints) # skeletons, on the device of the keypoints\n"
    )
    uri = shlex.quote(run.data_uri)
    shell = (
        f"flexpose show {uri}\n"
        f"flexpose verify {uri} --regenerate 3                           # render three shards again, compare bytes\n"
        f"flexpose generate --out {uri} --count {2 * (run.count or 10_000)}            # let it grow\n"
        f"flexpose export {uri} --format coco --out coco                 # for mmpose, detectron2 and others\n"
        f"flexpose export {uri} --format webdataset --images --out tars  # keypoints with skeleton images\n"
    )
    return section(
        "Use the data",
        "Shards are plain Parquet; the newest manifest lists those that count. Read them in Python:",
        f"<pre>{escape(code)}</pre><p>or check and convert them:</p><pre>{escape(shell)}</pre>",
    )


def timings(run: ReportData) -> str:
    """Seconds by stage, as bars."""
    if not run.timings:
        return ""
    longest = max(*run.timings.values(), 1e-9)
    rows = ""
    for name, seconds in run.timings.items():
        bar = f'<i style="width:{100 * seconds / longest:.1f}%"></i>'
        rows += f"<span>{escape(name)}</span><b>{duration(seconds)}</b>{bar}\n"
    return section("Time", "", f'<div class="times">{rows}</div>')


def config(run: ReportData) -> str:
    """The recipe."""
    if not run.config_text:
        return ""
    return section("Configuration", "The recipe that repeats this run.", f"<pre>{escape(run.config_text)}</pre>")


def _heading(key: str) -> str:
    return escape(COLUMNS[key][0]).replace("^2", "²")


def _dot(color: str) -> str:
    return f'<span class="dot" style="background:var(--{color})"></span>'


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))
