"""A picture of a run: source, adapted and target skeletons in three rows, as an SVG file for any background.

python -m flexpose_ray.report.skeletons runs/quickstart-1a2b3c4d docs/skeletons.svg
"""

from __future__ import annotations

import argparse
import colorsys
from html import escape
from pathlib import Path

import numpy as np

from flexpose_ray.pose.skeleton import Skeleton, get_skeleton
from flexpose_ray.report.run import collect
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store

POSES = 9  # in every row
SIDE, GAP, LABEL = 100, 4, 92  # of a pose, between poses, and of the column of labels, in the SVG's units
CANVAS, INK = "#161b22", "#7d8590"  # a dark canvas and a grey that reads on white and on black


def rows_svg(rows: list[tuple[str, np.ndarray]], skeleton: Skeleton) -> str:
    """Draw one labelled row for every set of poses.

    Args:
        rows: label, of one line or more, and the row's poses (N, J, 2) in crop units.
        skeleton: limbs and their colours.

    Returns:
        A complete SVG file: the same poses give the same text.
    """
    step = SIDE + GAP
    width = LABEL + step * max(len(poses_NJ2) for _, poses_NJ2 in rows) - GAP
    colors = ["#" + "".join(f"{round(255 * c):02x}" for c in colorsys.hsv_to_rgb(h, 0.85, 1.0)) for h in skeleton.hues]
    body = ""
    for y, (label, poses_NJ2) in enumerate(rows):
        lines = label.split("\n")
        for k, line in enumerate(lines):
            height = step * y + SIDE / 2 + 16 * (k - (len(lines) - 1) / 2) + 4
            weight = "600" if k == 0 else "400"
            body += f'<text x="0" y="{height:g}" font-weight="{weight}">{escape(line)}</text>\n'
        for x, pose_J2 in enumerate(poses_NJ2):
            body += f'<g transform="translate({LABEL + step * x} {step * y})">'
            body += f'<rect width="{SIDE}" height="{SIDE}" rx="6" fill="{CANVAS}"/>'
            for color, ends_K2 in zip(colors, SIDE * pose_J2[skeleton.limbs_LK], strict=True):
                (x1, y1), (x2, y2) = ends_K2.tolist()
                body += f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{color}"/>'
            body += "</g>\n"
    style = f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}" stroke-width="4" stroke-linecap="round"'
    box = f'viewBox="0 0 {width} {step * len(rows) - GAP}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {style}>\n{body}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flexpose_ray.report.skeletons", description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run of `flexpose pipeline`")
    parser.add_argument("out", type=Path, help="SVG file to write")
    args = parser.parse_args()
    run = collect(open_store(args.run))
    shots = f"adapted\nto {len(run.shots_NJ2)} poses" if run.shots_NJ2 is not None else "adapted"
    sets = {"source": run.source_NJ2, shots: run.adapted_NJ2, "target": run.target_NJ2}
    rows = [(label, poses_NJ2[:POSES]) for label, poses_NJ2 in sets.items() if poses_NJ2 is not None]
    LocalStore(args.out.parent).put(args.out.name, rows_svg(rows, get_skeleton(run.skeleton_name)).encode())


if __name__ == "__main__":
    main()
