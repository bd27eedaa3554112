"""Latents depend on their address alone."""

import numpy as np
import pytest

from flexpose_ray.pose.latents import BLOCK, block_latents, latents


def test_a_latent_is_the_same_in_any_company_and_order():
    indices = np.array([7, 0, 10**12, 3])
    many = latents(5, indices, 16)
    for row, index in zip(many, indices, strict=True):
        np.testing.assert_array_equal(row, latents(5, [index], 16)[0])
    np.testing.assert_array_equal(many[::-1], latents(5, indices[::-1], 16))


def test_a_shorter_latent_is_the_start_of_a_longer_one():
    np.testing.assert_array_equal(latents(1, [4], 200)[:, :8], latents(1, [4], 8))


def test_the_bits_are_the_same_everywhere():
    golden = [[0.34084672, 0.24624620, 0.51305026], [-2.44246578, -0.39962378, 0.61997163]]
    np.testing.assert_array_equal(latents(2025, np.array([0, 123456789]), 3), np.float32(golden))


def test_seeds_and_neighbours_share_nothing():
    values = np.concatenate([latents(seed, np.arange(50), 100).ravel() for seed in (0, 1, 2**64 - 1)])
    assert len(np.unique(values)) > 0.998 * len(values)


def test_they_are_standard_normal():
    z_NZ = latents(0, np.arange(4000), 64)
    assert z_NZ.dtype == np.float32
    assert abs(z_NZ.mean()) < 0.01
    assert z_NZ.std() == pytest.approx(1, abs=0.01)
    between_rows = np.corrcoef(z_NZ[:50])[np.triu_indices(50, 1)]
    between_columns = np.corrcoef(z_NZ.T)[np.triu_indices(64, 1)]
    assert np.abs(between_rows).max() < 0.6
    assert np.abs(between_columns).max() < 0.08


def test_no_index_gives_no_latent():
    assert latents(0, np.array([], int), 8).shape == (0, 8)


def test_block_latents_are_the_same_in_any_company_and_order():
    at = np.array([7, 3 * BLOCK, 2**50, BLOCK - 1, BLOCK, 5 + 2**40, 7, 0])
    many = block_latents(5, at, 16, 9)
    assert [part.shape for part in many] == [(8, 16), (8, 9)]
    for i, index in enumerate(at):
        for part, alone in zip(many, block_latents(5, [index], 16, 9), strict=True):
            np.testing.assert_array_equal(part[i], alone[0])
    for part, turned in zip(many, block_latents(5, at[::-1], 16, 9), strict=True):
        np.testing.assert_array_equal(part, turned[::-1])
    run = block_latents(5, np.arange(2 * BLOCK + 10), 16)[0]
    np.testing.assert_array_equal(block_latents(5, np.arange(BLOCK - 5, BLOCK + 5), 16)[0], run[BLOCK - 5 : BLOCK + 5])
    np.testing.assert_array_equal(many[0][[0, 3, 4, 7]], run[[7, BLOCK - 1, BLOCK, 0]])


def test_further_block_latents_leave_the_first_as_they_are():
    at = np.array([4, 4000, 17])
    alone, (first, second, _) = block_latents(1, at, 26), block_latents(1, at, 26, 9, 3)
    np.testing.assert_array_equal(alone[0], first)
    np.testing.assert_array_equal(block_latents(1, at, 26, 9)[1], second)


def test_the_bits_of_block_latents_are_the_same_everywhere():
    first, second = block_latents(2025, np.array([0, 123456789]), 2, 1)
    np.testing.assert_array_equal(first, np.float32([[1.4743611, 0.18829346], [0.136016, 1.1579261]]))
    np.testing.assert_array_equal(second, np.float32([[-0.76632905], [0.7057446]]))


def test_block_latents_of_seeds_blocks_and_tries_share_nothing():
    at = np.concatenate([np.arange(50), np.arange(50) + BLOCK, np.arange(50) + 2**40, np.arange(50) + 2**50])
    drawn = [part for seed in (0, 1, 2**63, 2**64 - 1) for part in block_latents(seed, at, 30, 9)]
    drawn += [latents(seed, at, 39) for seed in (0, 1)]
    values = np.concatenate([part.ravel() for part in drawn])
    assert len(np.unique(values)) > 0.997 * len(values)


def test_block_latents_are_standard_normal():
    for z_NZ in block_latents(0, np.arange(4000), 64, 30):
        assert z_NZ.dtype == np.float32
        assert abs(z_NZ.mean()) < 0.01
        assert z_NZ.std() == pytest.approx(1, abs=0.01)
        assert (z_NZ.astype(np.float64) ** 4).mean() == pytest.approx(3, abs=0.06)
        between_columns = np.corrcoef(z_NZ.T)[np.triu_indices(z_NZ.shape[1], 1)]
        assert np.abs(between_columns).max() < 0.08
    first, second = block_latents(0, np.arange(4000), 30, 30)
    assert np.abs(np.corrcoef(first.T, second.T)[:30, 30:]).max() < 0.08


def test_no_index_gives_no_block_latent():
    assert [part.shape for part in block_latents(0, np.array([], int), 8, 2)] == [(0, 8), (0, 2)]
