"""Recipes: one frozen, checked model for everything that a run depends on."""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from flexpose_ray.core.canonical import canonical_text
from flexpose_ray.core.errors import ConfigError

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"  # names become folders, object keys and job names
Layers = Literal["all", "w"] | Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Tracker = Literal["tensorboard", "mlflow", "wandb"]
HANDS = {"workers", "threads", "report_kimg", "keep", "track"}  # of pretraining: who does it and what is shown of it
BROKEN_YAML = (yaml.YAMLError, ValueError, RecursionError)  # ValueError: a date such as 2020-13-45, or no UTF-8


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AlphaConfig(Section):
    """How skeletons are drawn; see core/alpha.py."""

    size: Literal[16, 32, 64, 128, 256] = 64  # beta halves an image four times
    channels: Literal[1, 3] = 3
    profile: Literal["gaussian", "line"] = "gaussian"
    width: float = Field(1 / 32, gt=0, le=0.5)


class NetworkConfig(Section):
    """Sizes of generator and discriminator; see core/generator.py."""

    z_size: Count = 128
    w_size: Count = 128
    depth: Count = 4
    base: Count = 1024
    most: Count = 128


class BetaConfig(Section):
    """beta's size and training; see core/beta.py."""

    width: Count = 24
    steps: int = Field(3000, ge=20)  # fewer than twice its progress rows are no schedule
    batch: int = Field(64, ge=2)  # batch normalisation wants two
    lr: float = Field(2e-3, gt=0)


class PretrainConfig(Section):
    """Pretraining of g_s and beta on the source poses."""

    alpha: AlphaConfig = AlphaConfig()
    network: NetworkConfig = NetworkConfig()
    beta: BetaConfig = BetaConfig()
    kimg: float = Field(500, gt=0, description="thousands of images to train on; may grow between runs")
    batch: Count = 32
    lr: float = Field(0.002, gt=0)
    r1_gamma: float = Field(10.0, ge=0)
    r1_every: Count = 16
    ema_kimg: float = Field(5.0, ge=0)
    augment_target: float | None = Field(0.6, ge=0, le=1)
    pose_weight: float = Field(15.0, ge=0, description="weight of the energy distance between poses, through beta")
    pose_from_kimg: float = Field(80, ge=0, description="when that begins")
    bf16: bool | Literal["auto"] = "auto"
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the source's groups kept for FD")
    report_kimg: float = Field(2, gt=0, description="a progress line every so many kimg")
    eval_kimg: float = Field(20, gt=0, description="FD, sample grid and checkpoint every so many kimg")
    eval_samples: int = Field(5000, ge=64)
    keep: Count = Field(2, description="last checkpoints kept, beside the best by FD; may change between runs")
    track: tuple[Tracker, ...] = Field(("tensorboard",), description="where curves go; may change between runs")
    workers: Count | tuple[Count, Count] = Field(1, description="Ray Train workers, or [least, most]; may change")
    threads: int | None = Field(None, ge=1, description="torch threads a worker on CPU; all cores by default")
    seed: Seed = 0

    @model_validator(mode="after")
    def _batch_splits(self):
        least, most = self.worker_range
        if least > most:
            raise ValueError(f"workers [{least}, {most}]: the least are more than the most")
        for workers in range(least, most + 1):
            if self.batch % (4 * workers):
                raise ValueError(f"batch {self.batch} is no multiple of 4 x workers ({workers})")
        return self

    @property
    def worker_range(self) -> tuple[int, int]:
        """Least and most workers."""
        return self.workers if isinstance(self.workers, tuple) else (self.workers, self.workers)


class AdaptConfig(Section):
    """Adaptation of g_s to the shots: what tau holds and how it is trained (paper section 3.3)."""

    layers: Layers = Field("w", description="style layers with a U_l, all, or w: one U before them")
    bias: bool = True
    loss: Literal["moments", "energy", "perceptual"] = "moments"
    pairing: Literal["random", "nearest", "transport"] = "transport"
    gamma: str = Field("beta", description="beta, discriminator, keypoints, pixels, or a VGG-16 weights file")
    mixup: int = Field(1000, ge=0, description="E of eq. 7; 0 uses the shots alone")
    shrink: float | None = Field(None, ge=0, le=1, description="moments: weight of the shots' covariance")
    steps: Count = 200
    batch: int = Field(48, ge=2)
    lr: float = Field(6e-3, gt=0)
    seed: Seed = 0

    @classmethod
    def paper(cls, **changes) -> AdaptConfig:
        """The paper's literal setting: U_3 alone, without bias; random pairs; perceptual loss."""
        return cls(**{"layers": (3,), "bias": False, "loss": "perceptual", "pairing": "random", **changes})


