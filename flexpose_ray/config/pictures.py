"""Pictures that nobody annotated, and the detector that learns from them: of a whole run, or as a benchmark's judge."""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from flexpose_ray.config.pretraining import Count, Seed
from flexpose_ray.config.reading import Section


class PicturesConfig(Section):
    """Pictures to train a detector on, beside generated poses. In YAML a text alone is ``unlabelled``."""

    unlabelled: str = Field(
        description="to learn from, as of `flexpose detect train --pictures`; or KIND:PATH of annotated ones, cut to "
        "their poses, whose annotations only a supervised twin sees"
    )
    test: str | None = Field(None, description="KIND:PATH of annotated pictures to judge by")
    annotated: str | None = Field(None, description="KIND:PATH of a dozen annotated pictures, see DETECTOR.md")
    mapping: str | None = Field(None, description="from our joints to the annotations', where they need one")
    folder: str = Field(".", description="folder or .tar file of the pictures that annotations name")
    masks: str | None = Field(None, description="folder of masks of all pictures")
    poses: Count = Field(32_000, description="generated ones that the detector learns from, at most")
    mixup: int = Field(1000, ge=0, description="poses by pose-mixup of the shots, added to those")
    settings: dict[str, Any] = Field({}, description="of `flexpose detect train --set`, such as steps")
    workers: Count = Field(1, description="Ray workers that share every batch")

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: Any) -> Any:
        return {"unlabelled": given} if isinstance(given, str) else given

    @model_serializer(mode="wrap")
    def _as_before(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without ``annotated`` where there are none: what is stored keeps the names that it had before there were."""
        values = values_of(self)
        return values if self.annotated else {key: value for key, value in values.items() if key != "annotated"}

    @field_validator("unlabelled", "test", "annotated", "folder", "masks")
    @classmethod
    def _expand(cls, uri: str | None) -> str | None:
        return os.path.expandvars(uri) if uri else uri


class DetectorConfig(PicturesConfig):
    """A detector that is trained anew on the poses of every row of a benchmark, and judged by annotated pictures."""

    test: str = Field(description="KIND:PATH of annotated pictures to judge by")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field((0, 1), description="of a detector's training")

    @field_validator("settings")
    @classmethod
    def _without_seed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "seed" in settings:
            raise ValueError("seed: a detector's seeds are given beside its settings")
        return settings


def detector_settings(config: PicturesConfig, where: str) -> Any:
    """The settings of a detector, validated.

    Args:
        config: names those that differ from the defaults.
        where: for errors.

    Raises:
        ConfigError: an unknown setting, or a value out of range.
    """
    # Here, so that other recipes load no torch.
    from flexpose_ray.training.pictures.detector_settings import DetectorSettings

    return DetectorSettings.of(config.settings, f"{where}.settings")
