"""Sections of recipes: frozen, validated models, one for every step of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flexpose_ray.config.reading import Section

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"  # names become folders, object keys and job names
Layers = Literal["all", "w", "none"] | Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Kind = Literal["flow", "stylegan"]
Tracker = Literal["tensorboard", "mlflow", "wandb"]
EXECUTION_KEYS = {"workers", "threads", "report_kimg", "keep", "track"}  # of pretraining; they do not change its result


class AlphaConfig(Section):
    """How skeletons are drawn as images; see pose/alpha.py."""

    size: Literal[16, 32, 64, 128, 256] = 64  # beta halves an image four times
    channels: Literal[1, 3] = 3
    profile: Literal["gaussian", "line"] = "gaussian"
    width: float = Field(1 / 32, gt=0, le=0.5)


class NetworkConfig(Section):
    """Sizes of generator and discriminator; see networks/generator.py."""

    z_size: Count = 128
    w_size: Count = 128
    depth: Count = 4
    base: Count = 1024
    most: Count = 128
    shift: bool = Field(False, description="let styles shift features too, as in the paper, not only scale them")
    pose_mapping: tuple[Count, Count, Count] = Field(
        (256, 512, 3), description="width, hidden and depth of the mapping where a flow teaches"
    )


class BetaConfig(Section):
    """beta's size and training; see networks/beta.py."""

    width: Count = 24
    steps: int = Field(3000, ge=20)  # at least two for every progress row
    batch: int = Field(64, ge=2)  # batch normalisation needs two
    lr: float = Field(2e-3, gt=0)


class FlowConfig(Section):
    """A flow's sizes and training; see networks/pose_flow.py and training/flow.py."""

    width: Count = 256
    hidden: Count = 512
    depth: Count = 3
    steps: Count = Field(4000, description="of the velocity field")
    batch: Count = 512
    lr: float = Field(2e-3, gt=0)
    student: tuple[Count, Count, Count] = Field(
        (192, 384, 2), description="width, hidden and depth of the one-step student"
    )
    student_steps: int = Field(1500, ge=2)
    student_batch: Count = 1024
    student_lr: float = Field(2e-3, gt=0)
    pairs: Count = Field(200_000, description="of noise and pose that the student learns from")


class PretrainConfig(Section):
    """Pretraining of g_s on the source poses: a flow, or a StyleGAN and its beta."""

    kind: Kind = Field(
        "flow", description="flow (poses, in minutes) or stylegan (skeleton images, in hours; the paper's)"
    )
    teacher: Literal["flow", "none"] = Field(
        "flow", description="of a StyleGAN: a flow, which is trained first, or none: adversarial training, the paper's"
    )
    start: str | None = Field(
        None, description="URI of a StyleGAN that a taught one starts from: its synthesis weights, its beta"
    )
    alpha: AlphaConfig = AlphaConfig()
    network: NetworkConfig = NetworkConfig()
    beta: BetaConfig = BetaConfig()
    flow: FlowConfig = FlowConfig()
    kimg: float = Field(500, gt=0, description="StyleGAN: thousands of images to train on; may grow without a teacher")
    batch: Count = 32
    lr: float = Field(0.002, gt=0)
    r1_gamma: float = Field(10.0, ge=0)
    r1_every: Count = 16
    ema_kimg: float = Field(5.0, ge=0)
    augment_target: float | None = Field(0.6, ge=0, le=1)
    pose_weight: float = Field(15.0, ge=0, description="weight of the energy distance between poses, read by beta")
    pose_from_kimg: float = Field(80, ge=0, description="kimg from which that weight applies")
    style_mixing: float = Field(
        0, ge=0, le=1, description="share of generated images with styles of two latents (StyleGAN, 2018)"
    )
    path_length: float = Field(0, ge=0, description="weight of the penalty on path lengths (StyleGAN2 has 2)")
    path_every: Count = Field(8, description="steps from one such penalty to the next")
    bf16: bool | Literal["auto"] = "auto"
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the source's groups held out for FD")
    report_kimg: float | None = Field(
        None, gt=0, description="kimg between two progress lines: 2 by default, of a flow a fiftieth of the whole"
    )
    eval_kimg: float | None = Field(
        None,
        gt=0,
        description="kimg between two evaluations (FD, sample grid, checkpoint): 20, of a flow an eighth of the whole",
    )
    eval_samples: int = Field(5000, ge=64)
    keep: Count = Field(2, description="checkpoints to keep, besides the best by FD; may change between runs")
    track: tuple[Tracker, ...] = Field(("tensorboard",), description="tools that show curves; may change between runs")
    workers: Count | tuple[Count, Count] = Field(
        1, description="Ray Train workers, or [least, most]; may change between runs"
    )
    threads: int | None = Field(None, ge=1, description="torch threads of a worker on a CPU; all cores by default")
    seed: Seed = 0

    @model_validator(mode="after")
    def _batch_splits(self):
        least, most = self.worker_range
        if least > most:
            raise ValueError(f"workers [{least}, {most}]: the first number is larger than the second")
        batches = {"batch": self.batch}
        if self.kind == "flow":
            batches = {"flow.batch": self.flow.batch, "flow.student_batch": self.flow.student_batch}
        for workers in range(least, most + 1):
            for name, batch in batches.items():
                if batch % (4 * workers):
                    raise ValueError(f"{name} {batch} is not a multiple of 4 x workers ({workers})")
        return self

    @property
    def goal_kimg(self) -> float:
        """Thousands of images, or of a flow's poses, that a run trains on."""
        f = self.flow
        return (f.steps * f.batch + f.student_steps * f.student_batch) / 1000 if self.kind == "flow" else self.kimg

    @property
    def every_kimg(self) -> tuple[float, float]:
        """kimg between two reports, and between two evaluations."""
        report, evaluate = (self.goal_kimg / 50, self.goal_kimg / 8) if self.kind == "flow" else (2.0, 20.0)
        return self.report_kimg or report, self.eval_kimg or evaluate

    @property
    def taught(self) -> bool:
        """Whether a flow teaches a StyleGAN."""
        return self.kind == "stylegan" and self.teacher == "flow"

    @property
    def worker_range(self) -> tuple[int, int]:
        """Least and most workers."""
        return self.workers if isinstance(self.workers, tuple) else (self.workers, self.workers)


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
