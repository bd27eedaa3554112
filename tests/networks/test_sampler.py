"""Sampling by address. Within one batch size a pose does not depend on how many are asked for: bit for bit; nor, up to
rounding, on its company and place in the batch."""

import numpy as np
import pytest
import torch

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.sampler import FlowSampler, StyleGanSampler
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.latents import block_latents, latents


def sampler(batch=8, transfer=None, skeleton="body_15"):
    torch.manual_seed(0)
    alpha = Alpha(skeleton, size=16)
    beta = Beta(alpha.skeleton.n_joints, width=4)
    return StyleGanSampler(Generator(16, base=64, most=16), beta, alpha, transfer, batch)


WHOLE = sampler().sample(3, np.arange(20))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 19])
def test_a_pose_does_not_depend_on_how_many_are_asked_for(count):
    for few, many in zip(sampler().sample(3, np.arange(count)), WHOLE, strict=True):
        np.testing.assert_array_equal(few, many[:count])


def test_batches_of_the_same_indices_are_the_same_in_any_order():
    s = sampler()
    later = s.sample(3, np.arange(8, 16))
    first = s.sample(3, np.arange(8))
    for found, whole in ((first, WHOLE[0][:8]), (later, WHOLE[0][8:16])):
        np.testing.assert_array_equal(found[0], whole)


def test_order_and_company_within_a_batch_matter_up_to_rounding_only():
    order = np.random.default_rng(0).permutation(20)
    for shuffled, straight in zip(sampler().sample(3, order), WHOLE, strict=True):
        np.testing.assert_allclose(shuffled, straight[order], atol=1e-5)
    alone = np.concatenate([sampler().sample(3, [i])[0] for i in range(20)])
    np.testing.assert_allclose(alone, WHOLE[0], atol=1e-5)


