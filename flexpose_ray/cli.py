"""`flexpose VERB`: the command line. It parses, calls one function a verb, and shows what that returns.

Heavy modules are imported by the verb that needs them, so that help and bad options answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
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
    # Before torch is loaded: threads that wait shall sleep. On a busy machine spinning ones cost three times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status, result, text = args.run(args)
        print(text, file=sys.stderr if args.json else sys.stdout)
        if args.json:
            print(json.dumps(result))
        sys.stdout.flush()
        return status
    except FlexPoseError as error:
        return _refuse(args.verb, str(error))
    except BrokenPipeError:  # a reader such as `head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at the end
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _refuse(args.verb, f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print(f"\nflexpose {args.verb}: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        if not _lost_by_ray(error):
            raise
        return _refuse(args.verb, f"Ray: {error} (see to its nodes and memory; the same command goes on from here)")


def _lost_by_ray(error: Exception) -> bool:
    """Whether Ray lost a process, a node or an object; an error of ours within a task is a fault to be seen whole.

    By name: importing Ray would cost every command a second.
    """
    kind = type(error)
    return kind.__module__ == "ray.exceptions" and not kind.__name__.startswith("RayTaskError")


def _refuse(verb: str, problem: str) -> int:
    print(f"flexpose {verb}: {' '.join(problem.split())}", file=sys.stderr)
    return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("flexpose", description=DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"flexpose-ray {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run, summary: str, example: str, settings: bool = True) -> argparse.ArgumentParser:
        sub = verbs.add_parser(
            name, help=summary, description=summary, epilog=f"example:\n  {example}", formatter_class=raw
        )
        if settings:
            sub.add_argument("--config", metavar="FILE", help="recipe whose settings count (YAML, or a shipped name)")
            sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one; repeatable")
        sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
        sub.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, stop")
        sub.set_defaults(run=run)
        return sub

    def whole(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("recipe", nargs="?", help="YAML file or shipped recipe; or give it as --config")
        sub.add_argument("--storage", default="runs", metavar="URI", help="folder or s3:// for runs (default: runs)")

    sub = verb(
        "prepare", _prepare, "read annotations into a pose set",
        "flexpose prepare --source coco:person_keypoints_train2017.json.gz --out sets/coco.parquet", settings=False,
    )  # fmt: skip
    sub.add_argument("--source", required=True, metavar="KIND:PATH", help="coco, penn, table, poses or synthetic")
    sub.add_argument("--mapping", metavar="FILE", help="YAML: a joint of ours -> yours, or several to average")
    sub.add_argument("--out", required=True, metavar="URI", help="the .parquet file to write")

    sub = verb(
        "pretrain", _pretrain, "train a generator and its beta on a source",
        "flexpose pretrain coco --set pretrain.kimg=300 --storage runs",
    )  # fmt: skip
    whole(sub)

    sub = verb(
        "adapt", _adapt, "adapt a generator to a few shots",
        "flexpose adapt --generator builtin:coco --shots sets/mine.parquet --out models/mine",
    )  # fmt: skip
    sub.add_argument("--generator", required=True, metavar="URI", help="trained generator, or builtin:coco")
    sub.add_argument("--shots", required=True, metavar="URI", help="pose set (.parquet) or KIND:PATH; at least two")
    sub.add_argument("--layers", metavar="L,L", help="style layers to adapt, from 1, or all, or w")
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

    sub = verb(
        "verify", _verify, "hash a data set again; status 1 if it differs", "flexpose verify data/mine", settings=False
    )  # fmt: skip
    sub.add_argument("samples", metavar="URI", help="generated data set")

    sub = verb(
        "report", _report, "write the page of a run again", "flexpose report runs/quickstart-1a2b3c4d", settings=False
    )  # fmt: skip
    sub.add_argument("uri", metavar="URI", help="run's folder")

    sub = verb(
        "pipeline", _pipeline, "all of a recipe: generator, adaptation, data set, scores, report",
        "flexpose pipeline quickstart",
    )  # fmt: skip
    whole(sub)
    return parser


Outcome = tuple[int, Any, str]  # exit status, JSON, text


def _prepare(args) -> Outcome:
    from dataclasses import asdict

    from flexpose_ray.io.prepare import prepare

    report = prepare(args.source, args.out, args.mapping, write=not args.dry_run)
    done = f"{'would be written' if args.dry_run else 'written'} to {args.out}"
    return 0, asdict(report) | {"out": args.out}, f"{report}\n{done}"


def _pretrain(args) -> Outcome:
    from flexpose_ray.config import pretrain_key

    recipe = _recipe(args)
    from flexpose_ray.engine.pretrain import pretrain, read_recipe_source
    from flexpose_ray.engine.progress import StageLines

    if args.dry_run:
        work = f"{recipe.pretrain.kimg:g} kimg on {len(read_recipe_source(recipe)):,} poses"
        place = f"{args.storage}/{pretrain_key(recipe)}"
        return 0, recipe.model_dump(mode="json"), f"would train {work} in {place}"

    lines = StageLines()
    done = pretrain(recipe, args.storage, lambda row: lines("pretrain", row))
    text = f"FD {done['fd']:.4f} at {done['fd_kimg']:g} kimg\ngenerator: {done['generator']}"
    return 0, {k: v for k, v in done.items() if k != "history"}, text


def _adapt(args) -> Outcome:
    from flexpose_ray.config import AdaptConfig, load_section

    if args.paper and args.config:
        raise ConfigError("--paper", "goes not together with --config", "write the paper's setting into the recipe")
    changes = [f"layers={_layers(args.layers)}"] if args.layers else []
    base = AdaptConfig.paper() if args.paper else None
    config = load_section("adapt", args.config, args.set, changes, base)
    shots = _poses(args.shots)
    from flexpose_ray.engine.adapt import adapt, check_shots
    from flexpose_ray.engine.progress import StageLines
    from flexpose_ray.io.models import load_generator
    from flexpose_ray.io.store import open_store

    if args.dry_run:
        base = load_generator(args.generator)
        check_shots(shots, config, base.alpha.skeleton_name, base.generator.n_layers, args.generator)
        store = open_store(args.out)
        there = ", where a model is already" if store.exists("model.json") else ""
        text = f"would adapt {args.generator} to {len(shots)} shots in {store.uri}{there}"
        return 0, config.model_dump(mode="json"), text

    lines = StageLines()
    card = adapt(args.generator, shots, config, args.out, lambda row: lines("adapt", row))
    text = f"{card['shots']} shots, {card['parameters']:,} parameters, {card['seconds']:.0f} s"
    return 0, card, f"{text}\nadapted model: {card['uri']}"


def _generate(args) -> Outcome:
    from flexpose_ray.config import load_section

    changes = [f"{k}={getattr(args, k)}" for k in ("count", "seed", "actors") if getattr(args, k) is not None]
    config = load_section("generate", args.config, args.set, changes + ["images=true"] * args.images)
    if args.dry_run:
        from flexpose_ray.io.manifest import committed, plan_shards
        from flexpose_ray.io.models import load_sampler
        from flexpose_ray.io.store import open_store

        load_sampler(args.generator)
        store, shards = open_store(args.out), plan_shards(config.count, config.shard_size)
        there = f", {len(committed(store) & set(shards)):,} of which are there"
        text = f"would sample {config.count:,} poses in {len(shards):,} shards{there}, to {store.uri}"
        return 0, config.model_dump(mode="json"), text
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
    if args.samples.endswith(".parquet"):
        samples = _poses(args.samples)
    else:
        samples = first_poses(open_store(args.samples), config.count)
    if args.dry_run:
        text = f"would compare {len(samples):,} poses of {args.samples} with {len(target):,} target poses"
        return 0, config.model_dump(mode="json"), text
    result = evaluate(samples, target, source, shots, config.count, config.seed)
    return 0, result, format_table(result)


def _verify(args) -> Outcome:
    from flexpose_ray.io.manifest import read_manifest, verify
    from flexpose_ray.io.store import open_store

    store = open_store(args.samples)
    manifest = read_manifest(store)
    if args.dry_run:
        shards = len(manifest["shards"])
        return 0, {"count": manifest["count"], "shards": shards}, f"would hash {shards:,} shards of {store.uri}"
    problems = verify(store)
    found = [{"shard": p.shard.index, "key": p.key, "problem": p.problem} for p in problems]
    text = "\n".join(f"{p.key}: {p.problem}" for p in problems) or f"{manifest['count']:,} poses, all as committed"
    return (1 if problems else 0), {"count": manifest["count"], "problems": found}, text


def _report(args) -> Outcome:
    from flexpose_ray.io.store import open_store
    from flexpose_ray.report.run import write_run_report

    page = write_run_report(open_store(args.uri), write=not args.dry_run)
    return 0, {"report": page}, f"would write {page}" if args.dry_run else page


def _pipeline(args) -> Outcome:
    from flexpose_ray.config import run_key

    recipe = _recipe(args)
    from flexpose_ray.engine.evaluate import format_table
    from flexpose_ray.engine.progress import StageLines
    from flexpose_ray.io.store import open_store
    from flexpose_ray.pipeline import check_inputs, finished, run_pipeline

    if args.dry_run:
        inputs, store = check_inputs(recipe), open_store(args.storage).child(run_key(recipe))
        work = f"{len(inputs.shots)} shots, {len(inputs.held):,} held-out poses, {recipe.generate.count:,} to sample"
        does = "has run" if finished(store) else "would run"
        return 0, recipe.model_dump(mode="json"), f"{does} {recipe.name} in {store.uri}: {work}"
    done = run_pipeline(recipe, args.storage, StageLines())
    seconds = sum(done["timings"].values())
    text = f"{format_table(done['evaluation'])}\n\n{done['count']:,} poses: {done['samples']} ({seconds:.0f} s in all)"
    return 0, done, f"{text}\n{done['report']}"


def _recipe(args):
    """The recipe of a verb that takes a whole one."""
    from flexpose_ray.config import load_recipe

    if (args.recipe is None) == (args.config is None):
        raise ConfigError("recipe", "expected exactly one", f"as in: flexpose {args.verb} quickstart")
    return load_recipe(args.recipe or args.config, args.set)


def _poses(uri: str):
    """A pose set of ours by its URI, or any source as KIND:PATH."""
    from flexpose_ray.io.datasets import KINDS, read_source

    known = uri.partition(":")[0] in KINDS
    return read_source(uri if known else f"poses:{uri}")[0]


def _layers(text: str) -> str:
    if text in ("all", "w"):
        return text
    parts = [part.strip() for part in text.strip("[]").split(",")]
    if not all(part.isdigit() for part in parts):
        raise ConfigError("--layers", f"{text!r} is no list of layers", "write 3, or 1,3, or all, or w")
    return f"[{', '.join(parts)}]"


if __name__ == "__main__":
    sys.exit(main())
