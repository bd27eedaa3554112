"""Ratios measured in one run, pair by pair: `make bench` prints them. Absolute times mean little on shared machines."""

import time
from statistics import median

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flexpose_ray.core.alpha import Alpha
from flexpose_ray.core.generator import Generator
from flexpose_ray.core.ops import StyledConv

PAIRS = 7


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ratio(ours, theirs) -> float:
    """Median over pairs of their time by ours."""
    ours(), theirs()
    ratios = []
    for _ in range(PAIRS):
        times = []
        for work in (ours, theirs):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
    return median(ratios)


def grouped(conv: StyledConv, x_NCHW, style_NC):
    """The layer as the StyleGAN2 paper writes it: weights modulated for every image, one grouped convolution."""
    n, c, h, w = x_NCHW.shape
    weight = conv.weight[None] * conv.scale * style_NC[:, None, :, None, None]
    if conv.demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    y = F.conv2d(x_NCHW.reshape(1, n * c, h, w), weight.flatten(0, 1), padding=conv.padding, groups=n)
    factor = conv.gain if conv.demodulate else 1.0  # the other layers carry it in their scale
    return y.view(n, -1, h, w) * factor + (conv.bias * conv.gain)[:, None, None]


@torch.inference_mode()
def test_generator_against_grouped_convolutions(monkeypatch):
    torch.manual_seed(0)
    generator, z = Generator().eval().to(memory_format=torch.channels_last), torch.randn(32, 128)

    def theirs():
        with monkeypatch.context() as patch:
            patch.setattr(StyledConv, "forward", grouped)
            return generator(z)

    torch.testing.assert_close(generator(z), theirs(), rtol=1e-3, atol=1e-3)
    found = ratio(lambda: generator(z), theirs)
    print(f"\ngenerator, 32 images of 64 px: {found:.2f} times the images/s of grouped convolutions")
    assert found > 1


def test_alpha_against_one_line_a_limb():
    alpha = Alpha()
    poses_NJ2 = np.random.default_rng(0).uniform(0.1, 0.9, (32, 15, 2)).astype(np.float32)

    def lines():
        for pose_J2 in poses_NJ2:
            canvas = np.zeros((64, 64, 3), np.uint8)
            points = np.rint(pose_J2 * 64).astype(int).tolist()
            for (a, b), color in zip(alpha.skeleton.limbs, (alpha.colors_LC * 255).tolist(), strict=True):
                cv2.line(canvas, points[a], points[b], color, 4, cv2.LINE_AA)

    torch_ratio = ratio(lambda: alpha.draw(torch.as_tensor(poses_NJ2)), lines)
    cv_ratio = ratio(lambda: [alpha.draw_cv(pose_J2) for pose_J2 in poses_NJ2], lines)
    print(
        f"\nalpha, 32 poses at 64 px against cv2.line: torch {torch_ratio:.2f}, OpenCV {cv_ratio:.2f} times its speed"
    )
    assert min(torch_ratio, cv_ratio) > 0.01
