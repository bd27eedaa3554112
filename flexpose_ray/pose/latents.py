"""Latents by address: z_i depends on (seed, i) alone, so every machine draws the same one, in any order."""

from __future__ import annotations

import numpy as np


def latents(seed: int, indices_N: np.ndarray, size: int) -> np.ndarray:
    """Draw the standard normal latents of the samples at ``indices_N``.

    Args:
        seed: key of the Philox counter generator, 0 to 2^64 - 1.
        indices_N: sample indices, each its own block of the counter.
        size: latent size Z.

    Returns:
        z_NZ, float32.
    """
    z_NZ = np.empty((len(indices_N), size), np.float32)
    for row, index in zip(z_NZ, indices_N, strict=True):
        counter = [0, 0, 0, int(index)]
        np.random.Generator(np.random.Philox(key=seed, counter=counter)).standard_normal(dtype=np.float32, out=row)
    return z_NZ


BLOCK = 1024


def block_latents(seed: int, indices_N: np.ndarray, *sizes: int) -> tuple[np.ndarray, ...]:
    """placeholder"""
    indices_N = np.asarray(indices_N, np.int64)
    parts = tuple(np.empty((len(indices_N), size), np.float32) for size in sizes)
    block_N, row_N = indices_N // BLOCK, indices_N % BLOCK
    for block in np.unique(block_N):
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 1, int(block)]))
        at = block_N == block
        for part, size in zip(parts, sizes, strict=True):
            part[at] = rng.standard_normal((BLOCK, size), dtype=np.float32)[row_N[at]]
    return parts
