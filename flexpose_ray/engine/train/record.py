"""What the first worker leaves of a training: history, checkpoints, the best generator, pictures, curves."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field

import cv2
import numpy as np

from flexpose_ray.config import Recipe, pretrain_key
from flexpose_ray.engine.train.checkpoint import Background, Checkpoint, write_checkpoint
from flexpose_ray.engine.train.failures import diverged
from flexpose_ray.engine.train.judge import Judge
from flexpose_ray.engine.train.tracking import Tracker, open_trackers
from flexpose_ray.models.generators import save_generator
from flexpose_ray.models.weights import Model
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.storage.base import Store
from flexpose_ray.training.gan import GanTrainer

SAVE_S = 60.0  # at a report, what is older is written anew: so much is lost with a node at most
GENERATOR = "generator"


@dataclass
class Record:
    """Takes every report's row. Storage is written behind the training's back, in order; a failure surfaces at the
    next piece of writing, or at the end.

    Attributes:
        history: rows so far; a checkpoint holds those up to it.
        facts: of beta and of the poses, for the card.
    """

    recipe: Recipe
    store: Store
    trainer: GanTrainer
    judge: Judge
    history: list[dict[str, float]]
    facts: dict
    trackers: list[Tracker] = field(init=False)
    background: Background = field(init=False, default_factory=Background)
    saved: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self):
        p = self.recipe.pretrain
        settings = self.recipe.model_dump(mode="json")
        self.trackers = open_trackers(p.track, self.store, pretrain_key(self.recipe), settings, self.trainer.step_count)

    def add(self, row: dict[str, float], evaluates: bool, leaves: bool = False) -> None:
        """Take a row, complete it with scores where it is time to, and write what is due: all where training leaves."""
        step = self.trainer.step_count
        due = evaluates or leaves or time.monotonic() - self.saved > SAVE_S
        if due and not self.trainer.finite():
            raise diverged("weights are not finite", step, self.recipe.pretrain)
        if evaluates:
            row |= self.judge.scores(self.trainer.averaged, self.trainer.alpha)
        self.history.append(row)
        for tracker in self.trackers:
            tracker.row(step, row)
        if due:
            self._write(evaluates)

    def close(self) -> None:
        """Until all is written."""
        self.background.wait()
        for tracker in self.trackers:
            tracker.close()

    def _write(self, evaluates: bool) -> None:
        """Copy what is due and begin to write it: pictures and the best generator before the checkpoint that holds
        their row, so that a run never goes on from a row without them."""
        self.background.wait()  # what the last copy needs is free again
        checkpoint = Checkpoint(*self.trainer.state(), self.history, pretrain_key(self.recipe)).copied()
        best = grid_HWC = None
        if evaluates:
            grid_HWC = self.judge.grid(self.trainer.averaged)
            for tracker in self.trackers:
                tracker.picture(self.trainer.step_count, grid_HWC)
            *earlier, row = self.history
            if all(row["fd"] <= old["fd"] for old in earlier if "fd" in old):
                best = tuple(copy.deepcopy(part) for part in (self.trainer.averaged, self.trainer.discriminator))
        self.background.submit(lambda: self._put(checkpoint, grid_HWC, best))
        self.saved = time.monotonic()

    def _put(self, checkpoint: Checkpoint, grid_HWC: np.ndarray | None, best: tuple | None) -> None:
        if grid_HWC is not None:
            png = cv2.imencode(".png", grid_HWC[..., ::-1])[1].tobytes()
            self.store.put(f"grids/kimg{round(checkpoint.history[-1]['kimg']):06d}.png", png)
        if best is not None:
            judge = self.judge
            card = generator_card(self.recipe, checkpoint.history, {**self.facts, **judge.floor})
            networks = Networks(*best, judge.beta, self.trainer.alpha, judge.source)
            save_generator(f"{self.store.uri}/{GENERATOR}", networks, judge.limits, card)
        write_checkpoint(self.store, checkpoint, self.recipe.pretrain.keep)
        for tracker in self.trackers:
            tracker.flush()


def generator_card(recipe: Recipe, history: list[dict], facts: dict) -> dict:
    """What a person wants to know of a generator; the last row of ``history`` is its own."""
    last = history[-1]
    attributions = [source.attribution for source in recipe.sources if source.attribution]
    card = {
        "command": f"flexpose pretrain {recipe.name}",
        "attribution": "; ".join(dict.fromkeys(attributions)) or None,
        "source": recipe.source_name,
        "kimg": last["kimg"],
        "fd": last["fd"],
        "mmd2": last["mmd2"],
        **facts,
        "settings": recipe.pretrain.model_dump(mode="json"),
        "history": [row for row in history if "fd" in row],
    }
    if len(recipe.sources) > 1:
        card["sources"] = [source.model_dump(mode="json") for source in recipe.sources]
    return card


def card_text(model: Model, kimg: float) -> str:
    """A finished run's generator in words, as Markdown.

    Args:
        model: the generator as it was saved.
        kimg: how far the run went.
    """
    card = model.card
    rows = [
        ("FD to held-out poses", f"{card['fd']:.4f} (floor {card['fd_floor']:.4f})"),
        ("MMD^2 to held-out poses", _figure(card, "mmd2")),
        ("trained", f"{kimg:g} kimg; this is the generator at {card['kimg']:g} kimg, the best by FD"),
        ("source", card["source"]),
        ("poses", f"{card['poses']:,}" if "poses" in card else "not told"),
        ("attribution", card["attribution"] or "none given: say whose data this is before you pass it on"),
        ("beta's error", f"{card['beta_error_px']:.2f} px of {model.config['alpha']['size']}"),
        ("digest", model.digest),
        ("made by", f"`{card['command']}`"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    settings = "\n".join(f"* {name}: {value}" for name, value in card["settings"].items())
    return f"# Generator\n\n| | |\n| --- | --- |\n{table}\n\n## Settings\n\n{settings}\n"


def _figure(card: dict, name: str) -> str:
    """A score with its floor; generators of earlier versions have none."""
    if card.get(name) is None:
        return "not measured"
    return f"{card[name]:.4f} (floor {card[f'{name}_floor']:.4f})"
