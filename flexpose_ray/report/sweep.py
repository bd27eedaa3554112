"""The page of a sweep: which points are best, how sure that is, and what every dimension does."""

from __future__ import annotations

from html import escape
from typing import get_args

import numpy as np
import yaml

from flexpose_ray.config.sweep import Objective, Range, SweepConfig, point_text, value_text
from flexpose_ray.engine.sweep.results import read_rows, saved_recipe
from flexpose_ray.engine.sweep.summary import GIVEN, SEEDS, cost, summarise
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.html import duration, footer, page, section, tiles
from flexpose_ray.report.sections import config
from flexpose_ray.report.sweep_plots import STATUS_COLORS, heat_svg, parallel_svg, spread_svg, timeline_svg
from flexpose_ray.storage.base import Store

PAGE = "report.html"
SHOWN = 20  # points in the table
NAMES = {name: name for name in get_args(Objective)} | {"fd": "FD", "mmd2": "MMD²", "loss": "training loss"}
LAYERS, SHOTS = "adapt.layers", "target.shots_per_label"
DOTS = {"done": "target", "stopped": "source", "failed": "adapted"}


def write_sweep_report(store: Store, write: bool = True) -> str:
    """Write ``report.html`` from the rows of the sweep in ``store``; returns its URI.

    Raises:
        ConfigError: no sweep there.
        StorageError: a row is damaged, or the page cannot be written.
    """
    recipe, rows = saved_recipe(store), read_rows(store)
    found = summarise(store, recipe.sweep, rows)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    content = render_sweep(recipe.name, recipe.sweep, found, rows, text).encode()
    if write:
        store.put(PAGE, content)
    return f"{store.uri}/{PAGE}"


def render_sweep(name: str, sweep: SweepConfig, found: dict, rows: list[dict], config_text: str) -> str:
    """The page as text.

    Args:
        found: result of :func:`summarise` for ``rows``.
        config_text: the recipe, as YAML.
    """
    run = ReportData(title=name, config_text=config_text)
    parts = [
        _top(name, found, rows),
        _points(found),
        _layers(sweep, found),
        _shots(sweep, found),
        _parallel(sweep, rows),
        _timeline(rows),
        _failures(found),
        config(run),
    ]
    return page(name, [*parts, footer(run.versions)])


def _top(name: str, found: dict, rows: list[dict]) -> str:
    best, objective = found["best"], found["objectives"][0]
    numbers = [(f"{found['trials'][status]:,}", f"trials {status}") for status in found["trials"]]
    numbers = [pair for pair in numbers if pair[0] != "0"]
    if best:
        numbers.append((f"{best['mean'][objective]:.4f}", f"{NAMES[objective]} of the best point"))
    if rows:
        span = max(row["ended"] for row in rows) - min(row["started"] for row in rows)
        numbers += [(duration(found["trial_seconds"]), "of trials"), (duration(span), "from the first to the last")]
    text = "".join(f"<p>{escape(_answer(race, objective))}</p>" for race in found["winners"])
    text = text or "<p>No trial has run to its end.</p>"
    return (
        f'<header>\n<p class="eyebrow">FlexPose sweep</p>\n<h1>{escape(name)}</h1>\n{tiles(numbers)}{text}\n</header>'
    )


def _answer(race: dict, objective: str) -> str:
    """The best point of a race, and how far it is ahead, in words."""
    best, second = race["best"], race["second"]
    text = f"With {point_text(race['given'])}: " if race["given"] else ""
    text += f"best by {NAMES[objective]} is {_chosen(best['point'])}, {best['mean'][objective]:.4f}."
    if not second or not second["seeds"]:
        return text
    text += f" Ahead of the next, {_chosen(second['point'])}, by {second['ahead']:.4f}"
    if second["error"] is None:
        return f"{text} with one seed, which says little."
    sure = "more than" if second["ahead"] > 2 * second["error"] else "no more than"
    text += f" on average and in {second['wins']} of {second['seeds']} seeds"
    return f"{text}; with a standard error of {second['error']:.4f}, that is {sure} chance explains."


