import pytest
import torch

from flexpose_ray.networks.detector import Critic, DenseRegressor, HeatmapRegressor, Painter, Skeletonizer


def pictures(n=3, size=64, channels=3, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("size", "skeleton_size", "convs"), [(64, 16, 1), (64, 32, 1), (128, 128, 2), (24, 24, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_of_pictures_and_skeleton_images(size, skeleton_size, convs, channels):
    shape = channels, 4, convs
    skeletons = Skeletonizer(*shape, size // skeleton_size)(pictures(size=size))
    assert skeletons.shape == (3, channels, skeleton_size, skeleton_size)
    painted = Painter(*shape, size // skeleton_size)(skeletons, pictures(size=size))
    assert painted.shape == (3, 3, skeleton_size, skeleton_size)
    assert DenseRegressor(channels, skeleton_size, 15)(skeletons).shape == (3, 15, 2)
    assert HeatmapRegressor(channels, 15, 4, convs)(skeletons).shape == (3, 15, 2)


def test_the_scales_of_the_critic():
    verdicts = Critic(3, 6, 3, 3)(pictures(size=128))
    assert [v.shape[:2] for v in verdicts] == [(3, 1)] * 3
    assert [v.shape[2] for v in verdicts] == [16, 16, 8]  # the coarser scales halve once less


def test_a_picture_is_read_the_same_whatever_its_neighbours():
    torch.manual_seed(0)
    skeletonizer, regressor = Skeletonizer(3, 8, 1, 4), DenseRegressor(3, 16, 15)
    x = pictures(5)
    together, alone = regressor(skeletonizer(x))[2:3], regressor(skeletonizer(x[2:3]))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_heatmap_s_point_is_where_its_mass_is():
    regressor = HeatmapRegressor(1, 2, 4, 1)
    maps = torch.full((1, 2, 8, 8), -50.0)
    maps[0, 0, 6, 1], maps[0, 1, 0, 7] = 4000.0, 4000.0  # row 6, column 1; row 0, column 7
    regressor.encoder.forward = lambda x: [x]
    regressor.maps = torch.nn.Identity()
    x_y = regressor(maps)[0]
    torch.testing.assert_close(x_y, torch.tensor([[1.5, 6.5], [7.5, 0.5]]) / 8, atol=1e-3, rtol=0)
