"""What every trial does in its worker: report its start and end to Tune, whatever it runs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import Any

from ray import tune

Report = Callable[..., None]  # takes a row and, in a population, a ``checkpoint``


def run_trial(work: Callable[[Report], dict[str, Any]]) -> None:
    """Do a trial's ``work`` and report how it ended; an error is a report too, so that the worker stays for the next.

    Args:
        work: takes a function that reports a look on the way; returns the scores. Start and worker are added to every
            report, status and end (or the error) to the last one.
    """
    head = {"started": time.time(), "worker": f"{platform.node()}:{os.getpid()}"}  # of this attempt
    try:
        end = {"status": "done", **work(lambda row, **more: tune.report({**row, **head}, **more))}
    except Exception as error:  # whatever it is, it concerns this trial alone
        end = {"status": "failed", "error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
    tune.report({**end, **head, "ended": time.time()})
