"""A detector as the judge of a benchmark: what it learns from, and what it is judged by."""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import Field, field_validator

from flexpose_ray.config.pretraining import Count, Seed
from flexpose_ray.config.reading import Section


class DetectorConfig(Section):
    """A detector that is trained anew on the poses of every row, and on pictures that nobody annotated."""

    pictures: str = Field(
        description="to learn from: as of `flexpose detect train --pictures`; or KIND:PATH of annotated ones, cut to "
        "their poses, whose annotations only the supervised twin sees"
    )
    test: str = Field(description="KIND:PATH of the annotated pictures to judge by")
    mapping: str | None = Field(None, description="from our joints to the annotations', where they need one")
    folder: str = Field(".", description="folder or .tar file of the pictures that annotations name")
    masks: str | None = Field(None, description="folder of masks of all pictures")
    poses: Count = Field(32_000, description="of every row, that the detector learns from")
    mixup: int = Field(1000, ge=0, description="poses by pose-mixup of the shots, added to those of every method")
    settings: dict[str, Any] = Field({}, description="of `flexpose detect train --set`, such as steps")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field((0, 1), description="of a detector's training")

    @field_validator("pictures", "test", "folder", "masks")
    @classmethod
    def _expand(cls, uri: str | None) -> str | None:
        return os.path.expandvars(uri) if uri else uri

    @field_validator("settings")
    @classmethod
    def _without_seed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "seed" in settings:
            raise ValueError("seed: a detector's seeds are given beside its settings")
        return settings
