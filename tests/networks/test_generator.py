"""The generator: its layers are the paper's, its images depend on the latent alone."""

import pytest
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.generator import Generator, channels_at


def tiny(size=16, **changes):
    torch.manual_seed(0)
    return Generator(size, **{"z_size": 8, "w_size": 12, "depth": 2, "base": 64, "most": 16, **changes}).eval()


@pytest.mark.parametrize(("size", "layers"), [(8, 3), (16, 5), (32, 7), (64, 9), (128, 11), (256, 13)])
@pytest.mark.parametrize("channels", [1, 3])
@torch.inference_mode()
def test_every_size_has_its_layers_and_images(size, layers, channels):
    generator = tiny(size, channels=channels, base=32, most=8)
    assert generator.n_layers == layers == len(generator.affines)
    assert generator(torch.randn(2, 8)).shape == (2, channels, size, size)


@pytest.mark.parametrize("size", [4, 12, 48, 512, 0])
def test_another_size_is_refused(size):
    with pytest.raises(ConfigError, match=f"{size} is not a power of two from 8 to 256"):
        Generator(size)


def test_layers_are_counted_coarse_to_fine_and_the_first_of_a_resolution_works_before_upsampling():
    generator, sizes = tiny(32), []
    for conv in generator.convs:
        conv.register_forward_hook(lambda module, args, y: sizes.append(y.shape[2]))
    generator(torch.randn(1, 8))
    assert sizes == [4, 4, 8, 8, 16, 16, 32]  # layer 3 is the second convolution of 8 x 8


def test_style_codes_have_the_width_of_their_layer():
    generator = tiny()
    styles = generator.styles(generator.mapping(torch.randn(3, 8)))
    assert [tuple(s.shape) for s in styles] == [(3, c.weight.shape[1]) for c in generator.convs]
    assert [c.weight.shape[1] for c in generator.convs] == [16, 16, 8, 8, 4]


@torch.inference_mode()
def test_an_image_depends_on_its_latent_alone():
    generator = tiny()
    z = torch.randn(8, 8)
    images = generator(z)
    assert torch.equal(images, generator(z))
    torch.testing.assert_close(generator(z.flip(0)).flip(0), images, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(generator(z[:1]), images[:1], rtol=1e-5, atol=1e-5)
    assert (images[0] - images[1]).abs().mean() > 0.01


@torch.inference_mode()
def test_the_length_of_a_latent_says_nothing():
    generator, z = tiny(), torch.randn(4, 8)
    torch.testing.assert_close(generator(z * 10), generator(z), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_every_style_layer_and_the_outputs_own_styles_shape_the_image():
    generator = tiny()
    w, other = generator.mapping(torch.randn(2, 8)), generator.mapping(torch.randn(2, 8))
    styles, image = generator.styles(w), generator(torch.randn(2, 8))
    image = generator.synthesis(styles, w)
    for layer, code in enumerate(generator.styles(other)):
        changed = [*styles[:layer], code, *styles[layer + 1 :]]
        assert (generator.synthesis(changed, w) - image).abs().max() > 1e-3
    assert (generator.synthesis(styles, other) - image).abs().max() > 1e-3


@torch.inference_mode()
def test_forward_is_synthesis_of_the_styles_of_the_mapped_latent():
    generator, z = tiny(), torch.randn(2, 8)
    w = generator.mapping(z)
    assert torch.equal(generator.synthesis(generator.styles(w), w), generator(z))


def test_config_and_state_make_the_same_generator():
    generator = tiny(channels=1)
    other = Generator(**generator.config)
    other.load_state_dict(generator.state_dict())
    z = torch.randn(2, 8)
    assert torch.equal(other(z), generator(z))


def test_channels_shrink_with_the_resolution():
    assert [channels_at(r, 1024, 128) for r in (4, 8, 16, 64, 256)] == [128, 128, 64, 16, 4]
    assert channels_at(256, 64, 16) == 1


# ----- styles that shift


def test_style_codes_with_shifts_hold_the_outputs_channels_too():
    generator = tiny(shift=True)
    assert generator.style_sizes == [sum(conv.weight.shape[:2]) for conv in generator.convs] == [32, 24, 16, 12, 8]
    assert generator.config["shift"] and "shift" not in tiny().config
    assert Generator(**generator.config).style_sizes == generator.style_sizes


@torch.inference_mode()
def test_a_shift_is_a_bias_of_the_image_s_own():
    generator = tiny(shift=True)
    w = generator.mapping(torch.randn(2, 8))
    styles = generator.styles(w)
    for layer, conv in enumerate(generator.convs):
        n_out, n_in = conv.weight.shape[:2]
        code, shift = styles[layer].clone(), torch.randn(n_out)
        code[:, n_in:] += shift
        found = generator.synthesis([*styles[:layer], code, *styles[layer + 1 :]], w)
        conv.bias += shift
        wanted = generator.synthesis(styles, w)
        conv.bias -= shift
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert (found - generator.synthesis(styles, w)).abs().max() > 0.01


def test_styles_scale_about_one_and_shift_about_zero():
    generator = tiny(shift=True)
    for affine, conv in zip(generator.affines, generator.convs, strict=True):
        n_out, n_in = conv.weight.shape[:2]
        assert affine.bias.tolist() == [1.0] * n_in + [0.0] * n_out


@torch.inference_mode()
def test_output_layers_may_have_styles_of_several_latents():
    generator = tiny()
    w, other = generator.mapping(torch.randn(2, 8)), generator.mapping(torch.randn(2, 8))
    styles = generator.styles(w)
    image = generator.synthesis(styles, w)
    assert torch.equal(generator.synthesis(styles, [w, w, w]), image)
    for k in range(3):
        assert (generator.synthesis(styles, [other if i == k else w for i in range(3)]) - image).abs().max() > 1e-3


# ----- starting from another generator's weights


def parts(generator):
    return {name: t.clone() for name, t in generator.state_dict().items()}


@pytest.mark.parametrize(("changes", "affines"), [({}, True), ({"w_size": 20}, False), ({"shift": True}, False)])
def test_synthesis_weights_come_from_the_start_and_affines_where_they_fit(changes, affines):
    made = tiny(**changes)
    torch.manual_seed(5)
    other = Generator(16, z_size=8, w_size=12, depth=2, base=64, most=16)
    before, theirs = parts(made), parts(other)
    made.start_from(other)
    for name, tensor in made.state_dict().items():
        taken = name.startswith(("start", "convs.", "outputs."))
        taken |= affines and name.startswith(("affines.", "output_affines."))
        taken |= changes == {"shift": True} and name.startswith("output_affines.")  # these never shift
        assert torch.equal(tensor, theirs[name] if taken else before[name]), name


@pytest.mark.parametrize(
    ("changes", "what"), [({"base": 128}, "base"), ({"most": 8}, "most"), ({"channels": 1}, "channels")]
)
def test_a_start_of_other_widths_is_refused(changes, what):
    made = tiny()
    before = parts(made)
    with pytest.raises(ConfigError, match=f"start: {what} is {next(iter(changes.values()))} there and"):
        made.start_from(tiny(**changes))
    assert all(torch.equal(t, before[name]) for name, t in made.state_dict().items())
    with pytest.raises(ConfigError, match="size is 32 there and 16 here"):
        made.start_from(tiny(32))
