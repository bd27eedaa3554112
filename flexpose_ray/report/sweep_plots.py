"""Figures of a sweep: parallel coordinates, curves over layers and shots, a heat map of layer sets, a timeline."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flexpose_ray.report.plots import ADAPTED, INK, MUTED, SOURCE, STYLE, TARGET, to_svg

STATUS_COLORS = {"done": TARGET, "stopped": SOURCE, "failed": ADAPTED}
LINES = 400  # trials in the parallel coordinates: the best, and every n-th of the others
LINE_PT = 8.5  # from one label to the next


def parallel_svg(name: str, axes_A: list[dict], rows_RA: np.ndarray, best: int = 10) -> str:
    """Draw every trial as a line across vertical axes, one for each dimension.

    Args:
        name: unique on the page.
        axes_A: ``label`` and ``ticks`` (height in [0, 1] -> text) of every axis.
        rows_RA: heights in [0, 1], the best trial first.
        best: how many of the first are drawn in colour.
    """
    rest = rows_RA[best:]
    rest = rest[:: max(1, -(-len(rest) // LINES))]
    x_A = np.arange(len(axes_A))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.2))
        axes = figure.add_axes((0.06, 0.13, 0.88, 0.82))
        for heights in rest:
            axes.plot(x_A, heights, color=MUTED, linewidth=0.5, alpha=0.35)
        for heights in rows_RA[:best][::-1]:
            axes.plot(x_A, heights, color=ADAPTED, linewidth=1.4, alpha=0.8)
        for x, axis in zip(x_A, axes_A, strict=True):
            axes.plot([x, x], [0, 1], color=MUTED, linewidth=0.7)
            for height, text in axis["ticks"]:
                axes.text(x + 0.02, height, text, fontsize=7.5, va="center", color=INK)
        axes.set(xlim=(-0.1, len(axes_A) - 0.6), ylim=(-0.04, 1.04), yticks=[])
        axes.set_xticks(x_A, [axis["label"] for axis in axes_A])
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return to_svg(figure, name)


def spread_svg(name: str, lines: dict[str, list[tuple]], x_label: str, y_label: str, ticks: list[str] | None = None):
    """Draw means with their spread over seeds.

    Args:
        name: unique on the page.
        lines: a list of (x, mean, sd) by the line's label; sd may be None.
        x_label, y_label: of the axes.
        ticks: names of x = 0, 1, ...; None where x is a number.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 2.9))
        axes = figure.add_axes((0.14, 0.19, 0.83, 0.76))
        shades, ends = (ADAPTED, TARGET, SOURCE, INK, MUTED), []
        for k, (label, points) in enumerate(lines.items()):
            x, y = np.array([p[0] for p in points], float), np.array([p[1] for p in points])
            sd = np.array([p[2] or 0 for p in points])
            color, style = shades[k % len(shades)], ("-", "--", ":")[k // len(shades) % 3]
            axes.errorbar(x, y, sd, color=color, linestyle=style, linewidth=1.3, marker=".", capsize=2, elinewidth=0.8)
            ends.append((x[-1], y[-1], label, color))
        if ticks is not None:
            axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlabel(x_label, labelpad=2)
        axes.set_ylabel(y_label, labelpad=2)
        axes.margins(x=0.12, y=0.08)
        axes.tick_params(length=2.5, width=0.6)
        _label_ends(axes, ends)
        return to_svg(figure, name)


def heat_svg(name: str, values_YX: np.ndarray, y_names: list[str], x_names: list[str], x_label: str) -> str:
    """Draw a table of means, low ones in stronger colour; NaN stays empty."""
    height = 0.6 + 0.28 * len(y_names)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, height))
        axes = figure.add_axes((0.2, 0.4 / height, 0.78, 1 - 0.45 / height))
        low, high = np.nanmin(values_YX), np.nanmax(values_YX)
        for y, row in enumerate(values_YX):
            for x, value in enumerate(row):
                if np.isfinite(value):
                    share = 0.0 if high == low else (high - value) / (high - low)
                    axes.barh(y, 0.98, left=x - 0.49, height=0.94, color=TARGET, alpha=0.08 + 0.62 * share, linewidth=0)
                    weight = "bold" if value == low else "normal"
                    axes.text(x, y, f"{value:.3f}", ha="center", va="center", fontsize=8, weight=weight)
        axes.set_xticks(range(len(x_names)), x_names)
        axes.set_yticks(range(len(y_names)), y_names)
        axes.set(xlim=(-0.5, len(x_names) - 0.5), ylim=(len(y_names) - 0.5, -0.5))
        axes.set_xlabel(x_label, labelpad=2)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return to_svg(figure, name)


def timeline_svg(name: str, rows: list[dict]) -> str:
    """Draw when trials ran and how they ended, one line for each worker.

    Args:
        rows: ``started`` and ``ended`` (seconds), ``worker``, ``status``.
    """
    begun = min(row["started"] for row in rows)
    workers = {worker: y for y, worker in enumerate(dict.fromkeys(row["worker"] for row in rows))}
    with matplotlib.rc_context(STYLE):
        height = 0.55 + 0.16 * min(len(workers), 40)
        figure = Figure(figsize=(9.2, height))
        axes = figure.add_axes((0.03, 0.38 / height, 0.95, 1 - 0.42 / height))
        for row in rows:
            start, color = row["started"] - begun, STATUS_COLORS[row["status"]]
            span = max(row["ended"] - row["started"], 0.0)
            axes.barh(workers[row["worker"]], span, left=start, height=0.72, color=color, linewidth=0.4, edgecolor=INK)
        axes.set(yticks=[], ylim=(len(workers) - 0.4, -0.6))
        axes.set_xlabel("seconds since the first trial began", labelpad=2)
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=2.5, width=0.6)
        return to_svg(figure, name)


def _label_ends(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write a line's label at its end, without overlaps; ``ends``: x, y, label, colour."""
    axes.autoscale_view()  # now, for places on the page
    lowest, per_point = -math.inf, 72 / axes.figure.dpi
    for x, y, label, color in sorted(ends, key=lambda end: end[1]):
        at = axes.transData.transform((x, y))[1] * per_point
        lowest = max(at, lowest + LINE_PT)
        axes.annotate(
            label, (x, y), (4, lowest - at), textcoords="offset points", fontsize=7.5, va="center", color=color
        )
