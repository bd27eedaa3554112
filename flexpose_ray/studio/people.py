"""The studio's people and backdrops: sizes, clothes and colours, each from a seed of its own."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

# Lengths of body segments as shares of the stature (Drillis and Contini, 1966).
SEGMENTS = {
    "thigh": 0.245, "shank": 0.246, "trunk": 0.288, "upper_arm": 0.186, "forearm": 0.146,
    "shoulder": 0.110, "hip": 0.052, "face": 0.125,
}  # fmt: skip
SPREAD = 0.03  # of a segment between people
SKIN, HAIR = np.array([0.95, 0.76, 0.62]), np.array([0.25, 0.16, 0.10])
BACKDROP_PX = 256


@dataclass(frozen=True, eq=False)
class Person:
    """One of the studio's people.

    Attributes:
        body: segment -> length as a share of the mean stature.
        girth: of all limbs, about 1.
        colors: RGB in [0, 1] of ``top``, ``sleeve``, ``leg``, ``skin``, ``hair``, ``shoe``.
    """

    body: dict[str, float]
    girth: float
    colors: dict[str, np.ndarray]


def draw_person(rng: np.random.Generator) -> Person:
    """A person with clothes of flat colours; three in ten wear short sleeves."""
    stature = rng.uniform(0.9, 1.1)
    body = {part: stature * share * (1 + SPREAD * np.clip(rng.normal(), -2, 2)) for part, share in SEGMENTS.items()}
    skin = SKIN * rng.uniform(0.4, 1.0)
    colors = {
        "top": _color(rng, (0.3, 1.0), (0.25, 1.0)),
        "leg": _color(rng, (0.3, 1.0), (0.25, 1.0)),
        "shoe": _color(rng, (0.0, 0.5), (0.05, 0.9)),
        "hair": HAIR * rng.uniform(0.2, 2.2),
        "skin": skin,
    }
    colors["sleeve"] = colors["top"] if rng.random() < 0.7 else skin
    return Person(body, rng.uniform(0.85, 1.2), colors)


def draw_backdrop(rng: np.random.Generator) -> np.ndarray:
    """A patterned wall above a darker floor, as one camera sees it: float32 (256, 256, 3) in [0, 1]."""
    side = (BACKDROP_PX, BACKDROP_PX)
    pattern = sum(
        share * cv2.resize(rng.uniform(-1, 1, (cells, cells, 3)), side, interpolation=cv2.INTER_CUBIC)
        for cells, share in ((4, 0.5), (16, 0.25), (64, 0.12))
    )
    grey = pattern.mean(2, keepdims=True)
    wall = rng.uniform(0.35, 0.65) + rng.uniform(-0.06, 0.06, 3) + 0.35 * (0.8 * grey + 0.2 * pattern)
    wall[int(0.62 * BACKDROP_PX) :] *= 0.8
    return wall.clip(0, 1).astype(np.float32)


def _color(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))
