"""What tests of sweeps share: a small sweep over adaptation, and rows without any trial."""

from __future__ import annotations

from flexpose_ray.config import parse
from flexpose_ray.config.sweep_recipe import SweepRecipe

FDS = {(1, 0): 0.30, (1, 1): 0.34, ("w", 0): 0.20, ("w", 1): 0.26}  # by layers and seed


def small_sweep(generator: str, **changes) -> SweepRecipe:
    """Six points of a second each: three settings, two draws of shots."""
    run = {
        "name": "small",
        "generator": generator,
        "target": {"poses": "synthetic:rowing?count=300", "shots_per_label": 4},
        "adapt": {"layers": "w", "blend": False, "steps": 4, "batch": 4, "mixup": 10, "loss": "energy"},
        "sweep": {
            "space": {"adapt.layers": [1, [1, 3], "w"], "target.seed": [0, 1]},
            "samples": 64,
            "report_samples": 64,
            "slots": 2,
            **changes,
        },
    }
    return parse(SweepRecipe, run, "small.yaml")


def made_row(trial: int, point: dict, status: str = "done", curve: list | None = None, **scores: float) -> dict:
    """A row as a trial leaves it."""
    return {
        "trial": trial, "point": point, "status": status, "error": None if status != "failed" else "TrainingError: bad",
        "step": 4, "scores": scores, "curve": curve or [], "started": 100.0 + trial, "ended": 101.5 + trial,
        "worker": f"here:{trial % 2}",
    }  # fmt: skip


def made_rows() -> list[dict]:
    """Four completed trials: two layer sets, two seeds each."""
    points = [({"adapt.layers": layers, "target.seed": seed}, fd) for (layers, seed), fd in FDS.items()]
    return [made_row(i, point, fd=fd, coverage=fd) for i, (point, fd) in enumerate(points)]
