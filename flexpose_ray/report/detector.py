"""The detector's section of a run's page: what it found, drawn over pictures, and its scores."""

from __future__ import annotations

import base64
from html import escape

from flexpose_ray.engine.benchmark.detector_table import COLUMNS as SCORES
from flexpose_ray.report.data import ReportData
from flexpose_ray.report.html import section

SHOWN = ("error", "corrected_error", "best_error", "nme", "pck10", "best_pck10", "flipped")
COLUMNS = {"count": ("pictures", 1, "{:,}")} | {key: SCORES[key] for key in SHOWN}


def detector(run: ReportData) -> str:
    """The section, "" where the run has no detector."""
    found = run.detector
    if not found:
        return ""
    lead = (
        f"A detector (KeypointGAN) learned from {found['pictures']:,} pictures that nobody annotated and from "
        f"{found['poses']:,} poses, those of the data set and mixed shots, in {found['steps']:,} steps. No picture "
        "came with its pose."
    )
    parts = []
    if run.detector_sheet is not None:
        picture = base64.b64encode(run.detector_sheet).decode()
        caption = f"What it found in pictures to learn from; mean confidence {found['confidence']:.2f}."
        shown = (
            f'<img src="data:image/png;base64,{picture}" alt="pictures with the poses found" style="max-width:100%">'
        )
        parts.append(f"<figure>{shown}<figcaption>{caption}</figcaption></figure>")
    if found["scores"]:
        parts.append(_scores(found))
    return section("The detector", escape(lead), "\n".join(parts))


def _scores(found: dict) -> str:
    keys = [key for key in COLUMNS if any(key in row for row in found["scores"])]
    head = "".join(f"<th>{COLUMNS[key][0]}</th>" for key in keys)
    body = ""
    for row in found["scores"]:
        cells = (COLUMNS[key][2].format(COLUMNS[key][1] * row[key]) if key in row else "" for key in keys)
        body += f"<tr><td>{escape(row['what'])}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"
    note = (
        f"On annotated pictures that it has never seen; errors in % of the picture's side ({found['side']} pixels). "
        "Left and right look alike to it: corrected are sides by the regressor as it was prepared, best is the better "
        "of both."
    )
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>\n{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>\n<p>{note}</p>'
