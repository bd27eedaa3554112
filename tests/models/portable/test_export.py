"""Models as ONNX and TorchScript: the same numbers for any batch, and a card that says what the files are."""

import hashlib
import json
import sys

import numpy as np
import onnx
import pytest
import torch

from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.detectors import save_detector
from flexpose_ray.models.generators import load_generator, load_sampler, save_adapted, save_generator
from flexpose_ray.models.portable import export
from flexpose_ray.models.portable.export import export_model
from flexpose_ray.models.portable.graphs import run_onnx, run_torchscript, to_onnx
from flexpose_ray.models.portable.networks import networks
from flexpose_ray.networks.beta import Beta, read_heatmaps
from flexpose_ray.networks.blend import NUMBERS, Blend
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from flexpose_ray.training.pictures.detector import DetectorTrainer
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from tests.small_flow import save_blended, save_flow, save_taught

RUN = {"onnx": run_onnx, "torchscript": run_torchscript}
BATCHES = (1, 3, 64)


@pytest.fixture(scope="module")
def adapted(tiny_generator, tmp_path_factory) -> str:
    """URI of a model whose tau moves what it samples, and that blends its poses with shots."""
    uri, base = str(tmp_path_factory.mktemp("moved")), load_generator(tiny_generator)
    torch.manual_seed(1)
    transfer = Transfer.for_generator(base.generator, (1, 3), bias=True)
    for parameter in transfer.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    shots_SJ2 = np.random.default_rng(0).random((3, 15, 2)).astype(np.float32)
    transfer.set_blend(Blend(3, 15, prior=0.5))
    transfer.blend.shots_SJ2.copy_(torch.as_tensor(shots_SJ2))
    save_adapted(uri, tiny_generator, base.digest, transfer, shots_SJ2, {"attribution": "of the shots"})
    return uri


@pytest.fixture(scope="module", params=[pytest.param("onnx", marks=pytest.mark.slow), "torchscript"])
def exported(request, adapted, tmp_path_factory) -> tuple[Store, dict]:
    """Where ``adapted`` was exported to, and the card."""
    out = str(tmp_path_factory.mktemp(request.param))
    return open_store(out), export_model(adapted, request.param, out)


def as_tuple(found):
    return found if isinstance(found, tuple) else (found,)


def differences(uri, card, store):
    """Greatest difference of every file's outputs from the networks' own, over batches of several sizes."""
    found = {}
    for network, key in zip(networks(load_sampler(uri), read_heatmaps), card["files"], strict=True):
        for x in map(network.example, BATCHES):
            with torch.inference_mode():
                wanted = network.module(x)
            pairs = zip(RUN[card["format"]](store.get(key), x), as_tuple(wanted), strict=True)
            for port, (ours, theirs) in zip(network.outputs, pairs, strict=True):
                assert list(ours.shape) == [len(x), *port["shape"][1:]]
                found[key] = max(found.get(key, 0.0), (ours - theirs).abs().max().item())
    return found


def test_every_file_computes_what_the_networks_do_for_any_batch(exported, adapted):
    store, card = exported
    assert max(differences(adapted, card, store).values()) < 1e-5


def test_the_sampler_goes_through_tau_and_gives_the_poses_of_the_addresses(exported, adapted, tiny_generator):
    store, card = exported
    key = next(key for key in card["files"] if key.startswith("sampler"))
    z = torch.as_tensor(latents(7, np.arange(10), 128 + NUMBERS))
    found_NJ2 = RUN[card["format"]](store.get(key), z)[0].numpy()
    np.testing.assert_allclose(found_NJ2, load_sampler(adapted).sample(7, np.arange(10))[0], atol=1e-5)
    assert np.abs(found_NJ2 - load_sampler(tiny_generator).sample(7, np.arange(10))[0]).max() > 1e-3


