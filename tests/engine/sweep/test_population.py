"""A member that takes over another's training: it goes on under its own name, from all that it needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flexpose_ray.config.sweep import Range, SweepConfig
from flexpose_ray.engine.sweep.population import (
    Members,
    copy_run,
    next_generation,
    perturb,
    pointed_run,
    pointer_checkpoint,
    save_generation,
)
from flexpose_ray.engine.train.checkpoint import Checkpoint, last_checkpoint, write_checkpoint
from flexpose_ray.errors import WeightsError
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

DIMENSIONS = (
    Range(loguniform=(1e-4, 1.0)),
    ([1], [1, 3], "w"),
    Range(randint=(0, 9)),
    Range(uniform=(1, 2)),
)


def test_a_run_goes_on_where_the_donor_is(store: Store):
    donor, run = store.child("runs/000000/g000/pretrain-a"), store.child("runs/000001/g001/pretrain-b")
    for step in (8, 16):
        history = [{"kimg": step / 1000, "fd": 1.0}]
        write_checkpoint(donor, Checkpoint({"w": torch.ones(3) * step}, {"step": step}, history, "pretrain-a"))
    for name in ("source.parquet", "beta.safetensors", "generator/model.json", "pretrain.json", "tensorboard/x"):
        donor.put(name, name.encode())
    copy_run(donor, run, "pretrain-b")
    last = last_checkpoint(run, "pretrain-b")
    assert last.numbers["step"] == 16 and torch.equal(last.tensors["w"], torch.ones(3) * 16)
    assert {"source.parquet", "beta.safetensors", "generator/model.json"} < set(run.list())
    assert not run.exists("pretrain.json"), "a run that goes on is not done"
    with pytest.raises(WeightsError, match="has no checkpoint"):
        copy_run(store.child("nobody"), run, "pretrain-b")


def test_members_remember_their_generation(tmp_path):
    store = open_store(tmp_path)
    trial, other = store.child("runs/000001"), f"{store.uri}/runs/000000/g000/pretrain-a"
    assert next_generation(trial, None) == "g000"
    save_generation(trial, "g000", {"pretrain.lr": 0.5})
    assert next_generation(trial, None) == "g000" == next_generation(trial, f"{trial.uri}/g000/pretrain-b")
    assert next_generation(trial, other) == "g001"
    assert pointed_run(pointer_checkpoint(other)) == other and pointed_run(None) is None
    sweep = SweepConfig(
        over="pretrain", space={"pretrain.lr": (0.1, 0.2)}, algorithm="random", trials=2, scheduler="pbt"
    )
    members = Members(sweep, [0, 1], store)
    assert members.choose(1, "x") == {"pretrain.lr": 0.5} and members.choose(0, "y") == sweep.point(0)


def test_a_changed_point_stays_in_the_space():
    rng = np.random.default_rng(0)
    for dimension in DIMENSIONS:
        value = dimension.draw(rng) if isinstance(dimension, Range) else dimension[0]
        seen = []
        for _ in range(100):
            value = perturb(dimension, value, rng)
            seen.append(str(value))
            if isinstance(dimension, Range):
                low, high = dimension.bounds
                assert low <= value <= high and (not dimension.randint or isinstance(value, int))
            else:
                assert value in dimension
        assert len(set(seen)) > 2
