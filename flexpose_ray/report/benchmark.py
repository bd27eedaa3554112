"""The page of a benchmark: tables, FD and coverage of every row as dots with their spread, and poses of every row."""

from __future__ import annotations

from html import escape

import numpy as np

from flexpose_ray.config.benchmark import MEAN_POSE, SUPERVISED
from flexpose_ray.engine.benchmark.detector_table import detector_grid, label_grid
from flexpose_ray.engine.benchmark.table import COLUMNS, grid, shots, sides
from flexpose_ray.methods.registry import OURS
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.report.benchmark_plot import dots_svg
from flexpose_ray.report.data import installed_versions
from flexpose_ray.report.html import footer, page, section
from flexpose_ray.report.plots import skeletons_svg
from flexpose_ray.report.sections import MEANINGS
from flexpose_ray.storage.base import Store, read_json
from flexpose_ray.storage.open import open_store

MORE_CSS = """
table.methods { font-size: .84rem; } table.methods td.best { font-weight: 650; color: var(--beats); }
table.methods tr.ours td:first-child { color: var(--adapted); font-weight: 600; }
table.methods tr.reference td { color: var(--muted); } table.methods td.failed { color: var(--behind); }
.rows { display: grid; grid-template-columns: minmax(7rem, 14rem) 1fr; gap: .5rem .9rem; align-items: center;
  font-size: .86rem; margin: 1rem 0; }
.rows svg { border-radius: 6px; }
"""
MORE_MEANINGS = {
    "plausible": "Share of poses whose limbs and angles keep within the limits of the source and the shots.",
    "seconds": "Time to train or to fit, on one core where there is no GPU.",
    "parameters": "Numbers that were trained, or fitted to the shots.",
    "bytes": "Size of the adapted model as a safetensors file, without the generator or the source set.",
    "share": "These bytes as a share of the generator's.",
}


def write_benchmark_report(table: dict) -> str:
    """Write ``report.html`` into the run that ``table`` is the result of; returns its URI."""
    store = open_store(table["run"])
    store.put("report.html", render_benchmark(table, store).encode())
    return f"{store.uri}/report.html"


def render_benchmark(table: dict, store: Store) -> str:
    """The page as text.

    Args:
        table: result of a benchmark.
        store: its run, which holds the cells with their poses.
    """
    pairs = "".join(_pair(table, pair, store, number) for number, pair in enumerate(table["pairs"]))
    meanings = MEANINGS | MORE_MEANINGS
    terms = "".join(f"<dt>{_heading(key)}</dt><dd>{escape(meanings[key])}</dd>" for key in COLUMNS)
    lead = (
        f"Every method gets the same few annotated poses of the target, in {len(table['seeds'])} draws, and its poses "
        "are compared with held-out ones. The floor compares one half of the held-out poses with the other half, "
        "split by video or picture if there are several."
    )
    header = (
        f'<header><p class="eyebrow">FlexPose benchmark</p>\n<h1>{escape(table["name"])}</h1>\n<p>{lead}</p></header>'
    )
    columns = section("What the columns mean", "", f"<dl>{terms}</dl>")
    return page(table["name"], [header, pairs, columns, footer(installed_versions())], MORE_CSS)


def _pair(table: dict, pair: dict, store: Store, number: int) -> str:
    notes = f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in pair['says'])}</ul>"
    if pair["count"] is None:
        return section(escape(pair["name"]), "No cell succeeded.", notes) + "\n"
    lead = (
        f"{shots(pair)}, {sides(pair)}, generator {pair['generator']}; mean ± standard deviation over "
        f"{len(table['seeds'])} draws."
    )
    body = (
        f"{notes}\n{_table(pair)}\n"
        f"<h3>FD, lower is better</h3>\n{_dots(pair, 'fd', number)}"
        f"<h3>Coverage, higher is better</h3>\n{_dots(pair, 'coverage', number)}<h3>First poses of every row</h3>\n"
        f'<div class="rows">{_pictures(table, pair, store, number)}</div>{_detector(pair["detector"], number)}'
    )
    return section(escape(pair["name"]), escape(lead), body) + "\n"