def test_another_batch_size_changes_no_more_than_rounding():
    for found, wanted in zip(sampler(batch=5).sample(3, np.arange(20)), WHOLE, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_poses_are_beta_s_reading_of_the_image_at_the_address():
    s = sampler()
    with torch.inference_mode():
        images = s.generator(torch.as_tensor(latents(3, np.arange(8), s.generator.z_size)))
        keypoints, confidence = s.beta(images)
    np.testing.assert_allclose(WHOLE[0][:8], keypoints.numpy(), atol=1e-6)
    np.testing.assert_allclose(WHOLE[1][:8], confidence.numpy(), atol=1e-6)
    assert not np.allclose(s.sample(4, np.arange(8))[0], WHOLE[0][:8])


@pytest.mark.parametrize("skeleton", ["body_15", "face_68"])
def test_shapes_also_of_nothing(skeleton):
    s = sampler(skeleton=skeleton)
    joints = s.alpha.skeleton.n_joints
    for count in (0, 3):
        keypoints, confidence = s.sample(0, np.arange(count))
        assert (keypoints.shape, confidence.shape) == ((count, joints, 2), (count, joints))
        assert keypoints.dtype == confidence.dtype == np.float32
    assert s.skeleton_name == skeleton


@pytest.mark.parametrize("layers", [(1, 3), "w"])
def test_tau_changes_samples_once_it_is_not_the_identity(layers):
    torch.manual_seed(0)
    transfer = Transfer.for_generator(Generator(16, base=64, most=16), layers, bias=True)
    np.testing.assert_allclose(sampler(transfer=transfer).sample(3, np.arange(20))[0], WHOLE[0], atol=1e-6)
    next(iter(transfer.maps.values())).bias.data += 2
    assert np.abs(sampler(transfer=transfer).sample(3, np.arange(20))[0] - WHOLE[0]).max() > 1e-4


def test_networks_sample_in_evaluation_mode():
    s = sampler()
    assert not s.generator.training
    assert not s.beta.training
    assert not any(p.requires_grad for p in [*s.generator.parameters(), *s.beta.parameters()])


def test_it_samples_with_the_weights_of_now():
    """Adaptation trains the transfer that its sampler holds."""
    transfer = Transfer.for_generator(Generator(16, base=64, most=16), "w", bias=True)
    s = sampler(transfer=transfer)
    before = s.sample(3, np.arange(8))[0]
    next(iter(transfer.maps.values())).bias.data += 2
    assert np.abs(s.sample(3, np.arange(8))[0] - before).max() > 1e-4


@pytest.mark.parametrize("count", [0, 1, 8, 11])
def test_reading_images_is_beta_in_batches_of_the_same_shape(count):
    s, images = sampler(), torch.randn(11, 3, 16, 16)
    keypoints, confidence = s.read(images[:count])
    assert (keypoints.shape, confidence.shape) == ((count, 15, 2), (count, 15))
    whole = s.read(images)
    np.testing.assert_array_equal(keypoints, whole[0][:count])
    np.testing.assert_array_equal(confidence, whole[1][:count])
    with torch.inference_mode():
        wanted = s.beta(images)
    for found, plain in zip(whole, wanted, strict=True):
        np.testing.assert_allclose(found, plain.numpy(), atol=1e-5)


def test_images_are_differentiable():
    transfer = Transfer.for_generator(Generator(16, base=64, most=16), (3,))
    s = sampler(transfer=transfer)
    s.transfer.requires_grad_(True)
    s.images(torch.randn(2, s.generator.z_size)).square().sum().backward()
    assert next(s.transfer.parameters()).grad.abs().sum() > 0


def flow_sampler(batch=8, heun=0, transfer=None) -> FlowSampler:
    torch.manual_seed(0)
    flow = PoseFlow("body_15", [], 16, 32, 1, (16, 32, 1))
    return FlowSampler(flow, Alpha(size=16), transfer, batch, heun=heun)


def test_a_flow_s_poses_depend_on_their_address_alone():
    keypoints, confidence = flow_sampler().sample(3, np.arange(20))
    assert (keypoints.shape, confidence.shape, keypoints.dtype) == ((20, 15, 2), (20, 15), np.float32)
    for count in (1, 8, 19):
        np.testing.assert_array_equal(flow_sampler().sample(3, np.arange(count))[0], keypoints[:count])
    np.testing.assert_array_equal(flow_sampler().sample(3, np.arange(8, 16))[0], keypoints[8:16])
    assert not np.allclose(flow_sampler().sample(4, np.arange(20))[0], keypoints)


def test_a_flow_is_read_at_block_latents_in_one_step_or_followed():
    z_NZ = torch.as_tensor(block_latents(3, np.arange(8), 30)[0])
    s = flow_sampler()
    with torch.inference_mode():
        one, confidence = s.flow(z_NZ)
        many = s.flow.poses(s.flow.solve(z_NZ, 12))
    found = s.sample(3, np.arange(8))
    np.testing.assert_array_equal(found[0], one.numpy())
    np.testing.assert_array_equal(found[1], confidence.numpy())
    followed = flow_sampler(heun=12).sample(3, np.arange(8))
    np.testing.assert_array_equal(followed[0], many.numpy())
    assert (followed[1] == 1).all()


def test_a_flow_s_blend_takes_numbers_of_its_own():
    """The same latents with and without a blend, so that adapted poses can be compared with the source's."""
    transfer = Transfer([], 0, "none", blend={"shots": 3, "joints": 15, "prior": 1.0})
    plain, blended = flow_sampler(), flow_sampler(transfer=transfer)
    assert (plain.numbers, blended.numbers) == (30, 35)
    np.testing.assert_allclose(blended.sample(0, np.arange(9))[0], plain.sample(0, np.arange(9))[0], atol=1e-6)


def test_what_is_best_depends_on_the_kind_and_only_a_stylegan_reads():
    assert (flow_sampler(batch=None).batch, sampler(batch=None).batch) == (1024, 64)
    assert flow_sampler().read is None and callable(sampler().read)
