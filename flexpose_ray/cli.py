"""`flexpose VERB`: the command line. It parses, calls one function a verb, and shows what that returns.

Heavy modules are imported by the verb that needs them, so that help and bad options answer at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from flexpose_ray import __version__
from flexpose_ray.core.errors import ConfigError, FlexPoseError

DESCRIPTION = """Pose data for the domain you have, from the dozen annotations you can afford.

Start with:        flexpose pipeline quickstart
Your own domain:   flexpose prepare --source table:mine.csv --out sets/mine.parquet
                   flexpose adapt --generator builtin:coco --shots sets/mine.parquet --out models/mine
                   flexpose generate --generator models/mine --count 100000 --out data/mine
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 a check said no, 2 bad input or environment."""
    args = build_parser().parse_args(argv)
    try:
        status, result, text = args.run(args)
    except FlexPoseError as error:
        print(f"flexpose {args.verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nflexpose {args.verb}: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(text, file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(result))
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("flexpose", description=DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"flexpose-ray {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run, summary: str, example: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(
            name, help=summary, description=summary, epilog=f"example:\n  {example}", formatter_class=raw
        )
        sub.add_argument("--config", metavar="FILE", help="recipe whose settings count (YAML, or a shipped name)")
        sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one; repeatable")
        sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
        sub.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, stop")
        sub.set_defaults(run=run)
        return sub

    def storage(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--storage", default="runs", metavar="URI", help="folder or s3:// for runs (default: runs)")

    sub = verb(
        "prepare", _prepare, "read annotations into a pose set",
        "flexpose prepare --source coco:person_keypoints_train2017.json.gz --out sets/coco.parquet",
    )  # fmt: skip
    sub.add_argument("--source", required=True, metavar="KIND:PATH", help="coco, penn, table, poses or synthetic")
    sub.add_argument("--mapping", metavar="FILE", help="YAML: a joint of ours -> yours, or several to average")
    sub.add_argument("--out", required=True, metavar="URI", help="the .parquet file to write")

    sub = verb(
        "pretrain", _pretrain, "train a generator and its beta on a source",
        "flexpose pretrain coco --set pretrain.kimg=300 --storage runs",
    )  # fmt: skip
    sub.add_argument("recipe", help="YAML file or shipped recipe")
    storage(sub)

    sub = verb(
        "adapt", _adapt, "adapt a generator to a few shots",
        "flexpose adapt --generator builtin:coco --shots sets/mine.parquet --out models/mine",
    )  # fmt: skip
    sub.add_argument("--generator", required=True, metavar="URI", help="trained generator, or builtin:coco")
    sub.add_argument("--shots", required=True, metavar="URI", help="pose set (.parquet) or KIND:PATH; at least two")
    sub.add_argument("--layers", metavar="L,L", help="style layers to adapt, from 1, or all")
    sub.add_argument("--paper", action="store_true", help="the paper's literal setting")
    sub.add_argument("--out", required=True, metavar="URI", help="folder of the adapted model")

    sub = verb(
        "generate", _generate, "sample any number of poses to storage",
        "flexpose generate --generator models/mine --count 1000000 --seed 0 --out s3://bucket/mine",
    )  # fmt: skip
    sub.add_argument("--generator", required=True, metavar="URI", help="adapted or trained generator, or builtin:coco")
    sub.add_argument("--count", type=int, metavar="N", help="poses in all (default: 20000)")
    sub.add_argument("--seed", type=int, metavar="S", help="with its index, a pose's address (default: 0)")
    sub.add_argument("--out", required=True, metavar="URI", help="folder or s3:// of the data set")
    sub.add_argument("--images", action="store_true", help="store every skeleton image too, as PNG")
    sub.add_argument("--actors", type=int, metavar="K", help="samplers at work (default: one a CPU or GPU)")

    sub = verb(
        "evaluate", _evaluate, "score a data set beside the simple methods",
        "flexpose evaluate --samples data/mine --target sets/held_out.parquet --shots sets/mine.parquet",
    )  # fmt: skip
    sub.add_argument("--samples", required=True, metavar="URI", help="generated data set, or pose set (.parquet)")
    sub.add_argument("--target", required=True, metavar="URI", help="held-out target poses")
    sub.add_argument("--source", metavar="URI", help="source poses; mean shift and CORAL need them")
    sub.add_argument("--shots", metavar="URI", help="the shots that the data set grew from")

    sub = verb("verify", _verify, "hash a data set again; status 1 if it differs", "flexpose verify data/mine")
    sub.add_argument("samples", metavar="URI", help="generated data set")

    sub = verb("report", _report, "write the page of a run again", "flexpose report runs/quickstart-1a2b3c4d")
    sub.add_argument("uri", metavar="URI", help="run's folder")

    sub = verb(
        "pipeline", _pipeline, "all of a recipe: generator, adaptation, data set, scores, report",
        "flexpose pipeline quickstart",
    )  # fmt: skip
    sub.add_argument("recipe", help="YAML file or shipped recipe")
    storage(sub)
    return parser


Outcome = tuple[int, Any, str]  # exit status, JSON, text


def _prepare(args) -> Outcome:
    from dataclasses import asdict

    from flexpose_ray.io.datasets import read_source
    from flexpose_ray.io.prepare import prepare

    if args.dry_run:
        _, report = read_source(args.source, args.mapping)
        return 0, asdict(report), f"{report}\nwould be written to {args.out}"
    report = prepare(args.source, args.out, args.mapping)
    return 0, asdict(report) | {"out": args.out}, f"{report}\nwritten to {args.out}"


def _pretrain(args) -> Outcome:
    from flexpose_ray.config import load_recipe, pretrain_key

    recipe = load_recipe(args.recipe, args.set)
    place = f"{args.storage}/{pretrain_key(recipe)}"
    if args.dry_run:
        return 0, recipe.model_dump(mode="json"), f"would train {recipe.pretrain.kimg:g} kimg in {place}"
    from flexpose_ray.engine.pretrain import pretrain
    from flexpose_ray.engine.progress import StageLines

    lines = StageLines()
    done = pretrain(recipe, args.storage, lambda row: lines("pretrain", row))
    text = f"FD {done['fd']:.4f} at {done['fd_kimg']:g} kimg\ngenerator: {done['generator']}"
    return 0, {k: v for k, v in done.items() if k != "history"}, text


def _adapt(args) -> Outcome:
    from flexpose_ray.config import AdaptConfig, load_section

    changes = [f"layers={_layers(args.layers)}"] if args.layers else []
    base = AdaptConfig.paper() if args.paper else None
    config = load_section("adapt", args.config, args.set, changes, base)
    shots = _poses(args.shots)
    if args.dry_run:
        return 0, config.model_dump(mode="json"), f"would adapt {args.generator} to {len(shots)} shots in {args.out}"
    from flexpose_ray.engine.adapt import adapt
    from flexpose_ray.engine.progress import StageLines

    lines = StageLines()
    card = adapt(args.generator, shots, config, args.out, lambda row: lines("adapt", row))
    text = f"{card['shots']} shots, {card['parameters']:,} parameters, {card['seconds']:.0f} s"
    return 0, card, f"{text}\nadapted model: {card['uri']}"


def _generate(args) -> Outcome:
    from flexpose_ray.config import load_section

    changes = [f"{k}={getattr(args, k)}" for k in ("count", "seed", "actors") if getattr(args, k) is not None]
    config = load_section("generate", args.config, args.set, changes + ["images=true"] * args.images)
    if args.dry_run:
        shards = -(-config.count // config.shard_size)
        return (
            0,
            config.model_dump(mode="json"),
            f"would sample {config.count:,} poses in {shards:,} shards to {args.out}",
        )
    from flexpose_ray.engine.generate import generate

    made = generate(args.generator, args.out, **config.model_dump())
    rate = f", {made['rendered'] / made['seconds']:,.0f} poses/s" if made["rendered"] else ", nothing was missing"
    return 0, made, f"{made['count']:,} poses in {made['shards']:,} shards{rate}\ndata set: {made['uri']}"


def _evaluate(args) -> Outcome:
    from flexpose_ray.config import load_section

    config = load_section("evaluate", args.config, args.set)
    from flexpose_ray.engine.evaluate import evaluate, format_table
    from flexpose_ray.io.samples import first_poses
    from flexpose_ray.io.store import open_store

    target = _poses(args.target)
    source, shots = (_poses(uri) if uri else None for uri in (args.source, args.shots))
    if args.dry_run:
        return 0, config.model_dump(mode="json"), f"would compare {args.samples} with {len(target):,} target poses"
    if args.samples.endswith(".parquet"):
        samples = _poses(args.samples)
    else:
        samples = first_poses(open_store(args.samples), config.count)
    result = evaluate(samples, target, source, shots, config.count, config.seed)
    return 0, result, format_table(result)


def _verify(args) -> Outcome:
    from flexpose_ray.io.manifest import read_manifest, verify
    from flexpose_ray.io.store import open_store

    store = open_store(args.samples)
    manifest, problems = read_manifest(store), verify(store)
    found = [{"shard": p.shard.index, "key": p.key, "problem": p.problem} for p in problems]
    text = "\n".join(f"{p.key}: {p.problem}" for p in problems) or f"{manifest['count']:,} poses, all as committed"
    return (1 if problems else 0), {"count": manifest["count"], "problems": found}, text


def _report(args) -> Outcome:
    from flexpose_ray.io.store import open_store
    from flexpose_ray.report.run import write_run_report

    page = write_run_report(open_store(args.uri))
    return 0, {"report": page}, page


def _pipeline(args) -> Outcome:
    from flexpose_ray.config import load_recipe, run_key

    recipe = load_recipe(args.recipe, args.set)
    if args.dry_run:
        return 0, recipe.model_dump(mode="json"), f"would run {recipe.name} in {args.storage}/{run_key(recipe)}"
    from flexpose_ray.engine.evaluate import format_table
    from flexpose_ray.engine.progress import StageLines
    from flexpose_ray.pipeline import run_pipeline

    done = run_pipeline(recipe, args.storage, StageLines())
    seconds = sum(done["timings"].values())
    text = f"{format_table(done['evaluation'])}\n\n{done['count']:,} poses: {done['samples']} ({seconds:.0f} s in all)"
    return 0, done, f"{text}\n{done['report']}"


def _poses(uri: str):
    """A pose set of ours by its URI, or any source as KIND:PATH."""
    from flexpose_ray.io.datasets import KINDS, read_source

    known = uri.partition(":")[0] in KINDS
    return read_source(uri if known else f"poses:{uri}")[0]


def _layers(text: str) -> str:
    if text == "all":
        return text
    parts = [part.strip() for part in text.strip("[]").split(",")]
    if not all(part.isdigit() for part in parts):
        raise ConfigError("--layers", f"{text!r} is no list of layers", "write 3, or 1,3, or all")
    return f"[{', '.join(parts)}]"


if __name__ == "__main__":
    sys.exit(main())