def _chosen(point: dict) -> str:
    return point_text({key: value for key, value in point.items() if key not in GIVEN})


def _points(found: dict) -> str:
    if not found["groups"]:
        return ""
    names, front = found["objectives"], [group["trials"] for group in found["front"]]
    head = "".join(f"<th>{NAMES[name]}</th>" for name in names)
    body = ""
    for i, group in enumerate(found["groups"][:SHOWN]):
        tag = '<span class="tag">Pareto</span>' if group["trials"] in front else ""
        cells = f"<td>{escape(point_text(group['point']))}{tag}</td>"
        for name in names:
            sd = f" ± {group['sd'][name]:.4f}" if group["sd"][name] is not None else ""
            cells += f"<td>{group['mean'][name]:.4f}{sd}</td>"
        body += f'<tr class="{"" if i else "yours"}">{cells}<td>{len(group["trials"])}</td></tr>\n'
    lead = "Mean and standard deviation over seeds; the first objective ranks."
    if front:
        lead += " Pareto: no other point is better in one objective and as good in all."
    table = f"<thead><tr><th></th>{head}<th>trials</th></tr></thead><tbody>\n{body}</tbody>"
    return section("The best points", lead, f'<div class="scroll"><table>{table}</table></div>')


def _layers(sweep: SweepConfig, found: dict) -> str:
    """FD over the adapted layer (paper figure 4), and the layer sets against the shots."""
    sets = sweep.space.get(LAYERS)
    if not isinstance(sets, tuple) or not found["groups"]:
        return ""
    objective = found["objectives"][0]
    single = [value for value in sets if isinstance(value, list | tuple) and len(value) == 1]
    figures = ""
    if len(single) > 1:
        lines = _lines(found, LAYERS, SHOTS, single, objective)
        points = {label: [(single[int(x)][0], *rest) for x, *rest in line] for label, line in lines.items()}
        svg = spread_svg("layers", points, "style layer l, coarse to fine", NAMES[objective])
        figures += f"<figure>{svg}<figcaption>One layer alone</figcaption></figure>"
    columns = _column_values(sweep)
    values_YX = np.full((len(sets), len(columns)), np.nan)
    for y, value in enumerate(sets):
        for x, other in enumerate(columns):
            same = [g for g in found["groups"] if _is(g, LAYERS, value) and (other is None or _is(g, SHOTS, other))]
            if same:
                values_YX[y, x] = np.mean([group["mean"][objective] for group in same])
    if np.isfinite(values_YX).any():
        names = ["all" if other is None else f"{other}" for other in columns]
        label = "shots a label" if len(columns) > 1 else ""
        svg = heat_svg("sets", values_YX, [value_text(value) for value in sets], names, label)
        figures += f"<figure>{svg}<figcaption>{NAMES[objective]} by layer set</figcaption></figure>"
    lead = "What is adapted: one linear map on the style code of each layer of the set; w: one map before all of them."
    return section("Layers", lead, f'<div class="pair">{figures}</div>')


def _shots(sweep: SweepConfig, found: dict) -> str:
    counts = sweep.space.get(SHOTS)
    if not isinstance(counts, tuple) or len(counts) < 2 or not found["groups"]:
        return ""
    objective = found["objectives"][0]
    lines = _lines(found, SHOTS, LAYERS, list(counts), objective)
    order = sorted(lines, key=lambda label: min(cost(objective, mean) for _, mean, _ in lines[label]))
    svg = spread_svg(
        "shots",
        {label: lines[label] for label in order[:5]},
        "annotated shots a label",
        NAMES[objective],
        [str(count) for count in counts],
    )
    caption = "<figcaption>The five best layer sets</figcaption>" if LAYERS in sweep.space else ""
    figure = f'<figure style="max-width:32rem">{svg}{caption}</figure>'
    return section("Shots", "What more annotations bring.", f'<div class="pair">{figure}</div>')