class TargetConfig(Section):
    """Where target poses come from and how they are split."""

    poses: str = Field(description="KIND:PATH, as for `flexpose prepare`")
    mapping: str | None = None
    exclude: tuple[str, ...] = Field((), description="labels to leave out")
    held_out: float = Field(0.5, gt=0, lt=1, description="share of the groups kept for evaluation")
    shots_per_label: Count = 2
    seed: Seed = 0


class GateConfig(Section):
    """What is thought of implausible poses; see core/gate.py. Distances in crop units, mean over joints."""

    mode: Literal["off", "warn", "drop"] = Field("warn", description="nothing; count them; replace them")
    confidence: float = Field(0.3, ge=0, le=1, description="least mean of a pose's joints")
    margin: float = Field(0.02, ge=0, description="how far joints may be off before limbs and angles leave the limits")
    round_trip: float | None = Field(None, gt=0, description="greatest between a pose and its reading off its drawing")
    duplicate: float = Field(0.01, ge=0, description="least between two poses of a shard")
    shot_copy: float = Field(0.02, ge=0, description="least between a pose and a shot")


class GenerateConfig(Section):
    """Mass sampling; see engine/generate.py."""

    count: Count = 20_000
    seed: Seed = 0
    shard_size: Count = 1000
    batch: Count = Field(64, description="images a pass of the networks")
    gate: GateConfig = GateConfig()
    images: Literal["png", "webp"] | None = None
    actors: Count | None = None

    def arguments(self) -> dict[str, Any]:
        """For engine.generate.generate."""
        from flexpose_ray.core.gate import GateSettings  # here, so that a bad option never waits for torch

        return {**self.model_dump(exclude={"gate"}), "gate": GateSettings(**self.gate.model_dump())}


class EvaluateConfig(Section):
    """Comparison with the held-out part of the target."""

    count: int = Field(5000, ge=64, description="poses a side")
    paper: bool = Field(True, description="adapt with the paper's literal setting too, for the table")
    seed: Seed = 0


class SourceConfig(Section):
    """One of several sets of source poses that pretraining mixes."""

    poses: str = Field(description="KIND:PATH")
    weight: float = Field(1.0, gt=0, description="how often its poses are drawn, relative to the other sets'")
    mapping: str | None = None
    attribution: str | None = None


class Recipe(Section):
    """A whole run. ``generator`` names a trained one; without it, ``source`` is pretrained on first."""

    name: str = Field(pattern=NAME)
    skeleton: Literal["body_15", "face_68"] = "body_15"
    source: str | Annotated[tuple[SourceConfig, ...], Field(min_length=1)] | None = Field(
        None, description="KIND:PATH of the source poses, or a list of {poses, weight, mapping, attribution}"
    )
    mapping: str | None = None
    attribution: str | None = Field(None, description="of the source's data: owner and licence, for the card")
    generator: str | None = Field(None, description="URI of a trained generator, or builtin:coco")
    target: TargetConfig | None = None
    pretrain: PretrainConfig = PretrainConfig()
    adapt: AdaptConfig = AdaptConfig()
    generate: GenerateConfig = GenerateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

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
        return self

    @property
    def sources(self) -> tuple[SourceConfig, ...]:
        """The sets of source poses, however they are written."""
        if isinstance(self.source, tuple):
            return self.source
        if self.source is None:
            return ()
        return (SourceConfig(poses=self.source, mapping=self.mapping, attribution=self.attribution),)

    @property
    def source_name(self) -> str:
        """The sources in one line, for messages and cards."""
        return " + ".join(source.poses for source in self.sources)


def config_hash(value: Any) -> str:
    """First eight hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_text(value).encode()).hexdigest()[:8]


def pretrain_key(recipe: Recipe) -> str:
    """Name of the pretraining's folder. What only says how long, by whom and how closely watched continues it;
    anything else starts beside it."""
    pretrain = recipe.pretrain.model_dump(mode="json", exclude={"kimg", *HANDS})
    source = recipe.source
    if isinstance(source, tuple):
        source = [part.model_dump(exclude={"attribution"}) for part in source]
    return f"pretrain-{config_hash([recipe.skeleton, source, recipe.mapping, pretrain])}"


def run_key(recipe: Recipe) -> str:
    """Name of a whole run's folder. What only says who does the work may change between runs; all else counts."""
    hands = {"pretrain": HANDS, "generate": {"actors"}}
    return f"{recipe.name}-{config_hash(recipe.model_dump(mode='json', exclude=hands))}"


