"""The discriminator: shapes, and a spread statistic that keeps to a worker's own images."""

import pytest
import torch

from flexpose_ray.networks.discriminator import GROUP, Discriminator, batch_spread


def tiny(size=16, channels=3):
    torch.manual_seed(0)
    return Discriminator(size, channels, base=64, most=16)


def test_spread_keeps_to_groups_of_neighbours():
    x = torch.randn(8, 5, 4, 4)
    whole = batch_spread(x)
    assert whole.shape == (8, 6, 4, 4)
    assert torch.equal(whole[:, :5], x)
    assert torch.equal(whole, torch.cat([batch_spread(x[:4]), batch_spread(x[4:])]))
    changed = x.clone()
    changed[4:] *= 7
    assert torch.equal(batch_spread(changed)[:4], whole[:4])
    assert (batch_spread(changed)[4:, 5] > 2 * whole[4:, 5]).all()


def test_spread_is_the_mean_standard_deviation_of_a_group():
    x = torch.randn(8, 5, 4, 4)
    for group in (slice(0, 4), slice(4, 8)):
        wanted = x[group].std(0, correction=0).mean()
        torch.testing.assert_close(batch_spread(x)[group, 5], wanted.expand(4, 4, 4), rtol=1e-4, atol=1e-4)
    assert batch_spread(torch.ones(4, 2, 4, 4))[:, 2].max() < 1e-3


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_batches_that_are_no_multiple_of_the_group_are_cut_into_equal_groups(n):
    assert batch_spread(torch.randn(n, 2, 4, 4)).isfinite().all()


def test_a_logit_does_not_see_another_share_of_the_batch():
    discriminator, images = tiny(), torch.randn(4 * GROUP, 3, 16, 16)
    with torch.no_grad():
        whole = discriminator(images)
        shares = torch.cat([discriminator(share) for share in images.chunk(2)])
    assert whole.shape == (16,)
    torch.testing.assert_close(whole, shares, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (64, 3)])
def test_features_come_finest_first(size, channels):
    discriminator = tiny(size, channels)
    sizes = [f.shape[2] for f in discriminator.features(torch.randn(2, channels, size, size))]
    assert sizes == [size // 2**k for k in range(1, len(sizes) + 1)]
    assert sizes[-1] == 4


def test_config_and_state_make_the_same_discriminator():
    discriminator, images = tiny(), torch.randn(4, 3, 16, 16)
    other = Discriminator(**discriminator.config)
    other.load_state_dict(discriminator.state_dict())
    assert torch.equal(other(images), discriminator(images))
