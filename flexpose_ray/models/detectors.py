"""Detectors on storage: what reads pictures, without what only training needs."""

from __future__ import annotations

from dataclasses import dataclass

from flexpose_ray.models.picture_models import config_of, read_picture_model
from flexpose_ray.models.weights import load_into, write_model
from flexpose_ray.networks.picture_reader import PictureReader
from flexpose_ray.storage.base import PATIENCE_S
from flexpose_ray.training.pictures.detector_settings import DetectorSettings

PARTS = ("skeletonizer", "regressor", "prepared")


@dataclass(frozen=True, eq=False)
class Detector:
    """A detector as it is stored.

    Attributes:
        reader: reads pictures.
        settings: of its training.
        digest: identity of the weights.
        card: what a person wants to know, see :class:`~flexpose_ray.models.weights.Model`.
    """

    reader: PictureReader
    settings: DetectorSettings
    digest: str
    card: dict


def save_detector(uri: str, reader: PictureReader, settings: DetectorSettings, card: dict) -> str:
    """Write a detector to the folder ``uri``; returns its digest."""
    tensors = {f"{part}.{k}": v for part in PARTS for k, v in getattr(reader, part).state_dict().items()}
    return write_model(uri, "detector", config_of(settings, reader.alpha), tensors, card)


def load_detector(uri: str, patience_s: float = PATIENCE_S) -> Detector:
    """Read a detector.

    Raises:
        WeightsError: missing, damaged, or another kind of model.
    """
    model, settings, alpha = read_picture_model(uri, "detector", DetectorSettings, patience_s)
    networks = settings.networks(alpha.skeleton.n_joints)
    parts = {"skeletonizer": networks["skeletonizer"], "regressor": networks["regressor"]}
    parts["prepared"] = settings.networks(alpha.skeleton.n_joints)["regressor"]
    for name, part in parts.items():
        load_into(part, model.tensors, name, uri)
        part.eval().requires_grad_(False)
    return Detector(PictureReader(**parts, alpha=alpha, size=settings.size), settings, model.digest, model.card)
