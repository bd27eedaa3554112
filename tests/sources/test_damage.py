"""Files of every kind, damaged at random, end in one line; as do files that would unpack without end."""

from __future__ import annotations

import gzip
import io
import json
import time

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import ConfigError, DataError, FlexPoseError
from flexpose_ray.pose.skeleton import BODY_15, load_skeleton
from flexpose_ray.sources import text
from flexpose_ray.sources.formats import FORMATS
from flexpose_ray.sources.joint_map import read_mapping
from flexpose_ray.sources.read import read_source

RNG = np.random.default_rng(0)


def mat(**arrays):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def mediapipe():
    points = [{"x": x, "y": y, "visibility": 0.9} for x, y in RNG.uniform(0.1, 0.9, (33, 2)).tolist()]
    return json.dumps({"pose_landmarks": points}).encode()


def wflw():
    return ("\n".join(" ".join([*(f"{v:.3f}" for v in row), "a.jpg"]) for row in RNG.uniform(9, 99, (3, 196)))).encode()


def mpii():
    return "\n".join(",".join(["a.jpg", *(f"{v:.1f}" for v in row)]) for row in RNG.uniform(9, 99, (3, 32))).encode()


# Kinds whose own tests do not damage them: the file's name, its content and the options that it needs.
SOUND = {
    "lsp": ("joints.mat", mat(joints=RNG.uniform(10, 200, (14, 3, 5))), ""),
    "penn": ("0001.mat", mat(x=RNG.uniform(9, 99, (4, 13)), y=RNG.uniform(9, 99, (4, 13)), action="squat"), ""),
    "mpii": ("joints.csv", mpii(), ""),
    "wflw": ("list_98pt_test.txt", wflw(), ""),
    "mediapipe": ("p.json", mediapipe(), "?size=640x480"),
    "motion": ("p.npz", npz(**{"walk/a": RNG.normal(size=(4, 38, 3))}), "?cameras=fixed"),
}
NO_FILES = {
    "empty": b"", "zeros": b"\0" * 100, "utf16": b"\xff\xfe" * 50, "zip": b"PK\x05\x06" + bytes(18),
    "deep": b"[" * 100_000,
}  # fmt: skip
NAMES = {"table": "p.csv", "h36m": "p.cdf", "h36m3d": "p.cdf", "pts": "p.pts", "surreal": "p_info.mat"}


@pytest.mark.parametrize("kind", SOUND)
@given(changes=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=6)), max_size=4), end=st.integers(0, 9000))
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, kind, changes, end):
    name, sound, options = SOUND[kind]
    content = bytearray(sound)
    for place, new in changes:
        place %= len(content)
        content[place : place + len(new)] = new
    (tmp_path / name).write_bytes(bytes(content[: end or None]))
    try:
        read_source(f"{kind}:{tmp_path}/{name}{options}")
    except FlexPoseError as e:
        assert "\n" not in str(e)


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize("content", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_of_the_kind_is_refused_in_one_line(tmp_path, kind, content):
    name = NAMES.get(kind, "p.x")
    (tmp_path / name).write_bytes(content)
    options = "?cameras=fixed" if FORMATS[kind].in_3d else ""
    with pytest.raises((DataError, ConfigError)) as caught:
        read_source(f"{kind}:{tmp_path}/{name}{options}")
    assert "\n" not in str(caught.value)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "MAX_BYTES", 1 << 20)
    (tmp_path / "p.json.gz").write_bytes(gzip.compress(bytes(4 << 20)))
    with pytest.raises(DataError, match="holds more than"):
        read_source(f"coco:{tmp_path}/p.json.gz")


def test_yaml_that_repeats_itself_without_end_is_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (tmp_path / "m.yaml").write_text("\n".join([*lines, *(f"{joint}: *a11" for joint in BODY_15.joints)]))
    (tmp_path / "s.yaml").write_text("\n".join([*lines, "name: a", "joints: [a, b]", "limbs: *a11"]))
    begun = time.process_time()
    with pytest.raises(ConfigError, match="found"):
        read_mapping(tmp_path / "m.yaml")
    with pytest.raises(ConfigError):
        load_skeleton(tmp_path / "s.yaml")
    assert time.process_time() - begun < 20
