"""The figure of a benchmark: one dot for each row, with its spread."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from flexpose_ray.report import plots

LONGEST = 48  # characters of a row's name that are shown


def dots_svg(
    name: str, rows: list[str], mean_N: np.ndarray, std_N: np.ndarray, ours_N: np.ndarray, floor: float
) -> str:
    """Draw one dot a row with a bar of one standard deviation to each side.

    Args:
        name: unique on the page; prefixes the ids in the SVG.
        rows: names, from the top; where one is very long, its end is left out.
        mean_N, std_N: of the figure, by row.
        ours_N: bool, rows to be drawn in the colour of adapted poses.
        floor: value of the line across all rows.
    """
    names = [row if len(row) <= LONGEST else f"{row[: LONGEST - 1]}…" for row in rows]
    left = 0.02 + 0.0103 * max(map(len, names))
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(7.2, 0.5 + 0.23 * len(rows)))
        axes = figure.add_axes((left, 0.35 / figure.get_figheight(), 0.98 - left, 1 - 0.4 / figure.get_figheight()))
        places_N = np.arange(len(rows))
        axes.axvline(floor, color=plots.TARGET, linewidth=1)
        for chosen_N, color in ((~ours_N, plots.SOURCE), (ours_N, plots.ADAPTED)):
            spread = dict(fmt="o", color=color, markersize=4.5, elinewidth=1.4)
            axes.errorbar(mean_N[chosen_N], places_N[chosen_N], xerr=std_N[chosen_N], **spread)
        axes.set_yticks(places_N, names)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.grid(axis="x", color=plots.MUTED, alpha=0.25, linewidth=0.5)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        return plots.to_svg(figure, name)
