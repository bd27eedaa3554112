"""The section of recipes on pretraining: networks, drawings, both kinds of generators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flexpose_ray.config.reading import Section

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Kind = Literal["flow", "stylegan"]
Tracker = Literal["tensorboard", "mlflow", "wandb"]
EXECUTION_KEYS = {"workers", "threads", "report_kimg", "keep", "track"}  # they do not change a pretraining's result


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
