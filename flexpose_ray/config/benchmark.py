"""The recipe of a benchmark: pairs of source and target, methods, draws of the shots."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Annotated, Any, ClassVar, get_type_hints

from pydantic import Field, create_model, field_validator, model_validator

from flexpose_ray.config.pictures import DetectorConfig, detector_settings
from flexpose_ray.config.pretraining import Count, Kind, Seed
from flexpose_ray.config.reading import Section, config_hash, parse
from flexpose_ray.config.sections import NAME, SourceConfig, TargetConfig
from flexpose_ray.errors import ConfigError

MEAN_POSE, SUPERVISED = "mean_pose", "supervised"  # rows of a detector's table that no method makes
OWN_KEYS = ("kind", "count", "shots_per_label", "poses")  # of a row, where it differs from its pair or benchmark
ROW_KEYS = ("method", *OWN_KEYS)  # of a row, beside its method's settings


class PairConfig(Section):
    """A source, with the generator that was trained on it, and a target."""

    name: str = Field(pattern=NAME)
    generator: str = Field(description="URI of a trained generator, or builtin:coco")
    stylegan: str | None = Field(
        None, description="URI of a StyleGAN of the same source, where the generator is a flow; a shipped flow has one"
    )
    source: str | Annotated[tuple[SourceConfig, ...], Field(min_length=1)] | None = Field(
        None, description="KIND:PATH of the source poses, or a list of {poses, mapping}; the generator's by default"
    )
    target: TargetConfig
    detector: DetectorConfig | None = Field(None, description="a detector that judges every row by what it learns")

    @field_validator("generator", "stylegan")
    @classmethod
    def _expand(cls, uri: str | None) -> str | None:
        return os.path.expandvars(uri) if uri else uri

    @property
    def sources(self) -> tuple[SourceConfig, ...]:
        """The sets of source poses, however they are written."""
        if isinstance(self.source, str):
            return (SourceConfig(poses=self.source),)
        return self.source or ()


class RowConfig(Section):
    """A row of the table: a method, and its settings that differ from the defaults."""

    method: str
    kind: Kind | None = Field(
        None, description="kind of the generator to adapt: the pair's by default, stylegan where the method needs one"
    )
    settings: dict[str, Any] = Field({}, description="those that differ from the method's defaults")
    count: int | None = Field(
        None, ge=64, description="poses that are generated and judged; the benchmark's by default"
    )
    shots_per_label: Count | None = Field(None, description="shots of every label; the target's by default")
    poses: Count | None = Field(None, description="that its detectors learn from; the detector's by default")


class BenchmarkRecipe(Section):
    """Every method on every pair, for every draw of the shots.

    In YAML ``methods`` is a list of names, or a mapping from a row's name to ``{method: NAME, SETTING: ...}``, where
    ``method`` may be left out if the row has the method's name. A ``kind`` there is that of the generator to adapt. A
    ``count`` is the row's: so many of its poses are compared with the target's, whose number stays. So are
    ``shots_per_label``, and ``poses``, of which its detectors learn.
    """

    name_prefix: ClassVar[str] = "benchmark_"

    name: str = Field(pattern=NAME)
    pairs: Annotated[tuple[PairConfig, ...], Field(min_length=1)]
    methods: dict[Annotated[str, Field(pattern=NAME)], RowConfig] = Field(min_length=1)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field((0, 1, 2), description="one draw of the shots each")
    count: int = Field(5000, ge=64, description="poses on each side of a comparison, at most")

    @field_validator("methods", mode="before")
    @classmethod
    def _rows(cls, given: Any) -> Any:
        if isinstance(given, (list, tuple)):
            given = dict.fromkeys(map(str, given))
        if not isinstance(given, dict):
            return given
        return {str(name): _row(str(name), values) for name, values in given.items()}

    @model_validator(mode="after")
    def _checked(self):
        for what, names in (("pairs", [pair.name for pair in self.pairs]), ("seeds", self.seeds)):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{what}: {twice} is listed twice")
        for name, row in self.methods.items():
            if name in (MEAN_POSE, SUPERVISED):
                raise ValueError(f"methods: {name} is a row of the detector's own")
            row_settings(name, row)
        for pair in self.pairs:
            if pair.detector is not None:
                detector_settings(pair.detector, f"pairs.{pair.name}.detector")
        return self


def _row(name: str, values: Any) -> Any:
    """The values of a :class:`RowConfig`, from a recipe or from the dump of one."""
    if values is None:
        return {"method": name}
    if not isinstance(values, dict):
        return values
    own = {"method": name} | {key: values[key] for key in ROW_KEYS if key in values}
    settings = {key: value for key, value in values.items() if key not in (*ROW_KEYS, "settings")}
    return {**own, "settings": {**values.get("settings", {}), **settings}}


def row_settings(name: str, row: RowConfig) -> Any:
    """The settings of a row's method, validated, as the method's frozen dataclass.

    Args:
        name: of the row, for errors.
        row: its method and the settings that differ from the defaults.

    Raises:
        ConfigError: an unknown method, an unknown setting, or a value out of range.
    """
    from flexpose_ray.methods.registry import METHODS  # here, so that other recipes do not load torch

    where = f"methods.{name}"
    if row.method not in METHODS:
        raise ConfigError(where, f"unknown method {row.method!r}", f"choose one of {', '.join(METHODS)}")
    defaults = METHODS[row.method].settings
    hints = get_type_hints(type(defaults), include_extras=True)
    known = {field.name: (hints[field.name], getattr(defaults, field.name)) for field in fields(defaults)}
    checked = parse(create_model(type(defaults).__name__, __base__=Section, **known), row.settings, where)
    return type(defaults)(**{key: getattr(checked, key) for key in known})


def benchmark_key(recipe: BenchmarkRecipe) -> str:
    """Name of a benchmark's folder. Methods, draws, detectors and the StyleGANs beside flows may change:
    every cell has a fingerprint of its own."""
    left_out = {"methods": True, "seeds": True, "pairs": {"__all__": {"stylegan", "detector"}}}
    values = recipe.model_dump(mode="json", exclude=left_out)
    return f"{recipe.name}-{config_hash(values)}"
