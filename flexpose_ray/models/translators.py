"""Translators on storage: what paints pictures of poses, without what only training needs."""

from __future__ import annotations

from dataclasses import dataclass

from flexpose_ray.models.picture_models import config_of, read_picture_model
from flexpose_ray.models.weights import load_into, write_model
from flexpose_ray.networks.translator import PosePainter
from flexpose_ray.storage.base import PATIENCE_S
from flexpose_ray.training.pictures.translator_settings import TranslatorSettings


@dataclass(frozen=True, eq=False)
class StoredTranslator:
    """A translator as it is stored.

    Attributes:
        painter: paints pictures of poses.
        settings: of its training.
        digest: identity of the weights.
        card: what a person wants to know, see :class:`~flexpose_ray.models.weights.Model`.
    """

    painter: PosePainter
    settings: TranslatorSettings
    digest: str
    card: dict


def save_translator(uri: str, painter: PosePainter, settings: TranslatorSettings, card: dict) -> str:
    """Write a translator to the folder ``uri``; returns its digest."""
    tensors = {f"painter.{k}": v for k, v in painter.painter.state_dict().items()}
    return write_model(uri, "translator", config_of(settings, painter.alpha), tensors, card)


def load_translator(uri: str, patience_s: float = PATIENCE_S) -> StoredTranslator:
    """Read a translator.

    Raises:
        WeightsError: missing, damaged, or another kind of model.
    """
    model, settings, alpha = read_picture_model(uri, "translator", TranslatorSettings, patience_s)
    painter = settings.networks(alpha.skeleton.n_joints)["painter"]
    load_into(painter, model.tensors, "painter", uri)
    painter.eval().requires_grad_(False)
    return StoredTranslator(PosePainter(painter, alpha), settings, model.digest, model.card)
