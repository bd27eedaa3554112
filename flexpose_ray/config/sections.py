"""Sections of recipes: frozen, validated models of every step after pretraining."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flexpose_ray.config.pretraining import Count, Seed
from flexpose_ray.config.reading import Section

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"  # names become folders, object keys and job names
Layers = Literal["all", "w", "none"] | Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class AdaptConfig(Section):
    """Adaptation of g_s to the shots: what tau holds and how it is trained (paper section 3.3)."""

    layers: Layers = Field("none", description="style layers with a U_l, or all; or w, one U before them all; or none")
    counting: Literal["stylegan2", "stylegan"] = Field(
        "stylegan2", description="how layers are counted; layer 3 of StyleGAN (2018) is our layer 2"
    )
    bias: bool = True
    loss: Literal["moments", "energy", "perceptual"] = "moments"
    pairing: Literal["random", "nearest", "transport"] = "transport"
    gamma: str = Field("beta", description="beta, discriminator, keypoints, pixels, or a VGG-16 weights file")
    mixup: int = Field(1000, ge=0, description="E of eq. 7, mixed poses to train on; 0 uses the shots alone")
    shrink: float | None = Field(
        None, ge=0, le=1, description="weight of the shots' own spread; chosen from the shots by default"
    )
    blend: bool = Field(True, description="blend poses with the shots; see networks/blend.py")
    prior: float = Field(0.75, ge=0, description="blend: share of poses that stay as they are, if shots lie among them")
    spread: float = Field(
        0.3, ge=0, le=1, description="blend: share of its deviation from the mean that a pose keeps beside the shots"
    )
    finish: float = Field(
        0.5, ge=0, le=1, description="blend: share of the way that poses are moved to the estimated moments"
    )
    rarity: float = Field(
        4, ge=0, description="blend: power by which a shot's weight falls with its distance from the source"
    )
    mirror: bool | None = Field(
        None, description="use mirror images of shots as shots; decided from the data by default"
    )
    steps: Count = 200
    batch: int = Field(48, ge=2)
    lr: float = Field(6e-3, gt=0)
    seed: Seed = 0

    @model_validator(mode="after")
    def _does_something(self):
        if self.layers == "none" and not self.blend:
            raise ValueError("nothing to adapt with layers=none and blend=false; set one of them")
        return self

    @classmethod
    def paper(cls, **changes) -> AdaptConfig:
        """The paper's literal setting: U_3 alone, without bias; random pairs; perceptual loss; no blend, no mirror."""
        literal = {"layers": (3,), "bias": False, "loss": "perceptual", "pairing": "random"}
        return cls(**{**literal, "blend": False, "mirror": False, **changes})


class TargetConfig(Section):
    """Where target poses come from and how they are split."""

    poses: str = Field(description="KIND:PATH, as for `flexpose prepare`")
    mapping: str | None = None
    only: tuple[str, ...] = Field((), description="labels to keep; all by default")
    exclude: tuple[str, ...] = Field((), description="labels to leave out of those")
    held_out: float = Field(0.5, gt=0, lt=1, description="share of the groups held out for evaluation")
    shots_per_label: Count = 2
    seed: Seed = 0


class GateConfig(Section):
    """Checks for implausible poses; see pose/gate.py. Distances are in crop units, means over joints."""

    mode: Literal["off", "warn", "drop"] = Field(
        "warn", description="what is done about them: nothing, count them, or replace them"
    )
    confidence: float = Field(0.3, ge=0, le=1, description="least mean confidence of a pose's joints")
    margin: float = Field(0.02, ge=0, description="error of joints that limits of limbs and angles allow for")
    round_trip: float | None = Field(
        None, gt=0, description="greatest distance between a pose and what beta reads off its drawing"
    )
    duplicate: float = Field(0.01, ge=0, description="least distance between two poses of a shard")
    shot_copy: float = Field(0.02, ge=0, description="least distance between a pose and a shot")


class GenerateConfig(Section):
    """Sampling of the data set; see engine/generate/run.py."""

    count: Count = 20_000
    seed: Seed = 0
    shard_size: Count | None = Field(
        None, description="poses in a shard; by default 10,000 of a flow, 1,000 of a StyleGAN"
    )
    batch: Count | None = Field(
        None, description="poses in a pass of the networks; by default 1,024 of a flow, 64 of a StyleGAN"
    )
    bf16: bool = Field(False, description="run the networks in bfloat16; other poses than in float32, by rounding")
    gate: GateConfig = GateConfig()
    images: Literal["png", "webp"] | None = None
    actors: Count | None = None


class EvaluateConfig(Section):
    """Comparison with the held-out part of the target."""

    count: int = Field(5000, ge=64, description="poses on each side of the comparison")
    paper: bool = Field(True, description="adapt with the paper's literal setting too, for the table")
    seed: Seed = 0


class SourceConfig(Section):
    """One of several sets of source poses that pretraining mixes."""

    poses: str = Field(description="KIND:PATH")
    weight: float = Field(1.0, gt=0, description="how often its poses are drawn, relative to those of the other sets")
    mapping: str | None = None
    attribution: str | None = None
