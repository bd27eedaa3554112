"""Figures as SVG text that takes its colours and its font from the page around it, in light, dark and print."""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from flexpose_ray.pose.skeleton import Skeleton

# Stand-ins that no figure uses otherwise; the page's own colours take their place in the SVG.
PAGE_COLORS = {
    "#010203": "var(--ink)",
    "#010204": "var(--muted)",
    "#010205": "var(--source)",
    "#010206": "var(--target)",
    "#010207": "var(--adapted)",
    "#010208": "var(--paper)",
    "#010209": "var(--canvas)",
}
INK, MUTED, SOURCE, TARGET, ADAPTED, PAPER, CANVAS = PAGE_COLORS
TSNE_POSES = 500  # of every set
CURVE_POINTS = 400
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "flexpose",  # the same figure gives the same SVG
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "font.size": 9,
    "axes.linewidth": 0.6,
}


def skeletons_svg(name: str, poses_NJ2: np.ndarray, skeleton: Skeleton) -> str:
    """Draw poses side by side, each on its own dark canvas, in the limb colours of the skeleton images.

    Args:
        name: unique on the page; prefixes the ids in the SVG.
        poses_NJ2: crop units, y down.
        skeleton: limbs and their colours.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(len(poses_NJ2), 1))
        for i, pose_J2 in enumerate(poses_NJ2):
            axes = figure.add_axes((i / len(poses_NJ2), 0, 0.98 / len(poses_NJ2), 1), facecolor=CANVAS)
            width = 2.6 if skeleton.n_joints < 30 else 1.1
            limbs = LineCollection(pose_J2[skeleton.limbs_LK], colors=skeleton.colors_L3, linewidths=width)
            limbs.set_capstyle("round")
            axes.add_collection(limbs)
            axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        return to_svg(figure, name)


def tsne_svgs(
    source_NJ2: np.ndarray, adapted_NJ2: np.ndarray, target_NJ2: np.ndarray, shots_NJ2: np.ndarray | None = None
) -> tuple[str, str]:
    """Embed all sets in one plane and draw the target with the source, then with the adapted poses (paper figure 3).

    Args:
        source_NJ2, adapted_NJ2, target_NJ2: crop units; 500 of each at most are shown.
        shots_NJ2: drawn as crosses in both.

    Returns:
        SVG before and SVG after adaptation, on the same axes.
    """
    rng = np.random.default_rng(0)
    sets = [x[rng.permutation(len(x))[:TSNE_POSES]] for x in (source_NJ2, adapted_NJ2, target_NJ2)]
    sets.append(target_NJ2[:0] if shots_NJ2 is None else shots_NJ2)
    flat_ND = np.concatenate(sets).reshape(sum(map(len, sets)), -1)
    perplexity = min(30.0, (len(flat_ND) - 1) / 3)
    plane_N2 = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(flat_ND)
    source_N2, adapted_N2, target_N2, shots_N2 = np.split(plane_N2, np.cumsum([len(x) for x in sets])[:-1])
    low_2, high_2 = plane_N2.min(0), plane_N2.max(0)
    pad_2 = 0.04 * (high_2 - low_2)

    def panel(name: str, moved_N2: np.ndarray, color: str) -> str:
        figure = Figure(figsize=(4.6, 3.8))
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        axes.scatter(*target_N2.T, s=11, c=TARGET, alpha=0.55, linewidths=0)
        axes.scatter(*moved_N2.T, s=11, c=color, alpha=0.55, linewidths=0)
        axes.scatter(*shots_N2.T, s=34, c=PAPER, marker="X", linewidths=0.9, edgecolors=INK)
        axes.set(xticks=[], yticks=[], xlim=(low_2[0] - pad_2[0], high_2[0] + pad_2[0]))
        axes.set_ylim(low_2[1] - pad_2[1], high_2[1] + pad_2[1])
        axes.spines[:].set_visible(False)
        return to_svg(figure, name)

    with matplotlib.rc_context(STYLE):
        return panel("tsne-before", source_N2, SOURCE), panel("tsne-after", adapted_N2, ADAPTED)


def curve_svg(name: str, x_N: np.ndarray, y_N: np.ndarray, x_label: str) -> str:
    """Draw one figure over training time.

    Args:
        name: unique on the page; prefixes the ids in the SVG.
        x_N: thousands of images, or steps.
        y_N: the figure; of more than 400 points only every n-th is drawn.
        x_label: "kimg" or "step".
    """
    every = -(-len(x_N) // CURVE_POINTS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.0))
        axes: Axes = figure.add_axes((0.17, 0.19, 0.81, 0.77))
        axes.plot(x_N[::every], y_N[::every], color=ADAPTED, linewidth=1.5, marker="." if len(x_N) < 40 else "")
        axes.set_xlabel(x_label, labelpad=2)
        axes.margins(x=0.02, y=0.08)
        axes.locator_params(nbins=5)
        axes.tick_params(length=2.5, width=0.6)
        return to_svg(figure, name)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an inline SVG element: no size of its own, no prolog, no address, ids that begin with ``name``."""
    figure.patch.set_visible(False)
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    head, body = text.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)[0]
    for stand_in, color in PAGE_COLORS.items():
        body = body.replace(stand_in, color)
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r"\s*\n\s*", " ", body)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    body = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", body)  # the family is the page's
    return f'<svg {view_box} role="img" aria-hidden="true">{body}'
