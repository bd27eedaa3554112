"""alpha: keypoints to skeleton images, in torch (any device) and in OpenCV, by one definition.

Each colour channel of a pixel takes the brightest limb there: ``max over limbs of profile(distance) * colour``. The
distance is that of the pixel's centre from the limb's line segment, and the profile is

    gaussian     exp(-d^2 / (2 w^2)), zero from 3 w on    soft and thick, for training
    exponential  exp(-d / w), zero from 8 w on            sharp with a far tail, for the small images of a detector
    line         clip(w - d + 1/2 pixel, 0, 1 pixel)      a stick of half width w, anti-aliased

with the width w in crop units. Images are float in [-1, 1], or uint8 in [0, 255].
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import Skeleton, get_skeleton

PROFILES = ("gaussian", "exponential", "line")
REACH = {"gaussian": 3.0, "exponential": 8.0}  # such a limb ends at this many widths


@dataclass(frozen=True)
class Alpha:
    """How skeletons are drawn.

    Attributes:
        skeleton_name: of a shipped skeleton; of one's own its definition (:attr:`Skeleton.text`).
        size: side of the image in pixels.
        channels: 3 for one colour a limb, 1 for white limbs.
        profile: "gaussian", "exponential" or "line".
        width: limb width w in crop units (1/32 is two pixels of 64).

    Raises:
        ConfigError: for an unknown skeleton, profile or channel count, or a width or size that is not positive.
    """

    skeleton_name: str = "body_15"
    size: int = 64
    channels: int = 3
    profile: str = "gaussian"
    width: float = 1 / 32

    def __post_init__(self):
        get_skeleton(self.skeleton_name)
        if self.profile not in PROFILES:
            raise ConfigError(
                "alpha.profile", f"unknown profile {self.profile!r}", f"choose one of {', '.join(PROFILES)}"
            )
        if self.channels not in (1, 3):
            raise ConfigError("alpha.channels", f"{self.channels} channels", "choose 3 (colour) or 1")
        if not (self.width > 0 and self.size > 0):  # so that NaN is refused too
            raise ConfigError("alpha", f"width {self.width} and size {self.size} must be positive")

    @property
    def config(self) -> dict:
        """The arguments that construct this Alpha again."""
        return asdict(self)

    @property
    def skeleton(self) -> Skeleton:
        return get_skeleton(self.skeleton_name)

    @cached_property
    def colors_LC(self) -> np.ndarray:
        """Colour of every limb in the image's channels, float32 in [0, 1]."""
        colors_L3 = self.skeleton.colors_L3
        return colors_L3 if self.channels == 3 else np.ones((len(colors_L3), 1), np.float32)

    def draw(self, keypoints_NJ2: torch.Tensor) -> torch.Tensor:
        """Draw poses on their own device, differentiable in the keypoints.

        Args:
            keypoints_NJ2: crop units; joints may lie outside of the canvas, which then cuts their limbs.

        Returns:
            images_NCHW, float32 in [-1, 1], channels_last.
        """
        k = keypoints_NJ2.float()
        ends_LK = torch.as_tensor(self.skeleton.limbs_LK, device=k.device)
        colors_LC = torch.as_tensor(self.colors_LC, device=k.device)
        start_NL2, along_NL2 = k[:, ends_LK[:, 0]], k[:, ends_LK[:, 1]] - k[:, ends_LK[:, 0]]
        centre_S = (torch.arange(self.size, device=k.device, dtype=torch.float32) + 0.5) / self.size
        x_NL1S = centre_S - start_NL2[..., 0, None, None]
        y_NLS1 = centre_S[:, None] - start_NL2[..., 1, None, None]
        ax, ay = along_NL2[..., 0, None, None], along_NL2[..., 1, None, None]
        share_NLSS = ((x_NL1S * ax + y_NLS1 * ay) / (ax**2 + ay**2).clamp_min(1e-12)).clamp(0, 1)
        square_NLSS = (x_NL1S - share_NLSS * ax).square() + (y_NLS1 - share_NLSS * ay).square()
        if self.profile == "gaussian":
            value = torch.exp(square_NLSS * (-0.5 / self.width**2))
            value = torch.where(square_NLSS < (REACH["gaussian"] * self.width) ** 2, value, 0.0)
        elif self.profile == "exponential":
            distance = (square_NLSS + 1e-7).sqrt()  # so that its slope is finite on the limb itself
            value = torch.where(distance < REACH["exponential"] * self.width, torch.exp(-distance / self.width), 0.0)
        else:
            value = ((self.width - (square_NLSS + 1e-12).sqrt()) * self.size + 0.5).clamp(0, 1)
        planes = [(value * colors_LC[:, c, None, None]).amax(1) for c in range(self.channels)]
        return (torch.stack(planes, 1) * 2 - 1).contiguous(memory_format=torch.channels_last)

    def draw_cv(self, keypoints_J2: np.ndarray) -> np.ndarray:
        """Draw one pose with OpenCV and numpy, each limb within its own box only: uint8 (H, W, C) in [0, 255], RGB."""
        import cv2  # here, so that sampling poses does not load it

        canvas = np.zeros((self.size, self.size, self.channels), np.float32)
        reach = self.width * REACH[self.profile] if self.profile in REACH else self.width + 0.5 / self.size
        for (a, b), color_C in zip(self.skeleton.limbs, self.colors_LC, strict=True):
            start_2, end_2 = keypoints_J2[a].astype(np.float32), keypoints_J2[b].astype(np.float32)
            low = np.floor((np.minimum(start_2, end_2) - reach) * self.size).astype(int).clip(0, self.size)
            high = np.ceil((np.maximum(start_2, end_2) + reach) * self.size).astype(int).clip(0, self.size)
            if (high <= low).any():
                continue
            x_W = (np.arange(low[0], high[0], dtype=np.float32) + 0.5) / self.size - start_2[0]
            y_H1 = (np.arange(low[1], high[1], dtype=np.float32)[:, None] + 0.5) / self.size - start_2[1]
            ax, ay = end_2 - start_2
            share_HW = ((x_W * ax + y_H1 * ay) / max(ax**2 + ay**2, 1e-12)).clip(0, 1)
            square_HW = (x_W - share_HW * ax) ** 2 + (y_H1 - share_HW * ay) ** 2
            if self.profile == "gaussian":
                value_HW = cv2.exp(square_HW * np.float32(-0.5 / self.width**2))
                value_HW[square_HW >= reach**2] = 0
            elif self.profile == "exponential":
                distance_HW = np.sqrt(square_HW + np.float32(1e-7))
                value_HW = np.where(distance_HW < reach, np.exp(-distance_HW / self.width), 0).astype(np.float32)
            else:
                value_HW = ((self.width - np.sqrt(square_HW)) * self.size + 0.5).clip(0, 1)
            patch = canvas[low[1] : high[1], low[0] : high[0]]
            cv2.max(patch, value_HW[..., None] * color_C, dst=patch)
        return np.rint(canvas * 255).astype(np.uint8)


def to_uint8(images_NCHW: torch.Tensor) -> np.ndarray:
    """Images in [-1, 1] to uint8 (N, H, W, C) in [0, 255]."""
    scaled = ((images_NCHW.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()
