"""Poses in this process: those that a data set of the same model, seed, index and batch holds, without Ray."""

import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

import flexpose_ray
from flexpose_ray.dataset.layout import MODEL, plan_shards
from flexpose_ray.dataset.pictures import draw_images, read_images
from flexpose_ray.dataset.render import ShardRenderer
from flexpose_ray.errors import ConfigError, DataError, StorageError, WeightsError
from flexpose_ray.models import model as model_module
from flexpose_ray.models.generators import copy_model, load_sampler
from flexpose_ray.models.shipped import shipped_folder
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.gate import GateSettings
from flexpose_ray.storage.open import open_store
from tests.run_specs import run_spec
from tests.small_flow import save_blended, save_flow, save_taught

SPARED = ("boto3", "cv2", "matplotlib", "pandas", "pyarrow", "ray", "scipy", "sklearn")
USE = f"""
import sys
import flexpose_ray
assert "numpy" not in sys.modules
for uri in sys.argv[1:]:
    print(flexpose_ray.load(uri).sample(2).shape)
print(*(set({SPARED!r}) & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def models(tiny_generator, tmp_path_factory) -> dict[str, str]:
    """URIs of a model of every kind."""
    folder = tmp_path_factory.mktemp("models")
    uris = {kind: str(folder / kind) for kind in ("flow", "taught", "blended flow", "blended StyleGAN")}
    save_flow(uris["flow"], {"attribution": "of the flow"})
    save_taught(uris["taught"])
    save_blended(uris["blended flow"], uris["flow"], {"shots": 3})
    save_blended(uris["blended StyleGAN"], tiny_generator)
    return uris | {"StyleGAN": tiny_generator}


@pytest.mark.parametrize("kind", ["flow", "taught", "blended flow", "blended StyleGAN", "StyleGAN"])
def test_poses_are_those_of_a_data_set(kind, models, tmp_path):
    store = open_store(tmp_path)
    digest = copy_model(models[kind], store.child(MODEL))
    run = run_spec(generator=digest, seed=11, shard_size=40, batch=16, gate=asdict(GateSettings(mode="off")))
    renderer = ShardRenderer(store, run)
    model = flexpose_ray.load(models[kind], batch=16)
    for shard in plan_shards(100, 40):
        poses = renderer.poses(shard)
        keypoints, confidence = model.sample(shard.rows, seed=11, start=40 * shard.index, confidence=True)
        np.testing.assert_array_equal(keypoints, poses.keypoints_NJ2)
        np.testing.assert_array_equal(confidence, poses.confidence_NJ)
    whole_NJ2 = model.sample(100, seed=11)
    np.testing.assert_allclose(whole_NJ2[80:], keypoints, atol=1e-5)
    assert np.abs(whole_NJ2[:20] - keypoints).max() > 1e-3


def test_what_it_says_of_itself(models):
    flow, blended, stylegan = (flexpose_ray.load(models[kind]) for kind in ("flow", "blended flow", "taught"))
    assert [flow.kind, blended.kind, stylegan.kind] == ["flow", "flow", "stylegan"]
    assert flow.card == {"attribution": "of the flow"}
    assert blended.card["shots"] == 3
    assert flow.digest == load_sampler(models["flow"]).digest != blended.digest
    assert flow.joints[:3] == ("head", "neck", "pelvis")
    assert len(flow.joints) == flow.skeleton.n_joints == 15
    assert (flow.batch, stylegan.batch) == (1024, 64)
    assert repr(flow) == f"PoseModel(kind='flow', skeleton='body_15', digest={flow.digest[:16]!r})"


def test_a_long_call_is_drawn_in_parts_and_gives_the_same(models, monkeypatch):
    model = flexpose_ray.load(models["blended flow"], batch=16)
    whole = model.sample(100, start=5, confidence=True)
    monkeypatch.setattr(model_module, "AT_ONCE", 40)
    for parts, at_once in zip(model.sample(100, start=5, confidence=True), whole, strict=True):
        np.testing.assert_array_equal(parts, at_once)
    assert model.sample(0).shape == (0, 15, 2)


def test_threads_are_left_as_they_were(models, monkeypatch):
    model, seen = flexpose_ray.load(models["flow"]), []
    sample = model._sampler.sample
    monkeypatch.setattr(model._sampler, "sample", lambda *args: seen.append(torch.get_num_threads()) or sample(*args))
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model.sample(1)
        assert (seen, torch.get_num_threads(), torch.backends.cudnn.deterministic) == ([1], 2, False)
    finally:
        torch.set_num_threads(before)


def test_the_shipped_generator_has_a_name_and_a_bucket_does_too(models, s3_uri):
    shipped = flexpose_ray.load("builtin:coco-adversarial")
    assert "COCO" in shipped.card["attribution"]
    copy_model(models["blended flow"], open_store(s3_uri))
    np.testing.assert_array_equal(
        flexpose_ray.load(s3_uri).sample(5), flexpose_ray.load(models["blended flow"]).sample(5)
    )


@pytest.mark.slow
def test_a_flow_and_a_stylegan_need_nothing_but_torch(models):
    command = [sys.executable, "-c", USE, models["blended flow"], shipped_folder("builtin:coco-adversarial")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.splitlines() == ["(2, 15, 2)", "(2, 15, 2)", ""], ended.stderr


# ----- pictures


def test_images_are_a_data_set_s_pictures(models):
    model = flexpose_ray.load(models["flow"])
    keypoints_NJ2 = model.sample(3)
    pictures_NHWC = read_images(draw_images(keypoints_NJ2, Alpha(size=16), "png"), 3)
    np.testing.assert_array_equal(model.images(keypoints_NJ2), pictures_NHWC)
    large_NHWC = model.images(keypoints_NJ2, size=40)
    assert (large_NHWC.shape, large_NHWC.dtype) == ((3, 40, 40, 3), np.uint8)
    assert large_NHWC.max() > 200
    assert model.images(keypoints_NJ2[:0]).shape == (0, 16, 16, 3)


@pytest.mark.parametrize("keypoints", [np.zeros((2, 14, 2)), np.zeros((15, 2)), np.full((1, 15, 2), np.nan)])
def test_keypoints_of_others_are_refused(keypoints, models):
    with pytest.raises(DataError, match=r"^keypoints: "):
        flexpose_ray.load(models["flow"]).images(keypoints)


# ----- refusals


@pytest.mark.parametrize(("name", "value"), [("count", -1), ("seed", -1), ("seed", 2**64), ("start", -1)])
def test_numbers_out_of_range_are_refused(name, value, models):
    with pytest.raises(ConfigError, match=rf"^{name}: {value} is out of range \(give a number from 0 to \d+\)$"):
        flexpose_ray.load(models["flow"]).sample(**{"count": 1, name: value})


def test_an_empty_batch_is_refused(models):
    with pytest.raises(ConfigError, match=r"^batch: 0 poses a pass"):
        flexpose_ray.load(models["flow"], batch=0)


@pytest.mark.parametrize(
    ("uri", "error", "problem"),
    [
        ("nowhere", WeightsError, "no model here"),
        ("builtin:none", ConfigError, "no such shipped generator"),
        ("ftp://there", StorageError, "not an address of a known kind"),
    ],
)
def test_what_is_no_model_is_refused(uri, error, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=problem):
        flexpose_ray.load(uri)
