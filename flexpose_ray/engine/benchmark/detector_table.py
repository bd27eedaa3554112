"""The table of a benchmark's detectors: mean and spread over draws and seeds, by label, and agreement of the judges."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from flexpose_ray.config.benchmark import MEAN_POSE, SUPERVISED, BenchmarkRecipe
from flexpose_ray.methods.registry import OURS

TITLES = {MEAN_POSE: "mean target pose, no detector", SUPERVISED: "supervised twin"}
COLUMNS = {  # key in a detector's scores: heading, factor, format
    "error": ("error", 100, "{:.2f}"),
    "corrected_error": ("corrected", 100, "{:.2f}"),
    "best_error": ("best", 100, "{:.2f}"),
    "nme": ("NME", 100, "{:.2f}"),
    "mse": ("squared", 1e4, "{:.1f}"),
    "pck5": ("PCK5", 100, "{:.1f}"),
    "pck10": ("PCK10", 100, "{:.1f}"),
    "pck20": ("PCK20", 100, "{:.1f}"),
    "best_pck10": ("best PCK10", 100, "{:.1f}"),
    "flipped": ("flipped", 100, "{:.0f}"),
}
SPREAD = ("error", "best_error")  # columns that show the spread too
JUDGES = {"fd": "FD", "mmd2": "MMD^2", "coverage": "coverage"}  # of poses, which a detector's verdict is compared with
RIVALS = ("pose_mixup", "coral")  # methods whose rows the FlexPose rows are compared with, detector by detector
ALIGNED, DIRECT = "aligned", "direct"


def summarise_detectors(recipe: BenchmarkRecipe, pair: dict, cells: list[dict]) -> dict | None:
    """Mean and spread of every row's detectors.

    Args:
        recipe: gives the order.
        pair: the pair's table of poses, as of :func:`~flexpose_ray.engine.benchmark.table.summarise`.
        cells: results of :func:`~flexpose_ray.engine.benchmark.detectors.judge`, failed ones too.

    Returns:
        JSON-ready, None where no detector was asked for: ``side`` (pixels), ``steps``; ``rows``, each ``name``,
        ``title``, ``ours`` (whether of FlexPose), ``runs``, ``errors``, for every column ``{"mean", "std"}`` and
        ``labels`` (mean best error by label); ``agreement``: judge of poses -> Spearman's correlation of the rows'
        means with error and best error; ``says``: conclusions in sentences.
    """
    if not cells:
        return None
    titles = {MEAN_POSE: TITLES[MEAN_POSE]} | {row["name"]: row["title"] for row in pair["rows"]} | TITLES
    rows = [_row(name, title, [c for c in cells if c["row"] == name]) for name, title in titles.items()]
    rows = [row for row in rows if row["runs"] or row["errors"]]
    ours = {name for name, row in recipe.methods.items() if row.method in OURS}
    rows = [row | {"ours": row["name"] in ours} for row in rows]
    good = [cell for cell in cells if cell["error"] is None]
    found = {
        "side": good[0]["side"] if good else None,
        "steps": max((cell.get("steps", 0) for cell in good), default=0),
        "rows": rows,
        "agreement": _agreement(rows, pair["rows"]),
    }
    return found | {"says": _conclusions(found, good)}


def _row(name: str, title: str, cells: list[dict]) -> dict:
    good = [cell for cell in cells if cell["error"] is None]
    row = {"name": name, "title": title, "runs": len(good)}
    row["errors"] = sorted({cell["error"] for cell in cells if cell["error"] is not None})
    for key in COLUMNS:
        values = [cell["scores"][key] for cell in good if key in cell["scores"]]
        if values:
            row[key] = {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=len(values) > 1))}
    labels = good[0]["labels"] if good else {}
    row["labels"] = {label: float(np.mean([c["labels"][label]["best_error"] for c in good])) for label in labels}
    return row


def _agreement(rows: list[dict], judged: list[dict]) -> dict[str, dict[str, float]]:
    poses = {row["name"]: row for row in judged if row["draws"]}
    both = [(poses[row["name"]], row) for row in rows if row["name"] in poses and row["runs"]]
    if len(both) < 3:
        return {}
    scores = {key: [row[key]["mean"] for row, _ in both] for key in JUDGES}
    return {
        key: {kind: spearman(values, [row[kind]["mean"] for _, row in both]) for kind in ("error", "best_error")}
        for key, values in scores.items()
    }


def spearman(one: list[float], other: list[float]) -> float:
    """Spearman's rank correlation; equal values share their mean rank."""

    def ranks(values: list[float]) -> np.ndarray:
        values_N = np.asarray(values)
        below_N = (values_N[:, None] > values_N).sum(1)
        return below_N + ((values_N[:, None] == values_N).sum(1) - 1) / 2

    a_N, b_N = ranks(one), ranks(other)
    spread = a_N.std() * b_N.std()
    return float(((a_N - a_N.mean()) * (b_N - b_N.mean())).mean() / spread) if spread else 0.0


