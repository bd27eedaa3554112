"""The verb detect: train, eval, predict."""

from __future__ import annotations

import dataclasses
from textwrap import indent

from flexpose_ray.cli.verb import FORMATTER, Outcome, Verbs, add_verb
from flexpose_ray.errors import ConfigError

ALONE_SHARE = 0.5  # of the pictures, from which on a note says that they are alone
MANY_PICTURES = 500  # from which on progress is shown
PICTURES = "folder, s3://bucket/prefix, .tar, .parquet, video, or synthetic:studio?part=pictures&count=N"


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its own verbs."""
    summary = "train a detector on pictures without annotations and on generated poses, judge it, and use it"
    example = """flexpose detect train --pictures frames/ --prior data/mine --out models/detector
flexpose detect eval --detector models/detector --source coco:test.json --pictures test/
flexpose detect predict --detector models/detector --pictures frames/ --out found.json --sheet found.png"""
    description = f"{summary}.\nEach takes --json, --dry-run and --address; see: flexpose detect VERB --help"
    parser = verbs.add_parser(
        "detect",
        help=summary,
        description=description,
        epilog=f"example:\n{indent(example, '  ')}",
        formatter_class=FORMATTER,
    )
    own = parser.add_subparsers(dest="detect_verb", required=True, metavar="VERB")

    example = """flexpose detect train --pictures frames/ --masks masks/ --prior data/mine --out models/detector
flexpose detect train --pictures "synthetic:studio?count=3000" --prior "synthetic:studio" --out models/studio"""
    sub = add_verb(own, train, "train", "learn to read pictures, from them and from poses that belong to none", example)
    _pictures(sub)
    help_text = "poses as the pictures' are distributed: data set, pose set (.parquet) or KIND:PATH; may be repeated"
    sub.add_argument("--prior", action="append", metavar="URI", help=help_text)
    help_text = "KIND:PATH of annotations of the pictures instead: train the supervised twin, to compare with"
    sub.add_argument("--annotations", metavar="SOURCE", help=help_text)
    change = "change a setting, as steps=4000 or size=128; may be repeated; --dry-run lists all"
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=change)
    sub.add_argument("--workers", type=int, default=1, metavar="K", help="Ray workers that share a batch (default: 1)")
    sub.add_argument("--out", required=True, metavar="URI", help="folder for the model; repeat the command to resume")

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
    _pictures(sub)
    sub.add_argument("--correct-sides", action="store_true", help="exchange left and right where the detector doubts")
    sub.add_argument("--out", required=True, metavar="URI", help="the .json file to write")
    sub.add_argument("--sheet", metavar="URI", help="a .png to draw 24 of the results into")


def _pictures(sub) -> None:
    sub.add_argument("--pictures", required=True, metavar="URI", help=f"{PICTURES}; one subject each")
    sub.add_argument("--masks", metavar="URI", help="folder of masks of the same names: all but the subject is blacked")
    sub.add_argument("--max-bad", type=float, metavar="SHARE", help="unreadable pictures let pass (default: 0.01)")


def train(args) -> Outcome:
    from flexpose_ray.engine.detect.run import run_training
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.training.unlabelled import Unlabelled

    if (args.prior is None) == (args.annotations is None):
        raise ConfigError("--prior", "give either poses or annotations", "--prior URI, or --annotations KIND:PATH")
    settings = _settings(args.set)
    job, bad = _twin(args, settings) if args.annotations else _unpaired(args, settings)
    facts = {"pictures": len(job.clip_N), "unreadable": bad, "poses": len(job.prior)}
    text = f"{len(job.clip_N):,} pictures of {settings.size} px ({bad} unreadable), {len(job.prior):,} poses"
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
    done = run_training(job, args.out, lambda row: lines("detect", row), card=sources)
    done = {"detector": done.pop("model"), **done}
    return 0, facts | done, f"trained on {text}\ndetector: {done['detector']}"


def _unpaired(args, settings):
    """What a detector is trained on, and how many pictures could not be read."""
    from flexpose_ray.engine.detect.run import PictureJob

    prior, found = _prior(args.prior), _read_pictures(args, settings.size)
    job = PictureJob("detector", found.pictures_N3SS, found.clip_N, prior, settings, args.workers)
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
    pictures = _read_pictures(args, detector.settings.size)
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


def _read_pictures(args, size: int):
    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.pictures.read import MAX_BAD, read_pictures

    max_bad = MAX_BAD if args.max_bad is None else args.max_bad
    if not 0 <= max_bad < 1:
        raise ConfigError("--max-bad", f"{max_bad} is no share", "give one from 0 to below 1")
    shown = ProgressLine("pictures", label="read")

    def on_progress(done: int, total: int) -> None:
        if total >= MANY_PICTURES:
            shown(done, total)

    return read_pictures(args.pictures, size, args.masks, max_bad, on_progress)


def _prior(uris: list[str]):
    """The poses of all priors together."""
    import numpy as np

    from flexpose_ray import open_dataset
    from flexpose_ray.cli.inputs import poses_at
    from flexpose_ray.pose.sets import PoseSet
    from flexpose_ray.sources.read import KINDS

    sets = []
    for uri in uris:
        if uri.endswith(".parquet") or uri.partition(":")[0] in KINDS:
            sets.append(poses_at(uri))
        else:
            dataset = open_dataset(uri)
            blocks = [block["keypoints"] for block in dataset.blocks(images=False)]
            sets.append(PoseSet(np.concatenate(blocks), dataset.skeleton.text))
    names = {poses.skeleton_name for poses in sets}
    if len(names) > 1:
        kinds = ", ".join(sorted({poses.skeleton.name for poses in sets}))
        raise ConfigError("--prior", f"poses of several skeletons: {kinds}", "give poses of one")
    return PoseSet(np.concatenate([poses.keypoints_NJ2 for poses in sets]), names.pop())


def _settings(changes: list[str]):
    """The detector's settings with single ones changed.

    Raises:
        ConfigError: an unknown setting, or a value of another kind.
    """
    from flexpose_ray.training.detector_settings import DetectorSettings

    values = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise ConfigError("--set", f"{change!r} is no setting", "write KEY=VALUE, as steps=4000")
        values[name] = text
    return DetectorSettings.of(values, "--set")
