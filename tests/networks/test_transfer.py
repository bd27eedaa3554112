"""tau: nothing at the start, and never more than its own layers."""

import pytest
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.transfer import Transfer, layer_set

WIDTHS = [6, 6, 4, 4, 2]


def styles():
    return [torch.randn(3, width) for width in WIDTHS]


def test_layer_sets_are_sorted_without_repetition():
    assert layer_set("all", 5) == (1, 2, 3, 4, 5)
    assert layer_set([3, 1, 3], 5) == (1, 3)
    assert layer_set((5,), 5) == (5,)


@pytest.mark.parametrize("layers", [(0,), (6,), (1, 99), (-1, 2), (), [], "3", "some", (1.5,), ("1",)])
def test_layers_that_the_generator_does_not_have_are_refused(layers):
    with pytest.raises(ConfigError, match="this generator has style layers 1 to 5"):
        layer_set(layers, 5)


def test_stylegan_counts_the_constant_s_style_as_layer_1():
    assert layer_set((3,), 5, "stylegan") == (2,)
    assert layer_set([6, 2], 5, "stylegan") == (1, 5)
    assert [layer_set(word, 5, "stylegan") for word in ("all", "w", "none")] == [(1, 2, 3, 4, 5), "w", "none"]
    for layers in ((1,), (7,), (1, 3)):
        with pytest.raises(ConfigError, match="this generator has style layers 2 to 6 in that counting"):
            layer_set(layers, 5, "stylegan")
    with pytest.raises(ConfigError, match=r"unknown counting 'other'.*choose one of stylegan2, stylegan"):
        layer_set((3,), 5, "other")


@pytest.mark.parametrize("bias", [True, False])
def test_it_starts_as_the_identity(bias):
    before = styles()
    for ours, theirs in zip(Transfer(WIDTHS, 4, (1, 3, 5), bias)(before), before, strict=True):
        assert torch.equal(ours, theirs)


def test_only_chosen_layers_change_and_each_by_its_own_map():
    transfer, before = Transfer(WIDTHS, 4, (2, 4), bias=True), styles()
    for u in transfer.maps.values():
        torch.nn.init.normal_(u.weight)
        torch.nn.init.normal_(u.bias)
    after = transfer(before)
    for layer, (ours, theirs) in enumerate(zip(after, before, strict=True), start=1):
        if layer in (2, 4):
            u = transfer.maps[str(layer)]
            torch.testing.assert_close(ours, theirs @ u.weight.T + u.bias)
        else:
            assert ours is theirs


def test_it_holds_the_maps_of_its_layers_and_nothing_else():
    shapes = {name: tuple(t.shape) for name, t in Transfer(WIDTHS, 4, (1, 3)).state_dict().items()}
    assert shapes == {"maps.1.weight": (6, 6), "maps.3.weight": (4, 4)}
    assert set(Transfer(WIDTHS, 4, (3,), bias=True).state_dict()) == {"maps.3.weight", "maps.3.bias"}


def test_one_map_on_w_serves_all_layers():
    transfer, w, before = Transfer(WIDTHS, 4, layer_set("w", 5), bias=True), torch.randn(3, 4), styles()
    assert torch.equal(transfer.latent(w), w)
    torch.nn.init.normal_(transfer.maps["w"].weight)
    torch.testing.assert_close(transfer.latent(w), w @ transfer.maps["w"].weight.T)
    assert all(ours is theirs for ours, theirs in zip(transfer(before), before, strict=True))
    assert Transfer(WIDTHS, 4, (1, 3)).latent(w) is w


def test_it_fits_the_generator_it_is_made_for_and_is_remade_by_its_config():
    generator = Generator(16, z_size=8, w_size=8, depth=1, base=64, most=16)
    transfer = Transfer.for_generator(generator, (1, 5), bias=True)
    codes = generator.styles(generator.mapping(torch.randn(2, 8)))
    assert [t.shape for t in transfer(codes)] == [t.shape for t in codes]
    again = Transfer.for_generator(generator, **transfer.config)
    again.load_state_dict(transfer.state_dict())
    assert again.config == transfer.config == {"layers": [1, 5], "bias": True}
