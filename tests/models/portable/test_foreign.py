"""State dicts from elsewhere: the same model comes of them, and what is not just that is refused by name."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from flexpose_ray.errors import ConfigError, DataError, FlexPoseError, WeightsError
from flexpose_ray.models.generators import load_sampler, save_generator
from flexpose_ray.models.portable import foreign
from flexpose_ray.models.portable.foreign import import_generator
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.geometry import flip
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15

SOURCE = PoseSet(np.random.default_rng(0).random((60, 15, 2)).astype(np.float32))
ALPHA = Alpha(size=16)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    beta = Beta(width=4)
    beta(torch.randn(4, 3, 16, 16))  # so that its running statistics are not those of the start
    shared = dict(base=64, most=16)
    return {
        "generator": Generator(16, z_size=16, depth=2, **shared),
        "discriminator": Discriminator(16, **shared),
        "beta": beta,
    }


@pytest.fixture(autouse=True)
def few_judged(monkeypatch):
    monkeypatch.setattr(foreign, "JUDGED", 64)  # figures of so few are enough here


@pytest.fixture
def states(parts):
    return {name: {key: t.clone() for key, t in part.state_dict().items()} for name, part in parts.items()}


@pytest.fixture
def config(parts, tmp_path):
    return write_config(tmp_path, parts)


def write_config(folder, parts, **changes):
    sections = {name: dict(part.config) for name, part in parts.items()} | {"alpha": ALPHA.config}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        sections[section][name] = value
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(sections))
    return file


def flat(states):
    return {f"{name}.{key}": t for name, state in states.items() for key, t in state.items()}


def native_digest(parts, folder):
    both_sides_NJ2 = np.concatenate([SOURCE.keypoints_NJ2, flip(SOURCE.keypoints_NJ2, BODY_15)])
    limits = PoseLimits.of(SOURCE.keypoints_NJ2, BODY_15)
    return save_generator(str(folder), Networks(**parts, alpha=ALPHA, source=moments(both_sides_NJ2)), limits, {})


def refused(weights, config, out, kind=WeightsError, source=SOURCE):
    """The one line of a refusal that left nothing behind."""
    with pytest.raises(FlexPoseError) as caught:
        import_generator(weights, config, source, str(out))
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


# ----- what is taken over


@pytest.mark.parametrize("form", ["dict of dicts", "names", "safetensors", "a model's own files"])
def test_the_same_weights_are_the_same_model(form, parts, states, config, tmp_path):
    digest = native_digest(parts, tmp_path / "native")
    weights = tmp_path / "weights.pth"
    if form == "dict of dicts":
        torch.save(states, weights)
    elif form == "names":
        torch.save(flat(states), weights)
    elif form == "safetensors":
        weights = tmp_path / "weights.safetensors"
        save_file(flat(states), weights)
    else:
        weights = next((tmp_path / "native").glob("*.safetensors"))
        config = tmp_path / "native" / "model.json"
    made = import_generator(weights, config, SOURCE, str(tmp_path / "out"), "mine, CC BY 4.0")
    assert made["digest"] == load_sampler(str(tmp_path / "out")).digest == digest
    ours, theirs = (load_sampler(str(tmp_path / name)).sample(3, np.arange(5))[0] for name in ("out", "native"))
    np.testing.assert_array_equal(ours, theirs)


def test_the_card_says_where_it_comes_from_and_how_well_it_fits(states, config, tmp_path):
    torch.save(states, tmp_path / "mine.pt")
    import_generator(tmp_path / "mine.pt", config, SOURCE, str(tmp_path / "out"), "mine, CC BY 4.0")
    card = json.loads((tmp_path / "out" / "model.json").read_text())["card"]
    assert (card["attribution"], card["imported"]["file"], card["poses"]) == ("mine, CC BY 4.0", "mine.pt", 60)
    assert card["beta_error_px"] > 1  # beta was never trained
    assert card["fd_source"] > 0.1


def test_once_more_changes_nothing_and_another_model_is_refused(states, config, tmp_path):
    torch.save(states, tmp_path / "one.pt")
    first = import_generator(tmp_path / "one.pt", config, SOURCE, str(tmp_path / "out"))
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert import_generator(tmp_path / "one.pt", config, SOURCE, str(tmp_path / "out")) == first
    states["generator"]["start"] += 1
    torch.save(states, tmp_path / "two.pt")
    with pytest.raises(ConfigError, match="out: holds another model"):
        import_generator(tmp_path / "two.pt", config, SOURCE, str(tmp_path / "out"))
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


# ----- code is never run


class Command:
    """Unpickling it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("form", ["torch.save", "pickle 2", "pickle 5"])
def test_code_in_a_pickle_is_not_run(form, states, config, tmp_path):
    states["generator"]["start"] = Command(tmp_path / "harm")
    weights = tmp_path / "weights.pth"
    if form == "torch.save":
        torch.save(states, weights)
    else:
        weights.write_bytes(pickle.dumps({"generator": Command(tmp_path / "harm")}, protocol=int(form[-1])))
    message = refused(weights, config, tmp_path / "out")
    assert "run" in message
    assert "weights_only" not in message
    assert not (tmp_path / "harm").exists()
    pickle.loads(pickle.dumps(Command(tmp_path / "harm")))
    assert (tmp_path / "harm").exists()  # it would have


