"""The verb detect: train, eval, predict."""

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

ALONE_SHARE = 0.5  # of the pictures, from which on a note says that they are alone


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its own verbs."""
    summary = "train a detector on pictures without annotations and on generated poses, judge it, and use it"
    example = """flexpose detect train --pictures frames/ --prior data/mine --out models/detector
flexpose detect eval --detector models/detector --source coco:test.json --pictures test/
flexpose detect predict --detector models/detector --pictures frames/ --out found.json --sheet found.png"""
    own = add_group(verbs, "detect", summary, example)

    example = """flexpose detect train --pictures frames/ --masks masks/ --prior data/mine --out models/detector
flexpose detect train --pictures "synthetic:studio?count=3000" --prior "synthetic:studio" --out models/studio"""
    sub = add_verb(own, train, "train", "learn to read pictures, from them and from poses that belong to none", example)
    add_pictures(sub)
    add_prior(sub)
    help_text = "KIND:PATH of annotations of the pictures instead: train the supervised twin, to compare with"
    sub.add_argument("--annotations", metavar="SOURCE", help=help_text)
    help_text = "KIND:PATH of a dozen annotated pictures in --pictures, beside --prior: on which side left mostly is"
    sub.add_argument("--annotated", metavar="SOURCE", help=help_text)
    add_training(sub)

    example = """flexpose detect eval --detector models/detector --source coco:test.json --pictures test/