def test_the_card_says_what_the_files_are(exported, adapted):
    store, card = exported
    stored = json.loads(store.get(f"{card['format']}.json"))
    assert stored == json.loads(json.dumps({key: value for key, value in card.items() if key != "uri"}))
    assert (stored["digest"], stored["attribution"]) == (load_sampler(adapted).digest, ["of the shots"])
    assert stored["kind"] == "stylegan"
    assert stored["opset"] == (18 if card["format"] == "onnx" else None)
    assert stored["skeleton"]["joints"][:2] == ["head", "neck"]
    files = list(stored["files"].values())
    assert [file["input"]["shape"] for file in files] == [["N", 128], ["N", 3, 16, 16], ["N", 133]]
    assert [[port["shape"] for port in file["outputs"]] for file in files[:2]] == [
        [["N", 3, 16, 16]],
        [["N", 15, 2], ["N", 15]],
    ]
    for key, file in stored["files"].items():
        assert (len(store.get(key)), hashlib.sha256(store.get(key)).hexdigest()) == (file["bytes"], file["sha256"])


def test_nothing_of_this_machine_is_in_the_files(exported):
    store, _ = exported
    content = b"".join(store.get(key) for key in store.list())
    for place in (export.__file__.rpartition("/flexpose_ray/")[0], torch.__file__.rpartition("/torch/")[0]):
        assert place.encode() not in content


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["onnx"], indirect=True)  # types in TorchScript are numbered within a process
def test_onnx_is_the_same_bytes_again_and_names_its_model(exported, adapted):
    store, card = exported
    data = store.get("beta.onnx")
    about = {prop.key: prop.value for prop in onnx.load_from_string(data).metadata_props}
    assert (about["flexpose.digest"], about["flexpose.kind"]) == (card["digest"], "stylegan")
    assert to_onnx(networks(load_sampler(adapted), read_heatmaps)[1], about) == data


@pytest.mark.slow
def test_onnx_of_the_shipped_generator_is_equal_to_1e_4(tmp_path):
    card = export_model("builtin:coco-adversarial", "onnx", str(tmp_path))
    assert "COCO" in card["attribution"][0]
    assert max(differences("builtin:coco-adversarial", card, open_store(tmp_path)).values()) < 1e-4


def test_faces_of_one_channel_are_exported_too(tmp_path):
    torch.manual_seed(0)
    parts = Generator(16, 1, base=64, most=16), Discriminator(16, 1, base=64, most=16), Beta(68, 1, width=4)
    alpha, source_NJ2 = Alpha("face_68", 16, 1), torch.rand(80, 68, 2)
    limits = PoseLimits.of(source_NJ2.numpy(), alpha.skeleton)
    save_generator(str(tmp_path / "model"), Networks(*parts, alpha, moments(source_NJ2)), limits, {})
    card = export_model(str(tmp_path / "model"), "torchscript", str(tmp_path / "out"))
    assert card["files"]["sampler.pt"]["outputs"][0]["shape"] == ["N", 68, 2]
    assert card["attribution"] == []
    assert max(differences(str(tmp_path / "model"), card, open_store(tmp_path / "out")).values()) < 1e-5


# ----- flows


@pytest.fixture(scope="module")
def flow_uri(tmp_path_factory) -> str:
    uri = str(tmp_path_factory.mktemp("flow"))
    save_flow(uri, {"attribution": "of the flow"})
    return uri


@pytest.fixture(scope="module")
def blended(flow_uri, tmp_path_factory) -> str:
    """URI of a model adapted from the flow, which blends its poses with shots."""
    uri = str(tmp_path_factory.mktemp("blended"))
    save_blended(uri, flow_uri, {"attribution": "of the shots"})
    return uri


ONNX_TOO = pytest.mark.parametrize("format", [pytest.param("onnx", marks=pytest.mark.slow), "torchscript"])