def _conclusions(found: dict, good: list[dict]) -> list[str]:
    rows = {row["name"]: row for row in found["rows"] if row["runs"]}
    best = {(c["row"], c["draw"], c["seed"]): 100 * c["scores"]["best_error"] for c in good}
    sentences = []
    for name in (name for name, row in rows.items() if row["ours"]):
        if ALIGNED in rows and DIRECT in rows:
            single = _paired([ALIGNED, name, DIRECT], best)
            draws = _over_seeds(single)
            sentences.append(
                f"{rows[name]['title']}: the best error lies between Aligned's and Direct's in {_rising(draws)} draws "
                f"(mean over seeds), in {_rising(single)} single detectors."
            )
        for rival in (rival for rival in RIVALS if rival in rows):
            gaps = [mine - its for mine, its in _paired([name, rival], best).values()]
            if len(gaps) > 1:
                error = np.std(gaps, ddof=1) / len(gaps) ** 0.5
                sentences.append(
                    f"{rows[name]['title']} against {rows[rival]['title']}: best error {np.mean(gaps):+.2f} ± "
                    f"{error:.2f} points (mean and standard error of {len(gaps)} paired differences; less is better)."
                )
    for key, judge in JUDGES.items():
        if key in found["agreement"]:
            by = found["agreement"][key]
            sentences.append(
                f"Rank correlation of {judge} with the detector over the rows: {by['error']:+.2f} of its error, "
                f"{by['best_error']:+.2f} of its best error."
            )
    return sentences + [f"{row['title']} failed: {error}" for row in found["rows"] for error in row["errors"]]


def _paired(names: list[str], best: dict[tuple, float]) -> dict[tuple, tuple[float, ...]]:
    """The rows' figures by draw and seed, where all of them are there."""
    places = [place for row, *place in best if row == names[0]]
    return {
        tuple(place): tuple(best[name, *place] for name in names)
        for place in places
        if all((name, *place) in best for name in names)
    }


def _over_seeds(chains: dict[tuple, tuple[float, ...]]) -> dict[tuple, tuple[float, ...]]:
    """The means of every draw's chains over the seeds of its detectors."""
    draws = list(dict.fromkeys(draw for draw, _ in chains))
    return {(d,): tuple(np.mean([chain for (draw, _), chain in chains.items() if draw == d], axis=0)) for d in draws}


def _rising(chains: dict[tuple, tuple[float, ...]]) -> str:
    """How many chains rise from figure to figure, of how many."""
    return f"{sum(all(a < b for a, b in pairwise(chain)) for chain in chains.values())} of {len(chains)}"


def detector_grid(detector: dict) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a detector's table."""
    keys = [key for key in COLUMNS if any(key in row for row in detector["rows"])]
    lines = []
    for row in detector["rows"]:
        lines.append([row["title"], *(_cell(row, key) for key in keys)])
    return ["", *(COLUMNS[key][0] for key in keys)], lines


def _cell(row: dict, key: str) -> str:
    if key not in row:
        return "" if row["runs"] or key != "error" else "failed"
    _, factor, form = COLUMNS[key]
    text = form.format(factor * row[key]["mean"])
    return f"{text} ± {form.format(factor * row[key]['std'])}" if key in SPREAD and row["runs"] > 1 else text


def label_grid(detector: dict) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the best errors by label; no rows where pictures have no labels."""
    rows = [row for row in detector["rows"] if row["labels"]]
    labels = sorted({label for row in rows for label in row["labels"]})
    return ["", *labels], [[row["title"], *(f"{100 * row['labels'][label]:.2f}" for label in labels)] for row in rows]


def detector_text(detector: dict, write: Callable[[list[list[str]]], str], name: str) -> list[str]:
    """The parts of a detector's section: caption, tables as ``write`` makes them of lines, sentences."""
    if detector["side"] is None:
        return ["no detector succeeded", *detector["says"]]
    runs = max(row["runs"] for row in detector["rows"])
    caption = (
        f"{name}: detectors trained on every row's poses and on pictures without annotations, {detector['steps']:,} "
        f"steps, mean ± standard deviation over {runs} of them at most; in % of the picture's side ({detector['side']} "
        "pixels), squared in %^2; corrected: sides by the regressor as it was prepared; best: the better of both sides"
    )
    head, lines = detector_grid(detector)
    parts = [caption, write([head, *lines])]
    head, lines = label_grid(detector)
    return [*parts, *(["best error by label", write([head, *lines])] if lines else [])]
