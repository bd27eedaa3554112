"""Progress of long work on standard error: how much is done, how fast, how much longer it takes.

Not by tqdm: in a file it renews its line as on a terminal, so that a job's log becomes one long line, and to make it
write lines takes more code than this, with its own output, close and monitor thread to replace.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

TERMINAL_S, FILE_S = 0.5, 10.0  # at least, between two lines


class ProgressLine:
    """Takes (done, total) and shows share, rate and time left.

    On a terminal one line is renewed; a file gets a line every ten seconds at most, and the last.

    Args:
        unit: what is counted, in the plural.
        stream: where to write; standard error by default.
        label: stage of a longer run, written in front.
    """

    def __init__(self, unit: str, stream: TextIO | None = None, label: str = ""):
        self.unit, self.stream, self.label = unit, stream or sys.stderr, f"{label}: " if label else ""
        self.renews = self.stream.isatty()
        self.begun: tuple[float, int] | None = None  # time and count of the first call, from which the rate is measured
        self.shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.begun is None:
            self.begun = now, done
        if done < total and now - self.shown < (TERMINAL_S if self.renews else FILE_S):
            return
        self.shown = now
        rate = (done - self.begun[1]) / max(now - self.begun[0], 1e-9)
        left = f", {clock((total - done) / rate)} left" if rate and done < total else ""
        share = f"{self.label}{done:,} of {total:,} {self.unit} ({done / max(total, 1):.0%})"
        line = f"{share}, {rate:,.{0 if rate >= 10 else 1}f} {self.unit}/s{left}"
        end = "\n" if done >= total or not self.renews else ""
        self.stream.write(f"\r\033[K{line}{end}" if self.renews else f"{line}\n")
        self.stream.flush()


FIGURES = {  # of a report of training: title and decimals
    "d_loss": ("D", 3),
    "g_loss": ("G", 3),
    "r1": ("R1", 3),
    "prepare": ("regressor error", 5),
    "cycle": ("picture error", 3),
    "cycle_pictures": ("picture error", 3),
    "cycle_skeletons": ("skeleton error", 3),
    "velocity": ("velocity error", 3),
    "student_px": ("one step", 2),
    "image": ("image error", 4),
    "joint_px": ("joints", 2),
    "field_fd": ("FD of the field", 4),
    "fd": ("FD", 4),
    "mmd2": ("MMD^2", 4),
    "coverage": ("coverage", 3),
}

MESSAGES = {
    "done": "this run was finished before; nothing to do",
    "target": "{shots} shots; {held_out:,} held-out target poses",
    "evaluate": "comparing {count:,} poses a side",
    "report": "drawing the report",
}


class StageLines:
    """Takes (stage, row) and shows it: counted stages by a ProgressLine each, a report of pretraining as a line."""

    def __init__(self):
        self.counted: dict[str, ProgressLine] = {}

    def __call__(self, stage: str, row: dict) -> None:
        if stage in ("pretrain", "detect", "translate"):
            self._line(f"{stage}: {training_line(row)}")
        elif stage in MESSAGES:
            self._line(f"{stage}: {MESSAGES[stage].format(**row)}")
        elif "step" in row:
            self._counted(stage, "steps")(row["step"], row["steps"])
        else:
            self._counted(stage, "trials" if stage == "sweep" else "poses")(row["done"], row["total"])

    def _counted(self, stage: str, unit: str) -> ProgressLine:
        return self.counted.setdefault(stage, ProgressLine(unit, label=stage))

    def _line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def training_line(row: dict) -> str:
    """A report of pretraining as text."""
    if "beta_step" in row:
        return f"beta {row['beta_step']:,} of {row['beta_steps']:,} steps, error {row['beta_px']:.2f} px"
    parts = [f"{row['kimg']:,.1f} kimg", f"{row['kimg_s']:.3f} kimg/s"]
    parts += [f"{title} {row[name]:.{digits}f}" for name, (title, digits) in FIGURES.items() if name in row]
    return f"{', '.join(parts)}, {clock(row['eta_s'])} left"


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
