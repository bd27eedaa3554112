"""The verb translate: train, sample, eval."""

from __future__ import annotations

import dataclasses

from flexpose_ray.cli.pictures import (
    add_pictures,
    add_prior,
    add_training,
    read_given_pictures,
    read_prior,
    settings_of,
)
from flexpose_ray.cli.verb import Outcome, Verbs, add_group, add_verb
from flexpose_ray.errors import ConfigError

JUDGED = 1000  # poses that eval paints, by default


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its own verbs."""
    summary = "learn to paint pictures of poses from unpaired pictures and poses, and make annotated pictures"
    example = """flexpose translate train  --pictures frames/ --prior data/mine --out models/painter
flexpose translate sample --translator models/painter --poses data/mine --count 5000 --out made
flexpose translate eval   --translator models/painter --detector models/detector --poses data/mine"""
    own = add_group(verbs, "translate", summary, example)

    example = "flexpose translate train --pictures frames/ --masks masks/ --prior data/mine --out models/painter"
    sub = add_verb(own, train, "train", "learn from pictures and poses that do not belong together", example)
    add_pictures(sub)
    add_prior(sub, required=True)
    add_training(sub)

    example = "flexpose translate sample --translator models/painter --poses data/mine --count 5000 --out made"
    sub = add_verb(own, sample, "sample", "paint poses: pictures with COCO annotations", example)
    _translator(sub)
    sub.add_argument("--count", type=int, metavar="N", help="so many of the poses, from the first (default: all)")
    sub.add_argument("--out", required=True, metavar="URI", help="folder for images/ and annotations.json")
    sub.add_argument("--sheet", metavar="URI", help="a .png to draw 12 of the results into")

    example = "flexpose translate eval --translator models/painter --detector models/detector --poses data/mine"
    sub = add_verb(own, evaluate, "eval", "let a detector read what is painted, and compare with the poses", example)
    _translator(sub)
    sub.add_argument("--detector", required=True, metavar="URI", help="a trained detector's folder")
    sub.add_argument("--count", type=int, metavar="N", help=f"poses to paint (default: {JUDGED:,}, or all)")


def _translator(sub) -> None:
    sub.add_argument("--translator", required=True, metavar="URI", help="a trained translator's folder")
    sub.add_argument("--poses", required=True, metavar="URI", help="data set, pose set (.parquet) or KIND:PATH")


def train(args) -> Outcome:
    from flexpose_ray.engine.detect.run import PictureJob, run_training
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.training.pictures.translator_settings import TranslatorSettings

    settings = settings_of(TranslatorSettings, args.set)
    prior, found = read_prior(args.prior), read_given_pictures(args, settings.size)
    job = PictureJob("translator", found.pictures_N3SS, found.clip_N, prior, settings, args.workers)
    facts = {"pictures": len(found), "unreadable": len(found.bad), "poses": len(prior)}
    text = f"{len(found):,} pictures of {settings.size} px ({len(found.bad)} unreadable), {len(prior):,} poses"
    if args.dry_run:
        values = dataclasses.asdict(settings)
        listed = "\n".join(f"  {name}={value}" for name, value in values.items())
        return 0, facts | {"settings": values}, f"would train {args.out} on {text}\nsettings:\n{listed}"
    lines = StageLines()
    sources = {"pictures_from": args.pictures, "poses_from": args.prior, "unreadable": len(found.bad)}
    done = run_training(job, args.out, lambda row: lines("translate", row), card=sources)
    done = {"translator": done.pop("model"), **done}
    return 0, facts | done, f"trained on {text}\ntranslator: {done['translator']}"


def sample(args) -> Outcome:
    import cv2

    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.evaluation.translator import check_poses, translator_sheet, write_pictures
    from flexpose_ray.storage.open import locate, open_store

    if args.sheet is not None and not args.sheet.endswith(".png"):
        raise ConfigError("--sheet", f"{args.sheet!r} is no .png file", "let its name end in .png")
    translator, poses = _given(args)
    check_poses(translator, poses)
    done = {"pictures": len(poses), "out": args.out}
    if args.dry_run:
        return 0, done, f"would paint {len(poses):,} poses into {args.out}"
    uri, painted = write_pictures(translator, poses, open_store(args.out), ProgressLine("pictures"))
    done |= {"annotations": uri, "painted": painted}
    missing = "" if painted else ", nothing was missing"
    text = f"{len(poses):,} pictures of {translator.settings.size} px{missing}: {uri}"
    if args.sheet:
        store, name = locate(args.sheet)
        store.put(name, cv2.imencode(".png", translator_sheet(translator, poses))[1].tobytes())
        text += f"\nsome of them: {args.sheet}"
    return 0, done, text


def evaluate(args) -> Outcome:
    from flexpose_ray.evaluation.detector import format_scores
    from flexpose_ray.evaluation.translator import judge_pictures
    from flexpose_ray.models.detectors import load_detector

    translator, poses = _given(args, JUDGED)
    detector = load_detector(args.detector)
    if args.dry_run:
        return 0, {"poses": len(poses)}, f"would paint {len(poses):,} poses and let {args.detector} read them"
    rows = judge_pictures(translator, detector, poses)
    return 0, rows, format_scores(rows, detector.settings.size)


def _given(args, most: int | None = None):
    """The translator, and the poses that are asked for; ``most`` of them where no number is given."""
    import numpy as np

    from flexpose_ray.models.translators import load_translator

    if args.count is not None and args.count < 1:
        raise ConfigError("--count", f"{args.count} is less than 1", "give a positive number")
    poses = read_prior([args.poses])
    count = min(len(poses), most or len(poses)) if args.count is None else args.count
    if count > len(poses):
        raise ConfigError("--count", f"{count:,} of {len(poses):,} poses", "give fewer, or generate more poses")
    return load_translator(args.translator), poses.take(np.arange(count))
