"""Curves and pictures of a training for tools that show them: TensorBoard, MLflow, Weights & Biases.

All three take the same calls, so that the training code knows none of them.
"""

from __future__ import annotations

import importlib
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from flexpose_ray.errors import ConfigError
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
FOLDER = "tensorboard"


class Tracker(Protocol):
    """One tool. Steps are training steps; values of rows that are not numbers are left out."""

    def row(self, step: int, values: dict[str, float]) -> None:
        """Log a row of progress."""

    def picture(self, step: int, image_HWC: np.ndarray) -> None:
        """Log a grid of samples, uint8 RGB."""

    def flush(self) -> None:
        """Make everything logged so far visible."""

    def close(self) -> None:
        """Flush and end."""


def check_trackers(names: Sequence[str]) -> None:
    """Check that the packages of these tools are installed.

    Raises:
        ConfigError: one is not.
    """
    for name in names:
        try:
            importlib.import_module(PACKAGES[name])
        except ImportError as error:
            problem = f"{name} needs the package {PACKAGES[name]}, which is not installed"
            raise ConfigError("pretrain.track", problem, f"pip install {PACKAGES[name]}, or leave it out") from error


def open_trackers(names: Sequence[str], store: Store, name: str, settings: dict, step: int) -> list[Tracker]:
    """Start the tools for a run.

    Args:
        names: of "tensorboard", "mlflow" and "wandb".
        store: the run's folder.
        name: the run's name in the tool.
        settings: what the run was started with.
        step: that training resumes from; what was logged beyond it before is withdrawn, where the tool can do that.

    Raises:
        ConfigError: a package is missing.
    """
    check_trackers(names)
    start = {
        "tensorboard": lambda: TensorBoard(store, step),
        "mlflow": lambda: MLflow(name, settings),
        "wandb": lambda: WandB(name, settings),
    }
    return [start[each]() for each in names]


def numbers(values: dict) -> dict[str, float]:
    """The finite numbers of a row."""
    return {k: float(v) for k, v in values.items() if isinstance(v, (int, float)) and math.isfinite(v)}


class TensorBoard:
    """Event files in ``<run>/tensorboard``; for a bucket they are written locally and copied at every flush."""

    def __init__(self, store: Store, step: int):
        from tensorboardX import SummaryWriter

        self.store = store
        self.temp = None if isinstance(store, LocalStore) else tempfile.TemporaryDirectory(prefix="flexpose-tb-")
        self.folder = Path(self.temp.name if self.temp else store.root / FOLDER)
        self.writer = SummaryWriter(str(self.folder), purge_step=step + 1 if step else None)

    def row(self, step: int, values: dict[str, float]) -> None:
        for key, value in numbers(values).items():
            self.writer.add_scalar(key, value, step)

    def picture(self, step: int, image_HWC: np.ndarray) -> None:
        self.writer.add_image("samples", image_HWC, step, dataformats="HWC")

    def flush(self) -> None:
        self.writer.flush()  # what is still in its queue comes with the next flush
        self._put()

    def close(self) -> None:
        self.writer.close()
        self._put()
        if self.temp:
            self.temp.cleanup()

    def _put(self) -> None:
        if self.temp:
            for file in self.folder.iterdir():
                self.store.put(f"{FOLDER}/{file.name}", file.read_bytes())


class MLflow:
    """A run of MLflow, on the server and in the experiment named by MLflow's environment variables."""

    def __init__(self, name: str, settings: dict):
        import mlflow

        self.tool = mlflow
        mlflow.start_run(run_name=name)
        mlflow.log_dict(settings, "settings.json")

    def row(self, step: int, values: dict[str, float]) -> None:
        self.tool.log_metrics(numbers(values), step=step)

    def picture(self, step: int, image_HWC: np.ndarray) -> None:
        self.tool.log_image(image_HWC, key="samples", step=step)

    def flush(self) -> None:
        """Nothing to do: MLflow sends on its own."""

    def close(self) -> None:
        self.tool.end_run()


class WandB:
    """A run of Weights & Biases, in the project named by its environment variables; a resumed run continues there."""

    def __init__(self, name: str, settings: dict):
        import wandb

        self.tool = wandb
        self.run = wandb.init(id=name, name=name, config=settings, resume="allow")

    def row(self, step: int, values: dict[str, float]) -> None:
        self.run.log(numbers(values), step=step)

    def picture(self, step: int, image_HWC: np.ndarray) -> None:
        self.run.log({"samples": self.tool.Image(image_HWC)}, step=step)

    def flush(self) -> None:
        """Nothing to do: Weights & Biases sends on its own."""

    def close(self) -> None:
        self.run.finish()
