"""Training a detector on pictures without annotations and on poses that belong to none of them.

    picture -> skeleton image -> points -> skeleton image drawn anew -> picture, with another frame for its looks

An adversary sees that skeleton images look like drawings of the given poses, and the way back to the picture that they
are those of this picture. Points in the middle leave no room for anything else (KeypointGAN: Jakab et al., 2020).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from flexpose_ray.networks.picture_reader import PictureReader, as_input
from flexpose_ray.training.pictures.anchors import Anchors
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.moves import DRAWS, moved, varied
from flexpose_ray.training.pictures.trainer import PictureTrainer
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import SINGLE, Worker

COLLECT_AT = 0.99  # how slowly the means of the cycle's terms follow
AVERAGED = ("skeletonizer", "regressor")  # networks that are averaged while all of them train
DRAWN = 0.1  # weight of skeleton images beside points, whose squared errors are smaller
DRAWN_SHARE = 0.9  # of the regressor's loss from drawings of poses; the rest from what pictures become


class DetectorTrainer(PictureTrainer):
    """Trains a detector; see :class:`~flexpose_ray.training.pictures.trainer.PictureTrainer`.

    Args:
        prior_NJ2: poses as the pictures' are thought to be distributed; none belongs to a picture. Crop units.
        anchors: a few annotated pictures that every step learns from too: on which side left mostly is. With none,
            or a weight of 0, every step is as without.
    """

    def __init__(
        self,
        skeleton: str,
        pictures: Unlabelled,
        prior_NJ2: np.ndarray,
        settings: DetectorSettings,
        worker: Worker = SINGLE,
        anchors: Anchors | None = None,
    ):
        averaged = {"skeletonizer": "skeletonizer", "regressor": "regressor", "prepared": "regressor"}
        super().__init__(skeleton, pictures, prior_NJ2, settings, worker, averaged)
        self.optimizers = {
            "prepare": torch.optim.Adam(self.networks["regressor"].parameters(), 1e-3, fused=True),
            "generators": self._adam("skeletonizer", "painter"),
            "critic": self._adam("critic"),
            "regressor": self._adam("regressor"),
        }
        self.more = {"cycle_means": torch.zeros(4, device=self.device)}
        self.anchors = anchors if settings.anchor else None

    @property
    def last_step(self) -> int:
        return self.settings.prepare_steps + self.settings.steps

    def step(self) -> dict[str, float]:
        """Train on one batch: first the regressor on drawings, from ``prepare_steps`` on everything.

        Returns:
            This worker's losses: ``prepare``; or ``cycle`` (the pictures' mean absolute difference), ``g_loss``,
            ``d_loss``, ``regressor``, and with annotated pictures ``anchor``.
        """
        s = self.settings
        rng = self._rng()
        losses = self._prepare(rng) if self.step_count < s.prepare_steps else self._all(rng)
        self.step_count += 1
        if self.step_count == s.prepare_steps:
            for name in ("regressor", "prepared"):
                self.averaged[name].load_state_dict(self.networks["regressor"].state_dict())
        return losses

    @property
    def reader(self) -> PictureReader:
        """The detector as it is now: the averaged networks."""
        return PictureReader(**self.averaged, alpha=self.alpha, size=self.settings.size)

    def _prepare(self, rng: np.random.Generator) -> dict[str, float]:
        """The regressor on drawings with noise of many strengths: what pictures become is never clean."""
        s = self.settings
        left = 1 - self.step_count / s.prepare_steps
        for group in self.optimizers["prepare"].param_groups:
            group["lr"] = 1e-3 * min(1.0, left / 0.3)
        wanted = self._prior(rng, 2 * s.batch)
        drawn = self.alpha.draw(wanted)
        strength_N111 = self._tensor(rng.random((2 * s.batch, 1, 1, 1), np.float32) * 0.3)
        noise = self._tensor(rng.standard_normal((2 * s.batch, *drawn.shape[1:]), np.float32))
        loss = F.mse_loss(self.networks["regressor"](drawn + noise * strength_N111), wanted)
        self._update({"prepare": (loss, ("regressor",))})
        return {"prepare": loss.item()}

    def _all(self, rng: np.random.Generator) -> dict[str, float]:
        s, nets = self.settings, self.networks
        rows_N = rng.integers(len(self.pictures.pictures_N3SS), size=s.batch)
        others_N = self.pictures.companions(rows_N, rng)
        x, companions = self._pictures(rows_N), self._pictures(others_N)
        alone_N, jitter_N5 = rows_N == others_N, rng.random((s.batch, 5), np.float32)
        if alone_N.any():
            alone_N111 = self._tensor(alone_N)[:, None, None, None]
            companions = torch.where(alone_N111, moved(companions, self._tensor(jitter_N5)), companions)
        wanted = self._prior(rng, s.batch)
        real = self.alpha.draw(wanted)

        nets["regressor"].requires_grad_(False)
        nets["critic"].requires_grad_(False)
        skeletons = nets["skeletonizer"](x)
        drawn = self.alpha.draw(nets["regressor"](skeletons))
        terms = self._cycle(nets["painter"](drawn, companions), F.avg_pool2d(x, s.stem))
        g_loss = torch.stack([(v - 1).square().mean() for v in nets["critic"](skeletons)]).mean()
        generators = s.cycle * self._normalised(terms) + s.adversary * g_loss
        names = {"cycle": terms[0], "g_loss": g_loss}
        if self.anchors is not None:
            names["anchor"] = self._anchored(rng)
            generators = generators + s.anchor * names["anchor"]
        nets["regressor"].requires_grad_(True)
        nets["critic"].requires_grad_(True)

        fake, n = skeletons.detach(), len(x)
        verdicts = nets["critic"](torch.cat([real, fake]))
        d_loss = torch.stack([((v[:n] - 1).square().mean() + v[n:].square().mean()) / 2 for v in verdicts]).mean()
        points = nets["regressor"](torch.cat([real, fake]))
        on_fake = F.mse_loss(self.alpha.draw(points[n:]), fake)
        regressor = DRAWN_SHARE * F.mse_loss(points[:n], wanted) + (1 - DRAWN_SHARE) * on_fake
        self._update(
            {
                "generators": (generators, ("skeletonizer", "painter")),
                "critic": (d_loss, ("critic",)),
                "regressor": (regressor, ("regressor",)),
            }
        )
        self._average(AVERAGED, self.step_count - s.prepare_steps)
        names |= {"d_loss": d_loss, "regressor": regressor}
        return {name: value.item() for name, value in names.items()}

    def _anchored(self, rng: np.random.Generator) -> torch.Tensor:
        """How far the reading of varied annotated pictures is from their poses, as drawings and as points."""
        rows_N = rng.integers(len(self.anchors.poses_NJ2), size=self.settings.batch)
        jitter_N8 = self._tensor(rng.random((self.settings.batch, DRAWS), np.float32))
        mine_N = self._mine(rows_N)
        x = as_input(self._tensor(self.anchors.pictures_N3SS[mine_N], share=False))
        poses = self._tensor(self.anchors.poses_NJ2[mine_N], share=False)
        x, wanted = varied(x, poses, jitter_N8, self.alpha.skeleton.flip)
        points, drawn = self._misread(x, wanted)
        return drawn + points / DRAWN

    def _misread(self, x: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean squared errors of what pictures become whose poses are known: as points, and as skeleton images."""
        skeletons = self.networks["skeletonizer"](x)
        points = F.mse_loss(self.networks["regressor"](skeletons), wanted)
        return points, F.mse_loss(skeletons, self.alpha.draw(wanted))

    @staticmethod
    def _cycle(painted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean absolute differences at the size itself, a half, a quarter, and of neighbouring pixels' steps, (4,)."""
        terms = [(F.avg_pool2d(painted, k) - F.avg_pool2d(wanted, k)).abs().mean() for k in (1, 2, 4)]
        steps = [(painted.diff(dim=axis) - wanted.diff(dim=axis)).abs().mean() for axis in (2, 3)]
        return torch.stack([*terms, sum(steps)])

    def _normalised(self, terms_4: torch.Tensor) -> torch.Tensor:
        """The mean of the terms, each divided by its own running mean: about 1 whatever the pictures."""
        now = terms_4.detach().clone()
        self.worker.reduce([now])()
        means = self.more["cycle_means"]
        self.more["cycle_means"] = means = now if not bool(means.any()) else means.lerp(now, 1 - COLLECT_AT)
        return (terms_4 / (means + 1e-8)).mean()