def _parallel(sweep: SweepConfig, rows: list[dict]) -> str:
    objective = sweep.objectives[0]
    done = [row for row in rows if row["status"] == "done"]
    if len(done) < 2:
        return ""
    done.sort(key=lambda row: cost(objective, row["scores"][objective]))
    axes, heights = [], []
    for key in [key for key in sweep.space if key not in SEEDS] or list(sweep.space):
        ticks, column = _heights(sweep.space[key], [row["point"][key] for row in done])
        axes.append({"label": key.partition(".")[2], "ticks": ticks})
        heights.append(column)
    for name in sweep.objectives:
        values = np.array([row["scores"][name] for row in done])
        low, high = values.min(), values.max()
        heights.append((values - low) / max(high - low, 1e-12))
        axes.append({"label": NAMES[name], "ticks": [(0, f"{low:.3g}"), (1, f"{high:.3g}")]})
    svg = parallel_svg("parallel", axes, np.stack(heights, axis=1))
    return section(
        "Every trial",
        f"One line for each trial; the ten best by {NAMES[objective]} are coloured.",
        f"<figure>{svg}</figure>",
    )


def _timeline(rows: list[dict]) -> str:
    if not rows:
        return ""
    legend = "".join(
        f'<span class="dot" style="background:var(--{DOTS[status]})"></span>{status}'
        for status in STATUS_COLORS
        if any(row["status"] == status for row in rows)
    )
    body = f"<figure>{timeline_svg('timeline', rows)}<figcaption>{legend}</figcaption></figure>"
    return section("When trials ran", "One line for each worker.", body)


def _failures(found: dict) -> str:
    if not found["failures"]:
        return ""
    items = "".join(f"<li>trial {f['trial']}: {escape(str(f['error']))}</li>" for f in found["failures"][:SHOWN])
    return section("Trials that failed", "They did not end the sweep and are not tried again.", f"<ul>{items}</ul>")


def _lines(found: dict, x_key: str, line_key: str, x_values: list, objective: str) -> dict[str, list[tuple]]:
    """(position of x, mean, sd) by the value of another key; what else differs is averaged."""
    gathered: dict[str, dict[int, list]] = {}
    for group in found["groups"]:
        at = next((i for i, value in enumerate(x_values) if _is(group, x_key, value)), None)
        if at is not None:
            label = value_text(group["point"].get(line_key, ""))
            label = f"{label} a label" if line_key == SHOTS and label else label
            gathered.setdefault(label, {}).setdefault(at, []).append(group)
    return {
        label: [
            (at, np.mean([g["mean"][objective] for g in same]), same[0]["sd"][objective] if len(same) == 1 else None)
            for at, same in sorted(by_x.items())
        ]
        for label, by_x in gathered.items()
    }


def _heights(dimension: tuple | Range, values: list) -> tuple[list[tuple], np.ndarray]:
    """Ticks of an axis and the heights of values on it, in [0, 1]."""
    if not isinstance(dimension, Range):
        texts = [value_text(value) for value in dimension]
        step = 1 / max(len(texts) - 1, 1)
        ticks = [(i * step, text) for i, text in enumerate(texts)]
        return ticks, np.array([texts.index(value_text(value)) * step for value in values])
    scale = np.log if dimension.loguniform else np.asarray
    low, high = (float(scale(bound)) for bound in dimension.bounds)
    heights = (scale(np.array(values, float)) - low) / (high - low)
    return [(k, f"{bound:.3g}") for k, bound in enumerate(dimension.bounds)], heights


def _column_values(sweep: SweepConfig) -> list:
    counts = sweep.space.get(SHOTS)
    return list(counts) if isinstance(counts, tuple) else [None]


def _is(group: dict, key: str, value) -> bool:
    return key in group["point"] and value_text(group["point"][key]) == value_text(value)
