"""Checkpoints: whole or not there, the newest counts, bit for bit."""

import pytest
import torch

from flexpose_ray.core.errors import WeightsError
from flexpose_ray.engine.checkpoint import PREFIX, Checkpoint, last_checkpoint, write_checkpoint
from flexpose_ray.io.store import Store, open_store

HISTORY = [{"kimg": 0.1, "g_loss": 0.1 + 0.2}, {"kimg": 0.2, "g_loss": 1e-17, "fd": 0.5}]


def checkpoint(step=7):
    image_like = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(step))
    tensors = {"net.weight": image_like.to(memory_format=torch.channels_last), "adam.0.step": torch.tensor(float(step))}
    return Checkpoint(tensors, {"step": step, "strength": 1 / 3}, HISTORY)


def test_a_checkpoint_comes_back_bit_for_bit(store: Store):
    write_checkpoint(store, checkpoint())
    back = last_checkpoint(store)
    assert (back.numbers, back.history) == ({"step": 7, "strength": 1 / 3}, HISTORY)
    assert back.tensors.keys() == checkpoint().tensors.keys()
    assert all(torch.equal(tensor, checkpoint().tensors[name]) for name, tensor in back.tensors.items())


def test_there_is_none_at_the_start(store: Store):
    assert last_checkpoint(store) is None


def test_the_largest_step_is_the_last_and_few_are_kept(store: Store):
    for step in (5, 90, 1000, 20_000_000):
        write_checkpoint(store, checkpoint(step))
        assert last_checkpoint(store).numbers["step"] == step
    assert [int(key.removeprefix(PREFIX)[:9]) for key in store.list(PREFIX)] == [1000, 20_000_000]


def test_the_same_step_again_replaces_it(store: Store):
    write_checkpoint(store, checkpoint())
    write_checkpoint(store, Checkpoint(checkpoint().tensors, {"step": 7}, []))
    assert last_checkpoint(store).history == []
    assert len(store.list()) == 1


@pytest.mark.parametrize("damage", [lambda d: d[:-4], lambda d: d[:5], lambda d: b"", lambda d: b"\xff" * len(d)])
def test_a_damaged_one_is_named_with_the_way_out(tmp_path, damage):
    store = open_store(tmp_path)
    write_checkpoint(store, checkpoint(1))
    write_checkpoint(store, checkpoint(2))
    key = store.list(PREFIX)[-1]
    store.put(key, damage(store.get(key)))
    with pytest.raises(WeightsError, match=r"000000002\.safetensors: damaged checkpoint \(delete it: .* before"):
        last_checkpoint(store)
    store.delete(key)
    assert last_checkpoint(store).numbers["step"] == 1
