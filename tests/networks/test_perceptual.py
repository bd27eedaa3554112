"""Gamma: features by name or from a VGG-16 file, never from a pickle's code."""

import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.perceptual import VGG16, make_gamma, perceptual_distance

BETA, DISCRIMINATOR = Beta(width=4).eval(), Discriminator(16, base=32, most=8)
IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def torchvision_vgg16():
    """The convolutional part as torchvision numbers it."""
    layers, n_in = [], 3
    for width in VGG16:
        layers += [nn.MaxPool2d(2)] if width == "M" else [nn.Conv2d(n_in, width, 3, padding=1), nn.ReLU()]
        n_in = n_in if width == "M" else width
    return nn.ModuleDict({"features": nn.Sequential(*layers)})


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(0)
    return torchvision_vgg16()


@pytest.fixture(scope="module")
def vgg_file(vgg, tmp_path_factory):
    file = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file(vgg.state_dict(), str(file))
    return file


def gamma(name):
    return make_gamma(str(name), BETA, DISCRIMINATOR)


@pytest.mark.parametrize(("name", "shapes"), [
    ("beta", [(2, 4, 8, 8), (2, 8, 4, 4), (2, 16, 2, 2)]),
    ("discriminator", [(2, 4, 8, 8), (2, 8, 4, 4)]),
    ("keypoints", [(2, 15, 2)]),
    ("pixels", [(2, 3, 16, 16)]),
])  # fmt: skip
def test_features_by_name(name, shapes):
    assert [tuple(f.shape) for f in gamma(name)(IMAGES)] == shapes


def test_a_name_that_is_neither_known_nor_a_file_is_refused(tmp_path):
    for name in ("vgg", tmp_path):
        with pytest.raises(ConfigError, match="beta, discriminator, keypoints, pixels or a VGG-16"):
            gamma(name)


# ----- VGG-16


@torch.no_grad()
def test_vgg_features_are_those_before_every_pooling(vgg, vgg_file):
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = nn.functional.interpolate(IMAGES, scale_factor=2)
    x, wanted = ((images + 1) / 2 - mean[:, None, None]) / spread[:, None, None], []
    for layer in vgg["features"]:
        if isinstance(layer, nn.MaxPool2d):
            wanted.append(x)
        x = layer(x)
    found = gamma(vgg_file)(images)
    assert [f.shape[1] for f in found] == [64, 128, 256, 512, 512]
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_vgg_sees_one_channel_as_grey(vgg_file):
    extract, grey = gamma(vgg_file), IMAGES[:, :1]
    for one, three in zip(extract(grey), extract(grey.expand(-1, 3, -1, -1)), strict=True):
        assert torch.equal(one, three)


@torch.no_grad()
def test_vgg_stops_where_a_small_image_has_nothing_left_to_pool(vgg_file):
    assert [f.shape[2] for f in gamma(vgg_file)(IMAGES[..., :8, :8])] == [8, 4, 2, 1]


@torch.no_grad()
def test_vgg_is_read_from_a_pth_file(vgg, vgg_file, tmp_path):
    torch.save(vgg.state_dict(), tmp_path / "vgg16.pth")
    for one, other in zip(gamma(tmp_path / "vgg16.pth")(IMAGES), gamma(vgg_file)(IMAGES), strict=True):
        assert torch.equal(one, other)


class Trap:
    """A pickle that makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_code_in_a_pickle_is_never_run(tmp_path):
    torch.save({"features.0.weight": Trap(tmp_path / "sprung")}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth: cannot be read as weights"):
        gamma(tmp_path / "evil.pth")
    assert not (tmp_path / "sprung").exists()


def test_files_without_a_vgg16_are_refused(tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "cut.safetensors").write_bytes(b"\x80\0\0\0\0\0\0\0{")
    for name in ("text.pth", "cut.safetensors"):
        with pytest.raises(WeightsError, match=f"{name}: cannot be read as weights"):
            gamma(tmp_path / name)
    first = {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}
    others = {
        "features.0.weight is missing": {"conv.weight": torch.zeros(3)},
        "features.2.weight is missing": first,
        r"features.0 .*\(32, 3, 3, 3\)": {**first, "features.0.weight": torch.zeros(32, 3, 3, 3)},
        r"features.0 .*\(64, 1, 3, 3\)": {**first, "features.0.weight": torch.zeros(64, 1, 3, 3)},
    }
    for problem, tensors in others.items():
        save_file(tensors, str(tmp_path / "other.safetensors"))
        with pytest.raises(WeightsError, match=problem):
            gamma(tmp_path / "other.safetensors")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"list\.pth"):
        gamma(tmp_path / "list.pth")


# ----- the distance


def test_distance_is_zero_for_equal_features_and_relative_to_the_wanted_ones():
    maps = [torch.randn(2, 4, 8, 8), torch.randn(2, 8, 4, 4)]
    assert perceptual_distance(maps, maps) == 0
    nothing = [torch.zeros_like(m) for m in maps]
    assert perceptual_distance(nothing, maps).item() == pytest.approx(1)
    scaled = [m * s for m, s in zip(maps, (10, 0.1), strict=True)]
    changed = [m + 0.3 * m.abs() for m in maps]
    changed_scaled = [m * s for m, s in zip(changed, (10, 0.1), strict=True)]
    assert perceptual_distance(changed_scaled, scaled).item() == pytest.approx(
        perceptual_distance(changed, maps).item()
    )


def test_distance_of_an_empty_picture_is_finite():
    black = [torch.zeros(1, 2, 4, 4)]
    ours = [torch.ones(1, 2, 4, 4, requires_grad=True)]
    perceptual_distance(ours, black).backward()
    assert ours[0].grad.isfinite().all()


@pytest.mark.parametrize("name", ["beta", "discriminator", "keypoints", "pixels"])
def test_a_picture_that_moves_away_is_further(name):
    blurred = nn.functional.avg_pool2d(IMAGES, 3, 1, 1)
    near, far = IMAGES + 0.1 * (blurred - IMAGES), blurred
    extract = gamma(name)
    with torch.no_grad():
        distances = [perceptual_distance(extract(x), extract(IMAGES)).item() for x in (IMAGES, near, far)]
    assert distances[0] == 0 < distances[1] < distances[2]
