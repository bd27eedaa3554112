"""Checkpoints: whole or not there, the newest counts, bit for bit."""

import threading
from dataclasses import replace

import pytest
import torch

from flexpose_ray.engine.train.background import BackgroundWriter
from flexpose_ray.engine.train.checkpoint import PREFIX, Checkpoint, last_checkpoint, write_checkpoint
from flexpose_ray.errors import WeightsError
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

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


def test_the_one_with_the_best_fd_is_kept_beside_the_last(tmp_path):
    store = open_store(tmp_path)
    for step, fd in enumerate((0.5, 0.3, 0.4, None, 0.6, 0.35), start=1):
        row = {"kimg": step * 0.032, **({} if fd is None else {"fd": fd})}
        history = [*(last_checkpoint(store).history if step > 1 else []), row]
        write_checkpoint(store, replace(checkpoint(step), history=history), keep=2)
    assert [int(key.removeprefix(PREFIX)[:9]) for key in store.list(PREFIX)] == [2, 5, 6]


def test_a_changed_number_within_the_tensors_is_found(tmp_path):
    store = open_store(tmp_path)
    write_checkpoint(store, checkpoint())
    (key,) = store.list(PREFIX)
    data = bytearray(store.get(key))
    data[-1] ^= 1
    store.put(key, bytes(data))
    with pytest.raises(WeightsError, match="damaged checkpoint: its hash differs"):
        last_checkpoint(store)


def test_what_lies_beside_checkpoints_does_not_count(tmp_path):
    store = open_store(tmp_path)
    write_checkpoint(store, checkpoint())
    store.put(f"{PREFIX}000000009.safetensors.bak", b"mine")
    assert last_checkpoint(store).numbers["step"] == 7


def test_another_run_s_is_refused_and_one_of_an_earlier_version_taken(tmp_path):
    store = open_store(tmp_path)
    write_checkpoint(store, checkpoint())
    assert last_checkpoint(store, "mine").run is None
    write_checkpoint(store, replace(checkpoint(), run="theirs"))
    assert last_checkpoint(store, "theirs").run == "theirs"
    with pytest.raises(WeightsError, match="checkpoint of another run, theirs; this run is mine"):
        last_checkpoint(store, "mine")


def test_a_copy_stays_when_training_goes_on():
    network = torch.nn.Linear(2, 2)
    taken = Checkpoint(network.state_dict(), {"step": 1}, [{"kimg": 1}]).copied()
    before = taken.tensors["weight"].clone()
    network.weight.data += 1
    assert torch.equal(taken.tensors["weight"], before)


def test_work_behind_the_back_is_done_in_order_one_at_a_time():
    background, done, may_go = BackgroundWriter(), [], threading.Event()
    background.submit(lambda: (may_go.wait(10), done.append(1)))
    assert done == []
    threading.Timer(0.05, may_go.set).start()
    background.submit(lambda: done.append(2))
    assert done[0] == 1
    background.wait()
    assert done == [1, 2]


def test_a_failure_behind_the_back_surfaces_once_at_the_next_work():
    background = BackgroundWriter()
    background.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        background.submit(lambda: None)
    background.wait()
    background.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        background.wait()
    background.wait()
