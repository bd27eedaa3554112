"""The table of a benchmark: mean and spread over draws of the shots, as text and as Markdown, with conclusions."""

from __future__ import annotations

import numpy as np

from flexpose_ray.config.benchmark import OWN_KEYS, BenchmarkRecipe
from flexpose_ray.engine.benchmark.detector_table import detector_text, summarise_detectors
from flexpose_ray.judging.scores import FLOOR_TITLE
from flexpose_ray.methods.registry import METHODS, OURS
from flexpose_ray.text_table import text_table

PAPER = "flexpose"
# Methods that the paper's setting beats in the paper.
PAPER_RIVALS = ("finetune", "freezed", "adagan", "lora", "lora_4", "lora_convs")
SCORES = {  # key in a cell: heading, format
    "fd": ("FD", "{:.4f}"),
    "mmd2": ("MMD^2", "{:.4f}"),
    "density": ("density", "{:.2f}"),
    "coverage": ("coverage", "{:.3f}"),
    "shot_distance": ("to shots", "{:.3f}"),
    "copies": ("copies", "{:.1%}"),
    "plausible": ("plausible", "{:.1%}"),
}
COSTS = {
    "seconds": ("seconds", "{:.0f}"),
    "parameters": ("parameters", "{:,.0f}"),
    "bytes": ("bytes", "{:,.0f}"),
    "share": ("of generator", "{:.1%}"),
}
COLUMNS = SCORES | COSTS
SPREAD = ("fd", "coverage")  # columns of text tables that show the spread too


def summarise(recipe: BenchmarkRecipe, cells: list[dict]) -> dict:
    """Mean and spread of every row over the draws.

    Args:
        recipe: gives the order.
        cells: results of :func:`engine.benchmark.cell.measure`, :func:`engine.benchmark.detectors.judge` and
            :func:`engine.benchmark.cell.failed`.

    Returns:
        JSON-ready: ``name``, ``seeds``, ``count`` (poses a side, asked for), ``failed`` (cells), and ``pairs``: each
        ``name``, ``generator``, ``shots`` (of rows that name none), ``count`` (poses a side), ``floor``, ``rows``,
        ``best`` (names of the rows of least FD and of most coverage, references aside), ``says`` (conclusions in
        sentences) and ``detector`` (as of
        :func:`~flexpose_ray.engine.benchmark.detector_table.summarise_detectors`). A row and the floor
        have ``name``, ``title`` and, where a draw succeeded, for every column ``{"mean", "std"}``; a row also has
        ``method``, ``family``, ``settings``, ``kinds`` (of the generators adapted), ``draws`` (that succeeded) and
        ``errors``.
    """
    pairs = []
    for pair in recipe.pairs:
        whole = [cell for cell in cells if cell["pair"] == pair.name]
        mine = [cell for cell in whole if "draw" not in cell]
        good = [cell for cell in mine if cell["error"] is None]
        rows = [_row(recipe, name, [cell for cell in mine if cell["row"] == name]) for name in recipe.methods]
        floors = list({cell["seed"]: cell["floor"] for cell in good}.values())
        found = {
            "name": pair.name,
            "generator": pair.generator,
            "shots": _shots(recipe, good),
            "count": min((cell["count"] for cell in good), default=None),
            "floor": {"name": "floor", "title": FLOOR_TITLE, **_spreads(floors, SCORES)},
            "rows": rows,
        }
        found |= {"best": _best(rows), "says": _conclusions(found)}
        judged = [cell for cell in whole if "draw" in cell]
        pairs.append(found | {"detector": summarise_detectors(recipe, found, judged)})
    failed = sum(cell["error"] is not None for cell in cells)
    return {"name": recipe.name, "seeds": list(recipe.seeds), "count": recipe.count, "failed": failed, "pairs": pairs}


def _shots(recipe: BenchmarkRecipe, good: list[dict]) -> int | None:
    """Shots of the rows that name no number of their own; of any where all name one."""
    usual = [cell for cell in good if recipe.methods[cell["row"]].shots_per_label is None]
    return next((cell["shots"] for cell in usual or good), None)


def _row(recipe: BenchmarkRecipe, name: str, cells: list[dict]) -> dict:
    asked = recipe.methods[name]
    method = METHODS[asked.method]
    good = [cell for cell in cells if cell["error"] is None]
    own = {key: getattr(asked, key) for key in OWN_KEYS}
    changed = asked.settings | {key: value for key, value in own.items() if value is not None}
    changes = ", ".join(f"{key} {value}" for key, value in changed.items())
    title = method.title if name == method.name and not changed else f"{method.title} [{name}: {changes or 'defaults'}]"
    row = {"name": name, "title": title, "method": method.name, "family": method.family, "settings": changed}
    row["kinds"] = sorted({cell["kind"] for cell in good if "kind" in cell})
    errors = sorted({cell["error"] for cell in cells if cell["error"] is not None})
    return row | {"draws": len(good), "errors": errors} | _spreads(good, COLUMNS)


def _spreads(cells: list[dict], columns: dict) -> dict:
    if not cells:
        return {}
    values = {key: [cell[key] for cell in cells] for key in columns if key in cells[0]}
    return {key: {"mean": float(np.mean(v)), "std": float(np.std(v, ddof=len(v) > 1))} for key, v in values.items()}


