"""Shots of adapted models, read without their networks."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from flexpose_ray.errors import WeightsError
from flexpose_ray.models.generators import copy_model, load_sampler
from flexpose_ray.models.shots import read_shots
from flexpose_ray.storage.local import LocalStore


def test_they_are_those_of_the_sampler(tiny_adapted: str, tiny_generator: str):
    np.testing.assert_array_equal(read_shots(tiny_adapted), load_sampler(tiny_adapted).shots_SJ2)
    assert read_shots(tiny_generator) is None


def test_reading_loads_no_torch():
    code = "import sys, flexpose_ray.models.shots; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("damage", ["no head", "broken head", "no object", "no key", "no tensors", "other tensors"])
def test_damage_is_found(tiny_adapted: str, tmp_path, damage: str):
    store = LocalStore(tmp_path)
    copy_model(tiny_adapted, store)
    head = json.loads(store.get("model.json"))
    if damage == "no head":
        store.delete("model.json")
    elif damage == "no tensors":
        store.delete(head["tensors"])
    elif damage == "other tensors":
        store.put(head["tensors"], b"damaged")
    else:
        del head["sha256"]
        heads = {"broken head": b"{", "no object": b"[]", "no key": json.dumps(head).encode()}
        store.put("model.json", heads[damage])
    with pytest.raises(WeightsError) as error:
        read_shots(store.uri)
    assert "\n" not in str(error.value)
