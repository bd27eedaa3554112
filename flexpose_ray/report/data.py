"""What the page of a run shows: plain arrays and dicts, each of which may be absent."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import numpy as np

PACKAGES = ("flexpose-ray", "ray", "torch", "numpy", "scipy", "scikit-learn", "pyarrow")


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run's numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class ReportData:
    """One run, ready to be shown. Sections without data are left out.

    Attributes:
        title: name of the run or data set.
        skeleton_name: of a shipped skeleton; of one's own its definition (:attr:`Skeleton.text`).
        count: poses in the data set.
        data_uri: where the data set is, for the lines of code that read it.
        source_NJ2: poses of the source generator, crop units.
        adapted_NJ2: poses of the adapted generator; row i comes from the same noise as row i of ``source_NJ2``.
        target_NJ2: held-out target poses.
        shots_NJ2: the annotated poses the generator was adapted to.
        layers: the style layers with a map of their own, "w" for one map before all of them, "none" for no map; None
            where nothing was adapted.
        blended: whether the generator's poses are blended with the shots.
        evaluation: result of ``evaluation.compare.evaluate``.
        detector: result of ``engine.detect.stage.detect``.
        detector_sheet: a PNG of what it found.
        losses: one dict a reported step, with "kimg" or "step", any number of figures ("fd", losses), and "stage"
            where there are several trainings; a figure may be missing from some of them.
        config_text: the recipe, as YAML.
        timings: seconds by stage.
        versions: package versions by name.
    """

    title: str
    skeleton_name: str = "body_15"
    count: int | None = None
    data_uri: str = ""
    source_NJ2: np.ndarray | None = None
    adapted_NJ2: np.ndarray | None = None
    target_NJ2: np.ndarray | None = None
    shots_NJ2: np.ndarray | None = None
    layers: tuple[int, ...] | str | None = None
    blended: bool = False
    evaluation: dict | None = None
    detector: dict | None = None
    detector_sheet: bytes | None = None
    losses: list[dict] = field(default_factory=list)
    config_text: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=installed_versions)
