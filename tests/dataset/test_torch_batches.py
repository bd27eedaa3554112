"""Batches for training: every pose exactly once an epoch, whoever shares the work."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest
import torch
import torch.distributed
from torch.utils.data import DataLoader

from flexpose_ray.dataset.loaders import PoseDataset
from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.alpha import to_uint8
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore


@pytest.fixture
def poses(tmp_path, make_dataset) -> PoseDataset:
    """103 poses in eleven shards."""
    make_dataset(LocalStore(tmp_path), 103)
    return PoseDataset(LocalStore(tmp_path))


def indices(batches) -> list[int]:
    return torch.cat([batch["index"] for batch in batches]).tolist()


def all_indices(poses: PoseDataset) -> list[int]:
    return np.concatenate([block["index"] for block in poses.blocks()]).tolist()


def test_stored_order(store: Store, make_dataset):
    keypoints_NJ2 = make_dataset(store, 26)
    poses = PoseDataset(store)
    batches = list(poses.to_torch(batch=8, shuffle=False))
    assert [len(batch["index"]) for batch in batches] == [8, 8, 8, 2]
    assert indices(batches) == all_indices(poses)
    torch.testing.assert_close(
        torch.cat([b["keypoints"] for b in batches]), torch.tensor(keypoints_NJ2), rtol=0, atol=0
    )
    assert batches[0]["keypoints"].dtype == batches[0]["confidence"].dtype == torch.float32
    assert batches[0]["confidence"].shape == (8, 15) and set(batches[0]) == {"index", "keypoints", "confidence"}
    batches[0]["keypoints"] += 1  # a trainer may change what it gets


def test_shuffling_keeps_columns_together_and_depends_on_seed_and_epoch(poses: PoseDataset):
    place = {index: row for row, index in enumerate(all_indices(poses))}
    stored_NJ2 = np.concatenate([block["keypoints"] for block in poses.blocks()])
    batches = poses.to_torch(batch=16, seed=1)
    first = list(batches)
    rows = [place[index] for index in indices(first)]
    assert sorted(rows) == list(range(103)) and rows != sorted(rows)
    np.testing.assert_array_equal(torch.cat([batch["keypoints"] for batch in first]), stored_NJ2[rows])
    assert indices(batches) == indices(first) == indices(poses.to_torch(batch=7, seed=1))
    batches.set_epoch(1)
    assert indices(batches) != indices(first) != indices(poses.to_torch(batch=16, seed=2))
    other = [place[index] for index in indices(batches)]
    for shard in range(10):
        one, two = ([row for row in line if row // 10 == shard] for line in (rows, other))
        assert len(one) == 10 and one != sorted(one) and one != two, "poses within a shard are shuffled anew"


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("batch", [2, 5, 12, 13, 17, 26, 1000])
def test_ranks_share_every_pose_once_and_make_as_many_batches(poses: PoseDataset, world: int, batch: int):
    ranks = [poses.to_torch(batch=batch, rank=rank, world=world) for rank in range(world)]
    found = [list(rank) for rank in ranks]
    assert {len(part) for part in found} == {len(rank) for rank in ranks} and len({len(part) for part in found}) == 1
    assert sorted(index for part in found for index in indices(part)) == sorted(all_indices(poses))
    sizes = [len(batch["index"]) for part in found for batch in part]
    assert min(sizes) > 0 and max(sizes) <= batch
    assert all(len(b["index"]) == batch for part in found for b in part[:-2]), "only a rank's end is short"


def test_batches_of_one_pose(poses: PoseDataset):
    ranks = [poses.to_torch(batch=1, rank=rank, world=2) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [51, 52] == [len(list(rank)) for rank in ranks]
    assert sorted(indices(ranks[0]) + indices(ranks[1])) == sorted(all_indices(poses))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 3, 7])
def test_loader_workers_share_a_ranks_batches(poses: PoseDataset, workers: int):
    for rank in range(2):
        batches = poses.to_torch(batch=12, rank=rank, world=2)
        loader = DataLoader(batches, batch_size=None, num_workers=workers)
        found = list(loader)
        assert len(found) == len(loader) == 5
        assert sorted(indices(found)) == sorted(indices(batches))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_that_persist_see_the_epoch(poses: PoseDataset, start: str):
    batches = poses.to_torch(batch=12)
    context = multiprocessing.get_context(start)
    loader = DataLoader(
        batches, batch_size=None, num_workers=1, persistent_workers=True, multiprocessing_context=context
    )
    for epoch in range(3):
        batches.set_epoch(epoch)
        assert indices(loader) == indices(batches)


def test_stored_pictures(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path), 26, images="png")
    poses = PoseDataset(LocalStore(tmp_path))
    assert "image" not in next(iter(poses.to_torch(batch=4)))
    for batch in poses.to_torch(batch=4, images=True):
        assert batch["image"].dtype == torch.uint8 and batch["image"].shape[1:] == (3, 16, 16)
        drawn_NHWC = to_uint8(poses.alpha.draw(batch["keypoints"]))
        assert np.abs(batch["image"].permute(0, 2, 3, 1).numpy().astype(int) - drawn_NHWC).max() <= 1


def test_rank_comes_from_torch_distributed(poses: PoseDataset, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        batches = poses.to_torch()
    finally:
        torch.distributed.destroy_process_group()
    assert (batches.rank, batches.world) == (0, 1)


def test_a_pass_that_is_left_early_leaves_no_thread(poses: PoseDataset):
    before = threading.active_count()
    for _ in poses.to_torch(batch=4):
        break
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"batch": 0}, "batch 0"), ({"seed": -1}, "seed -1"), ({"images": True}, "holds no pictures"),
        ({"rank": 1}, "together"), ({"rank": 2, "world": 2}, "rank 2 of 2"), ({"rank": 0, "world": 104}, "of 104"),
    ],
)  # fmt: skip
def test_wrong_arguments(poses: PoseDataset, wrong: dict, problem: str):
    with pytest.raises(ConfigError, match=problem):
        poses.to_torch(**wrong)
