"""The summary of a sweep as text: its best points, and how sure the first place is."""

from __future__ import annotations

from flexpose_ray.config.sweep import point_text
from flexpose_ray.text_table import text_table

SHOWN = 12  # rows of the table, and failures


def format_summary(found: dict) -> str:
    """Format the summary of a sweep: the best points first, with their spread over seeds."""
    counts = ", ".join(f"{n:,} {status}" for status, n in found["trials"].items() if n)
    lines = [f"{found['uri']}", f"trials: {counts or 'none'}; {found['trial_seconds']:,.0f} s of trials"]
    names, on_front = found["objectives"], [group["trials"] for group in found["front"]]
    table = [["", *names, "trials", ""]]
    for group in found["groups"][:SHOWN]:
        cells = [f"{group['mean'][n]:.4f}" + (f" ± {group['sd'][n]:.4f}" if group["sd"][n] else "") for n in names]
        mark = "*" if group["trials"] in on_front else ">" if group is found["groups"][0] and not on_front else ""
        table.append([mark, *cells, str(len(group["trials"])), point_text(group["point"])])
    lines.append(text_table(table, "l" * len(table[0])))
    if len(found["groups"]) > SHOWN:
        lines.append(f"and {len(found['groups']) - SHOWN:,} more points in trials.parquet")
    if on_front:
        lines.append("* no other point is better in one objective and at least as good in all")
    lines += [f"trial {failure['trial']}: {failure['error']}" for failure in found["failures"][:SHOWN]]
    name = found["objectives"][0].upper().replace("MMD2", "MMD^2")
    return "\n".join([*lines, *(_lead_text(race, name) for race in found["winners"] if race["second"])])


def _lead_text(race: dict, name: str) -> str:
    """How far the best point of a race is ahead of the next, in words.

    Args:
        race: one of the ``winners`` of a sweep.
        name: of the objective.
    """
    second, best = race["second"], point_text(race["best"]["point"])
    if not second["seeds"]:
        return f"{best} is first; no seed was tried with both it and the next point."
    error = f" ± {second['error']:.4f} (standard error)" if second["error"] is not None else ""
    text = f"{best} is ahead of {point_text(second['point'])} by {name} {second['ahead']:.4f}{error}"
    text += f", in {second['wins']} of {second['seeds']} seeds"
    if second["error"] is None:
        return f"{text}: one seed proves little."
    return f"{text}{'' if second['ahead'] > 2 * second['error'] else ': within what seeds alone change'}."
