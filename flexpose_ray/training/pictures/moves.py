"""Pictures turned, scaled, shifted, mirrored and recoloured at random, and their poses with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

MOVED_TURN, MOVED_ZOOM, MOVED_SHIFT = 0.4, 0.25, 0.1  # at most: radians, of its logarithm, of the side
RECOLOURED = 0.5  # at most: of the logarithm of a channel's brightness
DRAWS = 8  # random numbers of a varied picture: turn, zoom, two of the shift, mirror, three of the colour


def moved(pictures_N3SS: torch.Tensor, jitter_N5: torch.Tensor) -> torch.Tensor:
    """Pictures turned, scaled, shifted and half of them mirrored.

    Args:
        pictures_N3SS: any values; edges are continued.
        jitter_N5: uniform numbers in [0, 1).
    """
    grid = F.affine_grid(_to_source(jitter_N5), list(pictures_N3SS.shape), align_corners=False)
    return F.grid_sample(pictures_N3SS, grid, padding_mode="border", align_corners=False)


def moved_poses(poses_NJ2: torch.Tensor, jitter_N5: torch.Tensor, flip_J: tuple[int, ...]) -> torch.Tensor:
    """The poses of :func:`moved` pictures: in a mirror, left is right.

    Args:
        poses_NJ2: of the pictures before, crop units.
        jitter_N5: as of the pictures.
        flip_J: for every joint its mirror image.
    """
    to_source_N23 = _to_source(jitter_N5)
    from_centre_NJ2 = 2 * poses_NJ2 - 1 - to_source_N23[:, None, :, 2]
    back_N22 = torch.linalg.inv(to_source_N23[:, :, :2])
    moved_NJ2 = (from_centre_NJ2 @ back_N22.transpose(1, 2) + 1) / 2
    return torch.where(_mirrored(jitter_N5)[:, None, None], moved_NJ2[:, list(flip_J)], moved_NJ2)


def recoloured(pictures_N3SS: torch.Tensor, jitter_N3: torch.Tensor) -> torch.Tensor:
    """Pictures with each colour channel brighter or darker; black stays black.

    Args:
        pictures_N3SS: in [-1, 1].
        jitter_N3: uniform numbers in [0, 1).
    """
    gain_N311 = torch.exp((jitter_N3 - 0.5) * 2 * RECOLOURED)[:, :, None, None]
    return ((pictures_N3SS + 1) * gain_N311 - 1).clamp(max=1)


def varied(
    pictures_N3SS: torch.Tensor, poses_NJ2: torch.Tensor, jitter_N8: torch.Tensor, flip_J: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures moved and recoloured, and their poses: many of a few, for a detector that learns from both.

    Args:
        pictures_N3SS, poses_NJ2: row by row.
        jitter_N8: uniform numbers in [0, 1).
        flip_J: for every joint its mirror image.
    """
    move_N5, colour_N3 = jitter_N8[:, :5], jitter_N8[:, 5:]
    return recoloured(moved(pictures_N3SS, move_N5), colour_N3), moved_poses(poses_NJ2, move_N5, flip_J)


def _mirrored(jitter_N5: torch.Tensor) -> torch.Tensor:
    return jitter_N5[:, 4] < 0.5


def _to_source(jitter_N5: torch.Tensor) -> torch.Tensor:
    """Where each place of a moved picture comes from: (N, 2, 3), on a canvas from -1 to 1."""
    turn_N = (jitter_N5[:, 0] - 0.5) * 2 * MOVED_TURN
    zoom_N = torch.exp((jitter_N5[:, 1] - 0.5) * 2 * MOVED_ZOOM)
    shift_N2 = (jitter_N5[:, 2:4] - 0.5) * 4 * MOVED_SHIFT  # the canvas is 2 wide here
    mirror_N = torch.where(_mirrored(jitter_N5), -1.0, 1.0)
    cos_N, sin_N = turn_N.cos() * zoom_N, turn_N.sin() * zoom_N
    rows = [torch.stack([cos_N * mirror_N, -sin_N], 1), torch.stack([sin_N * mirror_N, cos_N], 1)]
    return torch.cat([torch.stack(rows, 1), shift_N2[:, :, None]], 2)
