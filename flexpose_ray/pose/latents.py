"""Latents by address: z_i depends on (seed, i) alone, so every machine draws the same one, in any order."""

from __future__ import annotations

import numpy as np

BLOCK = 1024  # consecutive addresses that share a stream of :func:`block_latents`


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


def block_latents(seed: int, indices_N: np.ndarray, *sizes: int) -> tuple[np.ndarray, ...]:
    """Draw standard normal numbers as :func:`latents` does, but other ones, and tens of times as fast.

    A block of 1024 consecutive addresses has a stream of its own. It holds the numbers of the first kind of all these
    addresses, then those of the second kind, and so on; so they do not depend on how many kinds are asked for. A block
    is drawn once a call, as a whole: indices are best asked for in long runs.

    Args:
        seed: key of the Philox counter generator, 0 to 2^64 - 1.
        indices_N: sample indices from 0 to 2^63 - 1, in any order.
        sizes: how many numbers a sample needs of every kind.

    Returns:
        A float32 array (N, size) for each of ``sizes``.
    """
    indices_N = np.asarray(indices_N, np.int64)
    found = tuple(np.empty((len(indices_N), size), np.float32) for size in sizes)
    block_N, row_N = indices_N // BLOCK, indices_N % BLOCK
    order_N = np.argsort(block_N, kind="stable")
    cuts = np.flatnonzero(np.diff(block_N[order_N])) + 1
    for at in np.split(order_N, cuts) if len(order_N) else []:
        counter = [0, 0, 1, int(block_N[at[0]])]
        draw = np.random.Generator(np.random.Philox(key=seed, counter=counter)).standard_normal
        for numbers_NK in found:
            numbers_NK[at] = draw((BLOCK, numbers_NK.shape[1]), np.float32)[row_N[at]]
    return found
