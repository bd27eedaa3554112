"""Training a translator between skeleton images and pictures, which never come in pairs (CycleGAN: Zhu et al., 2017).

    skeleton image -> picture -> the same skeleton image
    picture -> skeleton image -> the same picture

A critic on each side sees that results look like its own kind.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from flexpose_ray.networks.translator import PosePainter
from flexpose_ray.training.pictures.trainer import PictureTrainer
from flexpose_ray.training.pictures.translator_settings import TranslatorSettings
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import SINGLE, Worker

GENERATORS, CRITICS = ("painter", "skeletonizer"), ("picture_critic", "skeleton_critic")


class TranslatorTrainer(PictureTrainer):
    """Trains a translator; see :class:`~flexpose_ray.training.pictures.trainer.PictureTrainer`."""

    def __init__(
        self,
        skeleton: str,
        pictures: Unlabelled,
        prior_NJ2: np.ndarray,
        settings: TranslatorSettings,
        worker: Worker = SINGLE,
    ):
        super().__init__(skeleton, pictures, prior_NJ2, settings, worker, {name: name for name in GENERATORS})
        self.optimizers = {"generators": self._adam(*GENERATORS), "critics": self._adam(*CRITICS)}
        if settings.pool:  # the same on every worker, so that any number of them trains the same thing
            shape = settings.pool, 3, settings.size, settings.size
            self.more["pool.pictures"] = torch.zeros(shape, device=self.device)
            self.more["pool.skeletons"] = torch.zeros((shape[0], settings.channels, *shape[2:]), device=self.device)

    def step(self) -> dict[str, float]:
        """Train on one batch.

        Returns:
            This worker's losses: ``cycle_pictures`` and ``cycle_skeletons`` (mean absolute differences), ``g_loss``,
            ``d_loss``.
        """
        s, nets, rng = self.settings, self.networks, self._rng()
        left = 2 * (1 - self.step_count / s.steps)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = s.lr * min(1.0, left)
        pictures = self._pictures(rng.integers(len(self.pictures.pictures_N3SS), size=s.batch))
        skeletons = self.alpha.draw(self._prior(rng, s.batch))

        for name in CRITICS:
            nets[name].requires_grad_(False)
        painted, seen = nets["painter"](skeletons), nets["skeletonizer"](pictures)
        cycles = F.l1_loss(nets["skeletonizer"](painted), skeletons), F.l1_loss(nets["painter"](seen), pictures)
        g_loss = _apart(nets["picture_critic"](painted), 1) + _apart(nets["skeleton_critic"](seen), 1)
        loss = g_loss + s.cycle * sum(cycles)
        if s.identity:
            kept = F.l1_loss(nets["painter"](pictures), pictures), F.l1_loss(nets["skeletonizer"](skeletons), skeletons)
            loss = loss + s.identity * sum(kept)
        for name in CRITICS:
            nets[name].requires_grad_(True)

        fakes = self._pooled("pictures", painted.detach(), rng), self._pooled("skeletons", seen.detach(), rng)
        d_loss = 0.0
        for name, real, fake in zip(CRITICS, (pictures, skeletons), fakes, strict=True):
            d_loss = d_loss + (_apart(nets[name](real), 1) + _apart(nets[name](fake), 0)) / 2
        self._update({"generators": (loss, GENERATORS), "critics": (d_loss, CRITICS)})
        self._average(GENERATORS, self.step_count)
        self.step_count += 1
        names = {"cycle_pictures": cycles[1], "cycle_skeletons": cycles[0], "g_loss": g_loss, "d_loss": d_loss}
        return {name: value.item() for name, value in names.items()}

    @property
    def painter(self) -> PosePainter:
        """Skeletons to pictures as it is now: the averaged network."""
        return PosePainter(self.averaged["painter"], self.alpha)

    def _pooled(self, kind: str, fakes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """What a critic is shown: a new result, or by half of the chances a former one whose place it takes."""
        size, batch = self.settings.pool, self.settings.batch
        if not size:
            return fakes
        pool, everyone = self.more[f"pool.{kind}"], self.worker.gather(fakes).clone()
        shown = everyone.clone()
        filled = min(size, self.step_count * batch)
        former_N, place_N = rng.random(batch) < 0.5, rng.integers(0, size, batch)
        for i in range(batch):
            if filled < size:
                pool[filled] = everyone[i]
                filled += 1
            elif former_N[i]:
                shown[i] = pool[place_N[i]]
                pool[place_N[i]] = everyone[i]
        n = batch // self.worker.world
        return shown[self.worker.rank * n : (self.worker.rank + 1) * n].to(memory_format=torch.channels_last)


def _apart(verdicts: list[torch.Tensor], wanted: float) -> torch.Tensor:
    """Mean squared distance of verdicts from what is wanted (LSGAN)."""
    return torch.stack([(v - wanted).square().mean() for v in verdicts]).mean()
