"""The recipe of a whole run, and the names of its folders."""

from __future__ import annotations

import os
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from flexpose_ray.config.pictures import PicturesConfig, detector_settings
from flexpose_ray.config.pretraining import EXECUTION_KEYS, Kind, NetworkConfig, PretrainConfig
from flexpose_ray.config.reading import Section, config_hash, parse, read_recipe, section_of, set_key
from flexpose_ray.config.sections import (
    NAME,
    AdaptConfig,
    EvaluateConfig,
    GenerateConfig,
    SourceConfig,
    TargetConfig,
)
from flexpose_ray.errors import ConfigError
from flexpose_ray.models.shipped import BUILTIN, shipped_for_paper, shipped_of_kind
from flexpose_ray.pose.skeleton import load_skeleton

FLOW_KEYS = ("kind", "alpha", "flow", "bf16", "held_out", "eval_kimg", "eval_samples", "seed")  # what a flow depends on
LATER_SIZES = ("shift", "pose_mapping")  # of networks, since the first version


class Recipe(Section):
    """A whole run. ``generator`` names a trained one; without it, ``source`` is pretrained on first."""

    name: str = Field(pattern=NAME)
    skeleton: str = Field("body_15", description="body_15, face_68, coco_17, hand_21, or a YAML file of your own")
    source: str | Annotated[tuple[SourceConfig, ...], Field(min_length=1)] | None = Field(
        None, description="KIND:PATH of the source poses, or a list of {poses, weight, mapping, attribution}"
    )
    mapping: str | None = None
    attribution: str | None = Field(None, description="owner and licence of the source's data, for the card")
    generator: str | None = Field(None, description="URI of a trained generator, or builtin:coco")
    target: TargetConfig | None = None
    pretrain: PretrainConfig = PretrainConfig()
    adapt: AdaptConfig = AdaptConfig()
    generate: GenerateConfig = GenerateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    pictures: PicturesConfig | None = Field(
        None, description="pictures that nobody annotated, of which a detector learns; a place, or a section"
    )

    @field_validator("skeleton")
    @classmethod
    def _read(cls, skeleton: str) -> str:
        """Its text: what is made from the recipe is named after what the skeleton is, not after where it lies."""
        try:
            return load_skeleton(skeleton).text
        except ConfigError as e:
            raise ValueError(f"{e.problem} ({e.hint})") from e

    @field_validator("generator")
    @classmethod
    def _expand(cls, uri: str | None) -> str | None:
        return os.path.expandvars(uri) if uri else uri

    @model_validator(mode="after")
    def _has_origin(self):
        if self.source is None and self.generator is None:
            raise ValueError("name a source (KIND:PATH) to pretrain on, or a generator (URI)")
        if isinstance(self.source, tuple) and (self.mapping or self.attribution):
            raise ValueError("with several sources, mapping and attribution belong beside the poses of each")
        if self.pictures is not None:
            detector_settings(self.pictures, "pictures")
        return self

    @property
    def sources(self) -> tuple[SourceConfig, ...]:
        """The sets of source poses, however they are written."""
        if isinstance(self.source, tuple):
            return self.source
        if self.source is None:
            return ()
        return (SourceConfig(poses=self.source, mapping=self.mapping, attribution=self.attribution),)

    def of_kind(self, kind: Kind) -> Self:
        """This recipe with a generator of that kind: the shipped one of the same source, or pretrained as such.

        Raises:
            ConfigError: the recipe's numbers do not fit that kind.
        """
        values = self.model_dump(mode="json", by_alias=True)
        values["pretrain"]["kind"] = kind
        if self.generator and self.generator.startswith(BUILTIN):
            values["generator"] = shipped_of_kind(self.generator, kind)
        return parse(type(self), values, self.name)

    def in_the_papers_way(self) -> Self:
        """This recipe as the paper does it: an adversarially trained StyleGAN, and a map on one style code alone."""
        stylegan = self.of_kind("stylegan")
        generator = self.generator
        if generator and generator.startswith(BUILTIN):
            generator = shipped_for_paper(generator)
        kept = self.adapt.model_dump(include={"mixup", "steps", "batch", "seed"})
        pretrain = stylegan.pretrain.model_copy(update={"teacher": "none"})
        changes = {"generator": generator, "adapt": AdaptConfig.paper(**kept), "pretrain": pretrain}
        return stylegan.model_copy(update=changes)

    @property
    def source_name(self) -> str:
        """The sources in one line, for messages and cards."""
        return " + ".join(source.poses for source in self.sources)


def pretrain_key(recipe: Recipe) -> str:
    """Name of the pretraining's folder. Other execution keys, or another ``kimg`` of adversarial training, continue it;
    any other change starts a new one."""
    pretrain = _trained_by(recipe.pretrain)
    source = recipe.source
    if isinstance(source, tuple):
        source = [part.model_dump(exclude={"attribution"}) for part in source]
    return f"pretrain-{config_hash([recipe.skeleton, source, recipe.mapping, pretrain])}"


def _trained_by(p: PretrainConfig) -> dict[str, Any]:
    """What the result of a pretraining depends on; for adversarial ones as the first version wrote it."""
    values = p.model_dump(mode="json", exclude={*EXECUTION_KEYS})
    if p.kind == "flow":
        return {name: values[name] for name in FLOW_KEYS}
    if p.taught:
        return values
    values["eval_kimg"] = p.every_kimg[1]
    del values["kimg"]
    later = {"kind", "teacher", "start", "flow", "style_mixing", "path_length", "path_every"}
    untouched = {name for name in later - {"kind", "teacher"} if values[name] == _default(PretrainConfig, name)}
    network = {k: v for k, v in values["network"].items() if k not in LATER_SIZES or v != _default(NetworkConfig, k)}
    return {k: v for k, v in values.items() if k not in {"kind", "teacher"} | untouched} | {"network": network}


def _default(section: type[Section], name: str) -> Any:
    return section().model_dump(mode="json")[name]


def run_key(recipe: Recipe) -> str:
    """Name of a whole run's folder. Only keys that do not change the result may change between runs."""
    execution = {"pretrain": EXECUTION_KEYS, "generate": {"actors"}}
    execution["pictures"] = {"workers"} if recipe.pictures else True  # without any, as before there could be some
    return f"{recipe.name}-{config_hash(recipe.model_dump(mode='json', exclude=execution))}"


def load_recipe(path: str, overrides: list[str] | None = None) -> Recipe:
    """Read the recipe of a whole run; see :func:`read_recipe`."""
    return read_recipe(Recipe, path, overrides)


def load_section(
    name: str, path: str | None, overrides: list[str], options: list[str] | None = None, base: Section | None = None
) -> Any:
    """Read one section of a recipe, for a command that needs no other.

    Args:
        name: of the section, as "adapt".
        path: recipe to start from; ``base``, or the defaults, where None.
        overrides: ``section.key=value``, as for a whole recipe.
        options: ``key=value`` within the section; these override ``overrides``.

    Raises:
        ConfigError: as :func:`load_recipe`; or an override of another section.
    """
    model = section_of(Recipe, name)
    start = getattr(load_recipe(path), name) if path else base
    values = {name: start.model_dump(mode="json") if start else {}}
    for override in [*overrides, *(f"{name}.{option}" for option in options or [])]:
        set_key(values, override)
    if other := next((key for key in values if key != name), None):
        raise ConfigError(
            f"--set {other}", "has no effect here", f"set {name}.KEY, KEY one of {', '.join(model.model_fields)}"
        )
    return parse(model, values[name], path or f"{name} options")
