"""A pretraining of seconds, and what every disturbed one has to end with."""

from __future__ import annotations

from contextlib import suppress

import psutil
import torch

from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.models.weights import read_model
from flexpose_ray.storage.open import open_store

SPEEDS = ("kimg_s", "eta_s")
RECIPE = {
    "name": "tiny",
    "source": "synthetic:rowing?count=300",
    "pretrain": {
        "kind": "stylegan", "teacher": "none",
        "alpha": {"size": 16}, "network": {"z_size": 16, "w_size": 16, "depth": 2, "base": 64, "most": 8},
        "beta": {"width": 4, "steps": 20, "batch": 16},
        "kimg": 1.6, "report_kimg": 0.08, "eval_kimg": 0.16, "pose_from_kimg": 0.1, "eval_samples": 64,
        "batch": 16, "r1_every": 4, "held_out": 0.2, "bf16": False, "threads": 1,
    },
}  # fmt: skip


def numbers(done: dict) -> list[dict]:
    """The history of a run without what depends on the hour."""
    return [{k: v for k, v in row.items() if k not in SPEEDS} for row in done["history"]]


def assert_same_run(done: dict, undisturbed: dict) -> None:
    """Losses, FD, state and best generator: equal to the last bit."""
    assert numbers(done) == numbers(undisturbed)
    one, other = (last_checkpoint(open_store(d["run"])) for d in (done, undisturbed))
    assert one.numbers == other.numbers
    assert [name for name, tensor in one.tensors.items() if not torch.equal(tensor, other.tensors[name])] == []
    assert read_model(done["generator"]).digest == read_model(undisturbed["generator"]).digest


def workers_among(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The training workers, as long as they run."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if "RayTrainWorker" in " ".join(process.cmdline()):  # of a zombie it is empty
                found.append(process)
    return found