def _detector(detector: dict | None, number: int) -> str:
    """What detectors learned from every row's poses: tables, dots of their best errors, sentences."""
    if detector is None:
        return ""
    notes = f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in detector['says'])}</ul>"
    rows = {row["name"]: row for row in detector["rows"] if row["runs"]}
    title = "<h3>What a detector learns from these poses</h3>"
    if not rows:
        return f"{title}\n<p>No detector succeeded.</p>{notes}"
    lead = (
        "For every row a detector (KeypointGAN) is trained on its poses and on pictures that nobody annotated, "
        f"{detector['steps']:,} steps, and reads pictures of {detector['side']} pixels that it has never seen. Errors "
        "are in % of the side. Left and right look alike to it, so the best error is the better of both readings."
    )
    shown = [row for name, row in rows.items() if name != MEAN_POSE]
    means, stds = (np.array([100 * row["best_error"][part] for row in shown]) for part in ("mean", "std"))
    ours = np.array([row["ours"] for row in shown])
    line = rows.get(MEAN_POSE, shown[0])["best_error"]["mean"] * 100
    svg = dots_svg(f"detector{number}", [row["title"] for row in shown], means, stds, ours, line)
    caption = (
        "Best error, lower is better: means, one standard deviation; the line is the mean pose, without a detector."
    )
    parts = [title, f"<p>{escape(lead)}</p>", notes, _plain_table(*detector_grid(detector), detector["rows"])]
    parts.append(f"<figure>{svg}<figcaption>{caption}</figcaption></figure>")
    head, lines = label_grid(detector)
    if lines:
        parts += [
            "<h3>Best error by label</h3>",
            _plain_table(head, lines, [r for r in detector["rows"] if r["labels"]]),
        ]
    return "\n".join(parts)


def _plain_table(head: list[str], lines: list[list[str]], rows: list[dict]) -> str:
    kinds = ["ours" if r["ours"] else "reference" if r["name"] in (MEAN_POSE, SUPERVISED) else "" for r in rows]
    body = "".join(
        f'<tr class="{kind}">{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>\n'
        for kind, cells in zip(kinds, lines, strict=True)
    )
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    table = f'<table class="methods"><thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _dots(pair: dict, key: str, number: int) -> str:
    rows = [row for row in pair["rows"] if row["draws"]]
    means, stds = (np.array([row[key][part] for row in rows]) for part in ("mean", "std"))
    ours = np.array([row["method"] in OURS for row in rows])
    svg = dots_svg(f"{key}{number}", [row["title"] for row in rows], means, stds, ours, pair["floor"][key]["mean"])
    caption = "Dots are means, bars one standard deviation over the draws; the line is the floor."
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>\n"


def _table(pair: dict) -> str:
    _, lines = grid(pair)
    body = ""
    for row, cells in zip((pair["floor"], *pair["rows"]), lines, strict=True):
        kind = "floor" if row is pair["floor"] else "ours" if row["method"] in OURS else row["family"]
        shown = f"<td>{escape(cells[0])}</td>"
        for text in cells[1:]:
            mark = ' class="best"' if text.startswith("*") else ' class="failed"' if text == "failed" else ""
            shown += f"<td{mark}>{escape(text.removeprefix('*'))}</td>"
        body += f'<tr class="{kind}">{shown}</tr>\n'
    head = "".join(f"<th>{_heading(key)}</th>" for key in COLUMNS)
    return (
        f'<div class="scroll"><table class="methods"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>\n{body}</tbody></table></div>"
    )


def _pictures(table: dict, pair: dict, store: Store, number: int) -> str:
    """Poses of the first draw of every row."""
    shown = ""
    for place, row in enumerate(pair["rows"]):
        cell = read_json(store, f"cells/{pair['name']}/{row['name']}-{table['seeds'][0]}.json")
        if cell["error"] is None:
            svg = skeletons_svg(f"row{number}-{place}", np.array(cell["poses"]), get_skeleton(cell["skeleton"]))
            shown += f"<span>{escape(row['title'])}</span>{svg}\n"
    return shown


def _heading(key: str) -> str:
    return escape(COLUMNS[key][0]).replace("^2", "²")
