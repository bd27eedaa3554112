"""What an export looks like: format, size, pictures, files."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.errors import ConfigError

FORMATS = ("coco", "webdataset", "npz")
PER_FILE = {"webdataset": 10_000, "npz": 1_000_000}
CANVAS = 256  # pixels, where no stored pictures set another side


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export; None stands for the default of the format and the data set.

    Attributes:
        format: "coco" (``annotations.json``, ``dataset_info.py`` for mmpose, ``images/``), "webdataset"
            (``000000.tar`` and so on) or "npz" (``poses-00000.npz`` and so on).
        size: side of COCO's canvas and of the pictures in pixels; by default that of the stored pictures, or 256.
        images: whether to write pictures: the stored ones where they have that size, else drawn by alpha. By default
            as the data set does.
        per_file: poses in a file; by default 10,000 in a tar and 1,000,000 in an npz. COCO's annotations are one file.

    Raises:
        ConfigError: an option out of range, or one that the format does not have.
    """

    format: str
    size: int | None = None
    images: bool | None = None
    per_file: int | None = None

    def __post_init__(self):
        if self.format not in FORMATS:
            raise ConfigError("format", f"unknown format {self.format!r}", f"choose one of {', '.join(FORMATS)}")
        for name, value in (("size", self.size), ("per_file", self.per_file)):
            if value is not None and value < 1:
                raise ConfigError(name, f"{value} is less than 1", "give a positive number")
        if self.format == "npz" and self.images:
            raise ConfigError("images", "npz files hold no pictures", "export to webdataset or coco")
        if self.format == "coco" and self.per_file:
            raise ConfigError("per_file", "COCO annotations are one file", "leave it out")

    def filled(self, poses: PoseReader) -> ExportOptions:
        """These options with the defaults for that data set; only COCO's ``per_file`` stays None."""
        stored = "image" in poses.columns
        return replace(
            self,
            size=self.size or (poses.alpha.size if stored else CANVAS),
            images=self.format != "npz" and (stored if self.images is None else self.images),
            per_file=self.per_file or PER_FILE.get(self.format),
        )
