"""What is trained on pictures, each by its name: settings, trainer, and how the result is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flexpose_ray.models.detectors import save_detector
from flexpose_ray.models.translators import save_translator
from flexpose_ray.training.pictures.detector import DetectorTrainer
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.supervised import SupervisedTrainer
from flexpose_ray.training.pictures.translator import TranslatorTrainer
from flexpose_ray.training.pictures.translator_settings import TranslatorSettings


@dataclass(frozen=True)
class Kind:
    """One kind of training.

    Attributes:
        model: kind of the model, as stored.
        settings: class of its settings.
        trainer: class of its trainer: takes skeleton, pictures, poses, settings and worker; has ``step()``,
            ``state()``, ``load_state()``, ``step_count``, ``last_step``.
        save: writes the trainer's result to a folder, with a card.
    """

    model: str
    settings: type
    trainer: type
    save: Callable[[str, Any, dict], str]


def _save_detector(uri: str, trainer: DetectorTrainer, card: dict) -> str:
    return save_detector(uri, trainer.reader, trainer.settings, card)


def _save_translator(uri: str, trainer: TranslatorTrainer, card: dict) -> str:
    return save_translator(uri, trainer.painter, trainer.settings, card)


KINDS = {
    "detector": Kind("detector", DetectorSettings, DetectorTrainer, _save_detector),
    "supervised": Kind("detector", DetectorSettings, SupervisedTrainer, _save_detector),
    "translator": Kind("translator", TranslatorSettings, TranslatorTrainer, _save_translator),
}