flexpose detect eval --detector models/studio --source "synthetic:studio?part=test&count=400" """
    sub = add_verb(own, evaluate, "eval", "judge a detector by annotated pictures", example)
    sub.add_argument("--detector", required=True, metavar="URI", help="a trained detector's folder")
    sub.add_argument("--source", required=True, metavar="KIND:PATH", help="annotations that name their pictures")
    sub.add_argument("--mapping", metavar="FILE", help="YAML that maps our joints to the source's, as of prepare")
    sub.add_argument("--pictures", default=".", metavar="FOLDER", help="folder of the annotated pictures (default: .)")

    example = "flexpose detect predict --detector models/detector --pictures frames/ --out found.json --sheet found.png"
    sub = add_verb(own, predict, "predict", "read pictures into COCO keypoints with confidences", example)
    sub.add_argument("--detector", required=True, metavar="URI", help="a trained detector's folder")
    add_pictures(sub)
    sub.add_argument("--correct-sides", action="store_true", help="exchange left and right where the detector doubts")
    sub.add_argument("--out", required=True, metavar="URI", help="the .json file to write")
    sub.add_argument("--sheet", metavar="URI", help="a .png to draw 24 of the results into")


def train(args) -> Outcome:
    from flexpose_ray.engine.detect.run import run_training
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.training.pictures.detector_settings import DetectorSettings
    from flexpose_ray.training.pictures.unlabelled import Unlabelled

    if (args.prior is None) == (args.annotations is None):
        raise ConfigError("--prior", "give either poses or annotations", "--prior URI, or --annotations KIND:PATH")
    if args.annotated and args.annotations:
        problem = "the supervised twin sees all poses that it is given"
        raise ConfigError("--annotated", problem, "give it beside --prior")
    settings = settings_of(DetectorSettings, args.set)
    job, bad = _twin(args, settings) if args.annotations else _unpaired(args, settings)
    facts = {"pictures": len(job.clip_N), "unreadable": bad, "poses": len(job.prior)}
    text = f"{len(job.clip_N):,} pictures of {settings.size} px ({bad} unreadable), {len(job.prior):,} poses"
    if job.annotated is not None:
        facts["annotated"] = len(job.annotated)
        text += f", {len(job.annotated):,} annotated pictures"
    alone = Unlabelled(job.pictures_N3SS, job.clip_N).alone
    if args.annotations is None and alone > ALONE_SHARE * len(job.clip_N):
        text += f"\n{alone:,} pictures are alone in their folder, and a moved copy stands for another frame of the same"
        text += "\nperson and place, which teaches less: put the frames of a clip into a folder of their own"
    if args.dry_run:
        values = dataclasses.asdict(settings)
        listed = "\n".join(f"  {name}={value}" for name, value in values.items())
        return 0, facts | {"settings": values}, f"would train {args.out} on {text}\nsettings:\n{listed}"
    lines = StageLines()
    sources = {"pictures_from": args.pictures, "poses_from": args.annotations or args.prior, "unreadable": bad}
    sources |= {"annotated_from": args.annotated} if args.annotated else {}
    done = run_training(job, args.out, lambda row: lines("detect", row), card=sources)
    done = {"detector": done.pop("model"), **done}
    return 0, facts | done, f"trained on {text}\ndetector: {done['detector']}"


def _unpaired(args, settings):
    """What a detector is trained on, and how many pictures could not be read."""
    from flexpose_ray.engine.detect.run import PictureJob
    from flexpose_ray.pictures.annotated import read_annotated

    prior, found = read_prior(args.prior), read_given_pictures(args, settings.size)
    few = read_annotated(args.annotated, args.pictures, settings.size, masks=args.masks) if args.annotated else None
    job = PictureJob("detector", found.pictures_N3SS, found.clip_N, prior, settings, args.workers, few)
    return job, len(found.bad)


def _twin(args, settings):
    """As :func:`_unpaired`, of the supervised twin."""
    from flexpose_ray.engine.detect.run import PictureJob
    from flexpose_ray.pictures.annotated import read_annotated

    found = read_annotated(args.annotations, args.pictures, settings.size, masks=args.masks)
    poses = found.poses
    return PictureJob("supervised", found.pictures_N3SS, poses.group_N, poses, settings, args.workers), 0


def evaluate(args) -> Outcome:
    from flexpose_ray.evaluation.detector import evaluate, format_scores
    from flexpose_ray.models.detectors import load_detector
    from flexpose_ray.pictures.annotated import read_annotated

    detector = load_detector(args.detector)
    annotated = read_annotated(args.source, args.pictures, detector.settings.size, args.mapping)
    if args.dry_run:
        count = len(annotated.poses)
        return 0, {"pictures": count}, f"would judge {args.detector} by {count:,} pictures"
    rows = evaluate(detector, annotated)
    return 0, rows, format_scores(rows, detector.settings.size)


def predict(args) -> Outcome:
    import cv2

    from flexpose_ray.evaluation.detector import predictions, sheet
    from flexpose_ray.models.detectors import load_detector
    from flexpose_ray.storage.open import locate

    for option, uri, suffix in (("--out", args.out, ".json"), ("--sheet", args.sheet, ".png")):
        if uri is not None and not uri.endswith(suffix):
            raise ConfigError(option, f"{uri!r} is no {suffix} file", f"let its name end in {suffix}")
    detector = load_detector(args.detector)
    pictures = read_given_pictures(args, detector.settings.size)
    found = {"pictures": len(pictures), "unreadable": dict(pictures.bad), "out": args.out}
    if args.dry_run:
        return 0, found, f"would read {len(pictures):,} pictures into {args.out}"
    reading = detector.reader.read(pictures.pictures_N3SS)
    if args.correct_sides:
        flip = detector.reader.alpha.skeleton.flip
        reading = dataclasses.replace(reading, keypoints_NJ2=reading.corrected(flip))
    store, name = locate(args.out)
    store.put(name, predictions(detector, pictures, reading).encode())
    text = f"{len(pictures):,} pictures read into {args.out}, mean confidence {reading.confidence_NJ.mean():.2f}"
    if args.sheet:
        store, name = locate(args.sheet)
        store.put(name, cv2.imencode(".png", sheet(detector, pictures.pictures_N3SS, reading))[1].tobytes())
        text += f"\nsome of them: {args.sheet}"
    if pictures.bad:
        text += f"\n{len(pictures.bad)} unreadable: " + "; ".join(f"{name}: {why}" for name, why in pictures.bad[:5])
    return 0, found, text
