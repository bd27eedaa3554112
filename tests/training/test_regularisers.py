"""Style mixing and path lengths: what the papers say, the same for any number of workers."""

import numpy as np
import pytest
import torch

from flexpose_ray.networks.generator import Generator
from flexpose_ray.training.regularisers import Mixing, PathLengths, path_noise

CPU = torch.device("cpu")


def tiny() -> Generator:
    torch.manual_seed(0)
    return Generator(16, z_size=8, w_size=12, depth=2, base=64, most=16)


@torch.inference_mode()
def test_styles_come_from_the_second_latent_from_the_drawn_layer_on():
    made = tiny()
    w, second = made.mapping(torch.randn(4, 8)), torch.randn(4, 8)
    other = made.mapping(second)
    images = Mixing(second, torch.tensor([5, 1, 2, 4])).images(made, w)
    for row, first, outputs in ((0, 5, "www"), (1, 1, "woo"), (2, 2, "woo"), (3, 4, "wwo")):
        a, b = w[row : row + 1], other[row : row + 1]
        styles = made.styles(a)[:first] + made.styles(b)[first:]
        wanted = made.synthesis(styles, [a if letter == "w" else b for letter in outputs])
        torch.testing.assert_close(images[row : row + 1], wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(images[:1], made.synthesis(made.styles(w[:1]), w[:1]), rtol=1e-4, atol=1e-4)


def test_mixing_is_drawn_by_its_address_and_as_often_as_asked():
    made = tiny()
    one, again = (Mixing.of_step(3, 7, 0, 2000, made, 0.9) for _ in range(2))
    assert torch.equal(one.first_N, again.first_N) and torch.equal(one.z_NZ, again.z_NZ)
    assert not torch.equal(one.z_NZ, Mixing.of_step(3, 7, 1, 2000, made, 0.9).z_NZ)
    assert not torch.equal(one.z_NZ, Mixing.of_step(3, 8, 0, 2000, made, 0.9).z_NZ)
    counts = np.bincount(one.first_N, minlength=6) / 2000
    assert counts[0] == 0 and counts[5] == pytest.approx(0.1, abs=0.03)
    assert counts[1:5] == pytest.approx([0.225] * 4, abs=0.04)
    part = one.share(slice(10, 20), CPU)
    assert torch.equal(part.z_NZ, one.z_NZ[10:20]) and torch.equal(part.first_N, one.first_N[10:20])
    assert set(Mixing.of_step(3, 7, 0, 50, made, 0.0).first_N.tolist()) == {5}


def test_a_length_is_that_of_the_image_s_slope_along_the_noise():
    made, z = tiny(), torch.randn(3, 8)
    noise = path_noise(0, 0, 3, made)
    assert noise.shape == (3, 3, 16, 16)
    w, lengths = made.mapping(z), []
    for row in range(3):

        def image(w_D, row=row):
            return (made.synthesis(made.styles(w_D[None]), w_D[None]) * noise[row]).sum() / 16

        lengths.append(torch.autograd.functional.jacobian(image, w[row].detach()).norm().item())
    paths = PathLengths(lambda rows: rows)
    paths.mean = 0.5
    found = paths.penalty(made, z, noise).item()
    mean = 0.5 + 0.01 * (np.mean(lengths) - 0.5)
    assert paths.mean == pytest.approx(mean, rel=1e-4)
    assert found == pytest.approx(np.mean((np.array(lengths) - mean) ** 2), rel=1e-3)


def test_the_penalty_evens_the_lengths_out():
    made, paths = tiny(), PathLengths(lambda rows: rows)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.01)
    values = []
    for step in range(40):
        z = torch.as_tensor(np.random.default_rng(step).standard_normal((8, 8), np.float32))
        value = paths.penalty(made, z, path_noise(0, step, 8, made))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert np.mean(values[-8:]) < 0.5 * np.mean(values[:8])


def test_the_mean_is_that_of_all_workers():
    paths = PathLengths(lambda rows: torch.full((6,), 9.0))
    made = tiny()
    paths.penalty(made, torch.randn(2, 8), path_noise(0, 0, 2, made))
    assert paths.mean == pytest.approx(0.09)