def test_a_pickled_module_is_refused_by_the_name_of_its_code(parts, config, tmp_path):
    torch.save(parts["beta"], tmp_path / "beta.pth")
    assert "holds code (flexpose_ray.networks.beta.Beta), which is not run" in refused(
        tmp_path / "beta.pth", config, tmp_path / "out"
    )


# ----- files that are something else


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no archive", b"\x80\x02}q\x00."[:4]])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_what_is_no_file_of_weights_is_refused(content, name, config, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name, config, tmp_path / "out").startswith(str(tmp_path / name))


def test_a_truncated_or_missing_file_and_torchscript_are_refused(states, config, tmp_path):
    torch.save(states, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(content[: len(content) // 2])
    assert "is damaged, or not a weights file" in refused(tmp_path / "half.pth", config, tmp_path / "out")
    assert "cannot be read: No such file" in refused(tmp_path / "none.pth", config, tmp_path / "out")
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "program.pt")
    assert "is a TorchScript program" in refused(tmp_path / "program.pt", config, tmp_path / "out")


@pytest.mark.parametrize(
    "keys",
    [
        ["G_ema.synthesis.b4.const", "G_ema.synthesis.b4.conv1.noise_strength", "G_ema.mapping.fc0.weight"],
        ["g_ema.convs.0.conv.modulation.weight", "g_ema.to_rgbs.0.bias", "g_ema.style.1.weight"],
    ],
)
def test_stylegan2_of_another_layout_is_refused(keys, config, tmp_path):
    torch.save({key: torch.zeros(2) for key in keys}, tmp_path / "stylegan2.pt")
    message = refused(tmp_path / "stylegan2.pt", config, tmp_path / "out")
    assert "StyleGAN2 of another layout: its layers (noise, toRGB, upsampling) are not ours" in message


# ----- tensors


def spoil(states, what):
    generator = states["generator"]
    match what:
        case "missing":
            del generator["start"]
        case "unknown":
            states["optimizer"] = {"step": torch.zeros(())}
        case "no tensor":
            states["epoch"] = 3
        case "shape":
            generator["start"] = generator["start"][:, :4]
        case "half":
            generator["start"] = generator["start"].half()
        case "nan":
            states["beta"]["down2.1.running_var"][0] = torch.nan
        case "sparse":
            generator["start"] = generator["start"].to_sparse()
        case "endless":
            states["generator"]["again"] = states


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", "generator.start is missing"),
        ("unknown", "optimizer.step is in no network of the config"),
        ("no tensor", "epoch is int, not a tensor"),
        ("shape", "generator.start has shape (1, 4, 4, 4), the config needs (1, 16, 4, 4)"),
        ("half", "generator.start is torch.float16, expected torch.float32"),
        ("nan", "beta.down2.1.running_var holds NaN or infinity"),
        ("sparse", "generator.start is not a plain tensor"),
        ("endless", "its dicts are nested too deeply"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(what, message, states, config, tmp_path):
    spoil(states, what)
    torch.save(states, tmp_path / "weights.pth")
    assert message in refused(tmp_path / "weights.pth", config, tmp_path / "out")


# ----- the config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator__depht": 2}, "generator: unexpected keyword argument 'depht'"),
        ({"generator__size": 48}, "generator: size: 48 is not a power of two"),
        ({"generator__z_size": 0}, "generator: "),
        ({"generator__most": "many"}, "generator: "),
        ({"generator__z_size": 10**15}, "generator."),  # no memory is taken for it
        ({"alpha__size": 32}, "generator.size is 16, alpha's size is 32"),
        ({"beta__joints": 17}, "beta.joints is 17, alpha's joints is 15"),
        ({"alpha__skeleton_name": "hand_7"}, "unknown skeleton 'hand_7'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(change, message, parts, states, tmp_path):
    torch.save(states, tmp_path / "weights.pth")
    config = write_config(tmp_path, parts, **change)
    assert message in refused(tmp_path / "weights.pth", config, tmp_path / "out", FlexPoseError)


@pytest.mark.parametrize("text", ["a: [", "- 1", "generator: {}", "\udcff", "config: 3"])
def test_a_broken_config_is_refused(text, states, tmp_path):
    torch.save(states, tmp_path / "weights.pth")
    (tmp_path / "config.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    message = refused(tmp_path / "weights.pth", tmp_path / "config.yaml", tmp_path / "out", ConfigError)
    assert message.startswith(str(tmp_path / "config.yaml"))


def test_source_poses_must_be_of_that_skeleton_and_two_at_least(states, config, tmp_path):
    torch.save(states, tmp_path / "weights.pth")
    faces = PoseSet(np.zeros((3, 68, 2), np.float32), "face_68")
    message = refused(tmp_path / "weights.pth", config, tmp_path / "out", ConfigError, faces)
    assert "the source poses are face_68, alpha draws body_15" in message
    one = PoseSet(SOURCE.keypoints_NJ2[:1])
    refused(tmp_path / "weights.pth", config, tmp_path / "out", DataError, one)
