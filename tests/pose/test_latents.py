"""Latents depend on their address alone."""

import numpy as np
import pytest

from flexpose_ray.pose.latents import latents


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