@ONNX_TOO
def test_a_flow_is_one_network_from_the_numbers_of_an_address_to_its_pose(format, flow_uri, blended, tmp_path):
    for name, uri, numbers in (("flow", flow_uri, 26), ("blended", blended, 26 + NUMBERS)):
        store, card = open_store(tmp_path / name), export_model(uri, format, str(tmp_path / name))
        (key, file), sampler = *card["files"].items(), load_sampler(uri)
        assert (card["kind"], card["digest"]) == ("flow", sampler.digest)
        assert (key.partition(".")[0], file["input"]["shape"]) == ("sampler", ["N", numbers])
        assert [port["shape"] for port in file["outputs"]] == [["N", 15, 2], ["N", 15]]
        assert differences(uri, card, store)[key] < 1e-5
        found = RUN[format](store.get(key), torch.as_tensor(sampler.draw_numbers(7, np.arange(10))))
        for ours, theirs in zip(found, sampler.sample(7, np.arange(10)), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
    assert card["attribution"] == ["of the shots", "of the flow"]
    assert np.abs(found[0].numpy() - load_sampler(flow_uri).sample(7, np.arange(10))[0]).max() > 1e-3


def test_a_flow_s_file_holds_the_student_alone(flow_uri):
    (network,) = networks(load_sampler(flow_uri), read_heatmaps)
    assert {name.split(".")[1] for name in network.module.state_dict()} == {"student", "mean", "std"}


@ONNX_TOO
def test_a_stylegan_that_a_flow_has_taught_is_exported_too(format, tmp_path):
    save_taught(str(tmp_path / "model"))
    save_blended(str(tmp_path / "blended"), str(tmp_path / "model"))
    for name in ("model", "blended") if format == "torchscript" else ("blended",):  # which takes minutes
        uri, out = str(tmp_path / name), str(tmp_path / f"{name}-out")
        card = export_model(uri, format, out)
        assert (card["kind"], len(card["files"])) == ("stylegan", 3)
        assert max(differences(uri, card, open_store(out)).values()) < 1e-5


def test_it_goes_to_a_bucket_too(tiny_generator, s3_uri):
    card = export_model(tiny_generator, "torchscript", s3_uri)
    assert card["uri"] == s3_uri
    assert open_store(s3_uri).list() == ["beta.pt", "generator.pt", "sampler.pt", "torchscript.json"]


# ----- refusals


def test_a_missing_package_is_one_clear_line(tiny_generator, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"^onnx: needs onnxscript \(pip install 'flexpose-ray\[portable\]'\)$"):
        export_model(tiny_generator, "onnx", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_refused(tiny_generator, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown format 'tflite' \(choose one of onnx, torchscript\)"):
        export_model(tiny_generator, "tflite", str(tmp_path))


def test_a_folder_of_another_model_is_left_alone(tiny_generator, adapted, tmp_path):
    export_model(tiny_generator, "torchscript", str(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"torchscript\.json: belongs to another model than"):
        export_model(adapted, "torchscript", str(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("error", [1e-3, float("nan")])
def test_a_file_that_computes_something_else_is_not_written(error, tiny_generator, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "run_torchscript", lambda data, x: [y + error for y in run_torchscript(data, x)])
    with pytest.raises(WeightsError, match=r"the generator as torchscript is \S+ off, 0\.0001 is allowed"):
        export_model(tiny_generator, "torchscript", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", [pytest.param("onnx", marks=pytest.mark.slow), "torchscript"])
def test_a_detector_is_one_program_from_pictures_to_poses(format, tmp_path):
    settings = DetectorSettings(size=32, width=8, prepare_steps=0)
    pictures = Unlabelled(np.zeros((2, 3, 32, 32), np.uint8), np.array(["a", "a"]))
    reader = DetectorTrainer("body_15", pictures, np.full((2, 15, 2), 0.5, np.float32), settings).reader
    digest = save_detector(str(tmp_path / "m"), reader, settings, {"attribution": "of the pictures"})
    card = export_model(str(tmp_path / "m"), format, str(tmp_path / "out"))
    assert (card["kind"], card["digest"], card["attribution"]) == ("detector", digest, ["of the pictures"])
    (key,) = card["files"]
    pictures_N3SS = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32)).astype(np.uint8)
    data = open_store(str(tmp_path / "out")).get(key)
    found_NJ2, _ = RUN[format](data, torch.as_tensor(pictures_N3SS).float() / 127.5 - 1)
    np.testing.assert_allclose(found_NJ2, reader.read(pictures_N3SS).keypoints_NJ2, atol=1e-5)
