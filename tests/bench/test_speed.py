"""Ratios measured in one run, pair by pair: `make bench` prints them. Absolute times mean little on shared machines."""

import time
from statistics import median

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.engine.runtime.memory import keep_memory
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.networks import folded
from flexpose_ray.networks.folded import FoldedBeta, FoldedGenerator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.ops import StyledConv, lrelu, upsample
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.gate import Gate, GateSettings
from flexpose_ray.pose.latents import latents

pytestmark = pytest.mark.bench
PAIRS = 15


@pytest.fixture(autouse=True)
def one_thread():
    """As an actor runs: one thread, freed memory kept."""
    keep_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seconds(work) -> float:
    """Of this thread, so that other processes of a busy machine do not count."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def ratio(ours, theirs) -> float:
    """Median over pairs of their time by ours."""
    ours(), theirs()
    return median(seconds(theirs) / seconds(ours) for _ in range(PAIRS))


def grouped(conv: StyledConv, x_NCHW, style_NC):
    """The layer as the StyleGAN2 paper writes it: weights modulated for every image, one grouped convolution."""
    n, c, h, w = x_NCHW.shape
    weight = conv.weight[None] * conv.scale * style_NC[:, None, :, None, None]
    if conv.demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    y = F.conv2d(x_NCHW.reshape(1, n * c, h, w), weight.flatten(0, 1), padding=conv.padding, groups=n)
    factor = conv.gain if conv.demodulate else 1.0  # the other layers carry it in their scale
    return y.view(n, -1, h, w) * factor + (conv.bias * conv.gain)[:, None, None]


def port(generator: Generator, z_NZ: torch.Tensor) -> torch.Tensor:
    """The same function in that way, channels first: what grouped convolutions like best."""
    w_ND = generator.mapping(z_NZ)
    styles, image, layer = generator.styles(w_ND), None, 0
    x = generator.start.expand(len(z_NZ), -1, -1, -1).contiguous()
    for k, (output, affine) in enumerate(zip(generator.outputs, generator.output_affines, strict=True)):
        if k:
            x = upsample(lrelu(grouped(generator.convs[layer], x, styles[layer])))
            layer += 1
        x = lrelu(grouped(generator.convs[layer], x, styles[layer]))
        layer += 1
        y = grouped(output, x, affine(w_ND))
        image = y if image is None else upsample(image) + y
    return image


@torch.inference_mode()
def test_generator_against_grouped_convolutions():
    torch.manual_seed(0)
    plain, z = Generator().eval(), torch.randn(64, 128)
    ours = FoldedGenerator(plain)
    torch.testing.assert_close(ours(z), port(plain, z), rtol=1e-3, atol=1e-3)

    sizes = (2, 4, 8, 16, 32, 64)
    tried = {n: [seconds(lambda n=n: port(plain, z[:n])) / n for _ in range(5)] for n in sizes}
    best = min(tried, key=lambda n: median(tried[n]))
    found = ratio(lambda: ours(z), lambda: port(plain, z[:best])) * len(z) / best
    print(f"\ngenerator, 64 px: {found:.2f} times the images/s of grouped convolutions at their best batch, {best}")
    assert found > 3


def plain_conv(weight_OIKK, bias_O, side, doubled=False):
    """`fast_conv` without its fast forms."""
    weight = weight_OIKK.contiguous(memory_format=torch.channels_last)
    return lambda x: F.conv2d(upsample(x) if doubled else x, weight, bias_O, padding=1)


@torch.inference_mode()
def test_folded_sampling_against_plain_convolutions_and_the_networks(monkeypatch):
    """What the fast convolutions gain, and the folded form as a whole; both define the bytes of data sets."""
    sampler = load_sampler("builtin:coco-adversarial")
    generator, beta, z = sampler.generator, sampler.beta, torch.randn(64, sampler.generator.z_size)
    fast = FoldedGenerator(generator), FoldedBeta(beta, sampler.alpha.size)
    monkeypatch.setattr(folded, "fast_conv", plain_conv)
    plain = FoldedGenerator(generator), FoldedBeta(beta, sampler.alpha.size)
    torch.testing.assert_close(fast[1](fast[0](z)), plain[1](plain[0](z)), rtol=1e-3, atol=1e-3)
    images = fast[0](z)
    found = {
        "generator": ratio(lambda: fast[0](z), lambda: plain[0](z)),
        "beta": ratio(lambda: fast[1](images), lambda: plain[1](images)),
        "both": ratio(lambda: fast[1](fast[0](z)), lambda: plain[1](plain[0](z))),
        "both, against the networks": ratio(lambda: fast[1](fast[0](z)), lambda: beta(generator(z))),
    }
    print("\nspeed of fast convolutions over plain ones: " + ", ".join(f"{k} {v:.2f}" for k, v in found.items()))
    assert min(found.values()) > 0.75


@torch.inference_mode()
def test_shares_of_sampling():
    """Where the time of a pose goes: medians over passes of one run."""
    sampler, index_N = load_sampler("builtin:coco-adversarial"), np.arange(512)
    generator, beta = FoldedGenerator(sampler.generator), FoldedBeta(sampler.beta, sampler.alpha.size)
    gate = Gate(sampler.alpha, sampler.limits, None, GateSettings(), sampler.read)
    z_NZ = torch.as_tensor(latents(0, index_N, sampler.generator.z_size))
    batches = z_NZ.split(sampler.batch)
    images = [generator(z) for z in batches]
    keypoints_NJ2, confidence_NJ = sampler.sample(0, index_N)
    steps = {
        "latents": lambda: latents(0, index_N, sampler.generator.z_size),
        "mapping and styles": lambda: [generator.modulation(z) for z in batches],
        "generator": lambda: [generator(z) for z in batches],
        "beta": lambda: [beta(i) for i in images],
        "gate": lambda: gate.judge(keypoints_NJ2, confidence_NJ, keypoints_NJ2[:0]),
        "shard's bytes": lambda: encode_shard(index_N, keypoints_NJ2, confidence_NJ),
    }
    took = {name: median(seconds(work) for _ in range(7)) / len(index_N) * 1e6 for name, work in steps.items()}
    took["synthesis"] = took.pop("generator") - took["mapping and styles"]
    whole = sum(took.values())
    print(f"\nsampling a pose, batches of {sampler.batch}: {whole:,.0f} us")
    for name, us in sorted(took.items(), key=lambda item: -item[1]):
        print(f"  {name:20} {us:7.1f} us {us / whole:6.1%}")
    assert took["synthesis"] + took["beta"] > 0.5 * whole


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


@pytest.mark.parametrize(("generator", "rows"), [("builtin:coco", 10_000), ("builtin:coco-stylegan", 640)])
def test_shares_of_a_shard(generator: str, rows: int):
    """What a pose costs, and on what: microseconds of one core, and shares."""
    sampler, empty = load_sampler(generator), np.empty((0, 15, 2), np.float32)
    gate = Gate(sampler.alpha, sampler.limits, None, GateSettings(), sampler.read)
    index = np.arange(rows)
    poses, confidence = sampler.sample(0, index)
    work = {
        "numbers": lambda: sampler.draw_numbers(0, index),
        "numbers and networks": lambda: sampler.sample(0, index),
        "gate": lambda: gate.judge(poses, confidence, empty),
        "Parquet": lambda: encode_shard(index, poses, confidence),
    }
    taken = {name: median(seconds(part) for _ in range(5)) for name, part in work.items()}
    taken["networks"] = taken.pop("numbers and networks") - taken["numbers"]
    whole = sum(taken.values())
    shares = ", ".join(f"{name} {part / whole:.0%}" for name, part in taken.items())
    print(f"\n{generator}: {rows / whole:,.0f} poses/s of a core, {whole / rows * 1e6:.1f} us each: {shares}")
    assert taken["networks"] > 0.5 * whole, "what is around the networks takes longer than these"