def _best(rows: list[dict]) -> dict:
    judged = [row for row in rows if row["family"] != "reference" and row["draws"]]
    return {
        "fd": min(judged, key=lambda row: row["fd"]["mean"], default={}).get("name"),
        "coverage": max(judged, key=lambda row: row["coverage"]["mean"], default={}).get("name"),
    }


def _conclusions(pair: dict) -> list[str]:
    """Whether FlexPose is ahead, in sentences; and what failed."""
    rows = [row for row in pair["rows"] if row["draws"] and row["family"] != "reference"]
    ours = [row for row in rows if row["method"] in OURS]
    others = [row for row in rows if row["method"] not in OURS]
    sentences = []
    if ours and others:
        mine, fd = (min(group, key=lambda row: row["fd"]["mean"]) for group in (ours, others))
        covers = max(others, key=lambda row: row["coverage"]["mean"])
        ahead = mine["fd"]["mean"] < fd["fd"]["mean"]
        sentences.append(
            f"The best FlexPose variant, {mine['title']}, {'beats' if ahead else 'does not beat'} every other method: "
            f"FD {_mean_and_std(mine, 'fd')} against {_mean_and_std(fd, 'fd')} of {fd['title']}."
        )
        much = mine["coverage"]["mean"] >= covers["coverage"]["mean"]
        sentences.append(
            f"It covers {'at least as much' if much else 'less'}: {_mean_and_std(mine, 'coverage')} against "
            f"{_mean_and_std(covers, 'coverage')} of {covers['title']}."
        )
    paper = next((row for row in ours if row["name"] == PAPER), None)
    rivals = [row for row in others if row["method"] in PAPER_RIVALS]
    if paper and rivals:
        better = [row["title"] for row in rivals if row["fd"]["mean"] <= paper["fd"]["mean"]]
        rest = f"is behind {', '.join(better)}" if better else f"is better than {', '.join(r['title'] for r in rivals)}"
        sentences.append(f"The paper's own setting, FD {_mean_and_std(paper, 'fd')}, {rest}.")
    sentences += [f"{row['title']} failed: {error}" for row in pair["rows"] for error in row["errors"]]
    return sentences


def _mean_and_std(row: dict, key: str) -> str:
    return f"{COLUMNS[key][1].format(row[key]['mean'])} ± {COLUMNS[key][1].format(row[key]['std'])}"


def grid(pair: dict, spread: tuple[str, ...] = SPREAD) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a pair's table, the floor first; ``*`` marks the best FD and the most coverage."""
    lines = []
    for row in (pair["floor"], *pair["rows"]):
        cells = [row["title"]]
        for key, (_, form) in COLUMNS.items():
            if key not in row:
                cells.append("failed" if key == "fd" and row is not pair["floor"] else "")
                continue
            text = _mean_and_std(row, key) if key in spread else form.format(row[key]["mean"])
            cells.append(f"{'*' if pair['best'].get(key) == row['name'] else ''}{text}")
        lines.append(cells)
    return ["", *(heading for heading, _ in COLUMNS.values())], lines


def format_benchmark(table: dict) -> str:
    """The table as aligned text."""
    parts = []
    for pair in table["pairs"]:
        head, lines = grid(pair)
        parts.append("\n".join([_caption(table, pair), "", text_table([head, *lines]), "", *pair["says"]]))
        if detector := pair["detector"]:
            parts += detector_text(detector, text_table, pair["name"])
            parts.append("\n".join(detector["says"]))
    return "\n\n".join(parts)


def markdown(table: dict) -> str:
    """The table as Markdown."""
    parts = [f"# {table['name']}"]
    for pair in table["pairs"]:
        head, lines = grid(pair)
        parts.append(f"## {pair['name']}\n\n{_caption(table, pair)}\n\n{_markdown_table([head, *lines])}")
        parts.append(_markdown_list(pair["says"]))
        if detector := pair["detector"]:
            parts += detector_text(detector, _markdown_table, f"## {pair['name']}, detectors\n\n{pair['name']}")
            parts.append(_markdown_list(detector["says"]))
    return "\n\n".join(parts) + "\n"


def _markdown_table(lines: list[list[str]]) -> str:
    head, *rest = lines
    text = [head, ["---", *["---:"] * (len(head) - 1)], *([_plain(c) for c in cells] for cells in rest)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in text)


def _markdown_list(sentences: list[str]) -> str:
    return "\n".join(f"* {_plain(sentence)}" for sentence in sentences)


def _caption(table: dict, pair: dict) -> str:
    if pair["count"] is None:
        return f"{pair['name']}: no cell succeeded."
    draws = f"mean ± standard deviation over {len(table['seeds'])} draws of {shots(pair)}"
    return f"{pair['name']}: {draws}, {sides(pair)}; * best FD and most coverage of the methods"


def shots(pair: dict) -> str:
    """How many annotated poses the rows had, in words."""
    own = any("shots_per_label" in row["settings"] for row in pair["rows"])
    return f"{pair['shots']} shots{' where a row names no others' if own else ''}"


def sides(pair: dict) -> str:
    """How many poses were compared with how many, in words."""
    own = any("count" in row["settings"] for row in pair["rows"])
    return (
        f"{pair['count']:,} {'target poses, as many generated where a row names no count' if own else 'poses a side'}"
    )


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