def load_recipe(path: str, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe from a YAML file or by the name of one that is shipped.

    Args:
        path: file, or a name such as ``quickstart``.
        overrides: ``key.path=value`` strings, values in YAML.

    Raises:
        ConfigError: missing file, broken YAML, unknown key or value out of range; it names the key.
    """
    file = Path(path)
    if not file.is_file() and file.name == path:
        shipped = resources.files("flexpose_ray.recipes")
        file = Path(str(shipped / f"{path.removesuffix('.yaml')}.yaml"))
        if not file.is_file():
            names = sorted(p.name.removesuffix(".yaml") for p in shipped.iterdir() if p.name.endswith(".yaml"))
            raise ConfigError(path, "no such recipe", f"give a YAML file or one of {', '.join(names)}")
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}", "give a YAML file or a shipped name") from error
    except BROKEN_YAML as error:
        raise ConfigError(path, f"broken YAML: {' '.join(str(error).split())}", "mend the file") from error
    if not isinstance(values, dict):
        raise ConfigError(path, "a recipe is a mapping of keys", "see the shipped quickstart.yaml")
    for override in overrides or []:
        _set(values, override)
    return parse(Recipe, values, path)


def load_section(
    name: str, path: str | None, overrides: list[str], options: list[str] | None = None, base: Section | None = None
) -> Any:
    """One section of a recipe, for a command that needs no more.

    Args:
        name: of the section, as "adapt".
        path: recipe to start from; ``base``, or defaults, where None.
        overrides: ``section.key=value``, as for a whole recipe.
        options: ``key=value`` within the section; these win.

    Raises:
        ConfigError: as :func:`load_recipe`; or an override of another section.
    """
    model = _section(Recipe, name)
    start = getattr(load_recipe(path), name) if path else base
    values = {name: start.model_dump(mode="json") if start else {}}
    for override in [*overrides, *(f"{name}.{option}" for option in options or [])]:
        _set(values, override)
    if other := next((key for key in values if key != name), None):
        raise ConfigError(
            f"--set {other}", "has no effect here", f"set {name}.KEY, KEY one of {', '.join(model.model_fields)}"
        )
    return parse(model, values[name], path or f"{name} options")


def parse(model: type[Section], values: dict, where: str) -> Any:
    """Check ``values`` against ``model``; the first fault becomes one line."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [(_key(model, fault["loc"]), fault) for fault in error.errors()]
    field = faults[0][0]
    # Of a value that may be one of several things, what is said of the part within it says most.
    key = max((key for key, _ in faults if key[: len(field)] == field), key=len)
    told = [fault for at, fault in faults if at == key]
    name = ".".join(map(str, key)) or "recipe"
    if told[0]["type"] == "extra_forbidden":
        owner = model
        for part in key[:-1]:
            owner = owner if isinstance(part, int) else _section(owner, part)
        raise ConfigError(where, f"unknown key {name}", f"known here: {', '.join(owner.model_fields)}")
    if told[0]["type"] == "value_error":  # of our own, about several keys
        raise ConfigError(where, f"{name}: {told[0]['ctx']['error']}", "correct the recipe or the --set option")
    wanted = " or ".join(dict.fromkeys(fault["msg"].removeprefix("Input should be ") for fault in told))
    if told[0]["msg"].startswith("Input should be "):
        wanted = f"should be {wanted}".replace("a valid tuple", "a list, as in [3]")
    found = "" if told[0]["type"] == "missing" else f", found {told[0]['input']!r}"[:120]
    raise ConfigError(where, f"{name}: {wanted}{found}", "correct the recipe or the --set option")


def _key(model: type[Section], loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where a fault lies, without the names that pydantic gives to the branches of a union."""
    key, owner, in_branch = (), model, False
    for part in loc:
        if in_branch:
            in_branch = False
        elif isinstance(part, int):
            key = (*key, part)
        elif owner is not None:
            key = (*key, part)
            field, owner = owner.model_fields.get(part), _section(owner, part)
            in_branch = owner is not None and len(set(get_args(field.annotation)) - {NoneType}) > 1
    return key


def _section(owner: type[Section] | None, name: str) -> type[Section] | None:
    """The section that a field holds, by itself or in a list."""
    field = owner.model_fields.get(name) if owner else None
    kinds = [field.annotation] if field else []
    for kind in kinds:
        kinds += get_args(kind)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Section)), None)


def _set(values: dict, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}", "expected key.path=value", "as in --set generate.count=5000")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}", f"{parent} is a value, not a section")
    try:
        values[last] = yaml.safe_load(text)
    except BROKEN_YAML:
        raise ConfigError(f"--set {override}", "the value is no YAML", "quote it") from None
