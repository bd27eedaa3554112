"""A small flow, and a small StyleGAN that it teaches: untrained, but with nothing left at the zero it starts from."""

from __future__ import annotations

import numpy as np
import torch

from flexpose_ray.models.generators import load_generator, save_adapted, save_generator
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.blend import Blend
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.transfer import NONE, Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments

MEANS = [[1, 3, 6], [2, 9, 12]]
POSES_NJ2 = np.random.default_rng(0).uniform(0.2, 0.8, (80, 15, 2)).astype(np.float32)
SHOTS_SJ2 = np.random.default_rng(1).uniform(0.1, 0.9, (3, 15, 2)).astype(np.float32)


def small_flow(student: tuple[int, int, int] = (12, 16, 1)) -> PoseFlow:
    torch.manual_seed(0)
    flow = PoseFlow("body_15", MEANS, 8, 16, 1, student)
    flow.fit_scale(POSES_NJ2)
    for parameter in flow.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return flow.eval()


def save_flow(uri: str, card: dict | None = None, student: tuple[int, int, int] = (12, 16, 1)) -> str:
    """Write :func:`small_flow` as a pretrained generator."""
    return _save(uri, small_flow(student), None, card)


def save_taught(uri: str) -> str:
    """Write a StyleGAN that :func:`small_flow` has taught."""
    generator = Generator.taught_by(small_flow(), size=16, base=64, most=16, pose_mapping=(16, 24, 1))
    return _save(uri, generator, Beta(width=4), None)


def save_face_flow(uri: str) -> str:
    """Write an untrained flow of faces as a pretrained generator."""
    faces_NJ2, alpha = np.random.default_rng(0).uniform(0.2, 0.8, (80, 68, 2)).astype(np.float32), Alpha("face_68", 16)
    flow = PoseFlow("face_68", [], 8, 16, 1, (12, 16, 1)).eval()
    flow.fit_scale(faces_NJ2)
    networks = Networks(flow, None, None, alpha, moments(faces_NJ2))
    return save_generator(uri, networks, PoseLimits.of(faces_NJ2, alpha.skeleton), {})


def save_blended(uri: str, base_uri: str, card: dict | None = None) -> str:
    """Write a model adapted from the one at ``base_uri``, which blends its poses with three shots."""
    base = load_generator(base_uri)
    transfer = Transfer.for_generator(base.generator, NONE)
    transfer.set_blend(Blend(len(SHOTS_SJ2), 15, prior=0.5))
    transfer.blend.shots_SJ2.copy_(torch.as_tensor(SHOTS_SJ2))
    return save_adapted(uri, base_uri, base.digest, transfer, SHOTS_SJ2, card or {})


def _save(uri: str, generator: PoseFlow | Generator, beta: Beta | None, card: dict | None) -> str:
    alpha = Alpha(size=16)
    networks = Networks(generator, None, beta, alpha, moments(POSES_NJ2))
    return save_generator(uri, networks, PoseLimits.of(POSES_NJ2, alpha.skeleton), card or {})
