"""Verbs on generated data sets: generate, show, verify, repair, gc, export."""

from __future__ import annotations

import argparse

from flexpose_ray.cli.verb import Outcome, Verbs, add_kind, add_settings, add_verb
from flexpose_ray.errors import ConfigError


def add_verbs(verbs: Verbs) -> None:
    """Add these verbs and their options."""
    example = "flexpose generate --generator models/mine --count 1000000 --seed 0 --out s3://bucket/mine"
    sub = add_verb(verbs, generate, "generate", "sample any number of poses to storage", example)
    add_settings(sub)
    sub.add_argument("--generator", metavar="URI", help="generator or builtin:coco; a data set that grows has its own")
    add_kind(sub)
    sub.add_argument(
        "--count", type=int, metavar="N", help="poses in all (default: 20000); with more, a data set grows"
    )
    sub.add_argument("--seed", type=int, metavar="S", help="which poses are sampled (default: 0)")
    sub.add_argument("--out", required=True, metavar="URI", help="folder or s3:// of the data set")
    gates = ("off", "warn", "drop")
    sub.add_argument("--gate", choices=gates, help="implausible poses: ignore, count (the default) or replace them")
    formats = ("png", "webp")
    sub.add_argument("--images", nargs="?", const="png", choices=formats, help="store skeleton images too, as png")
    sub.add_argument("--actors", type=int, metavar="K", help="samplers at most (default: one per CPU or GPU)")

    summary = "describe a data set: what it holds, what it cost, what the gate found"
    _add_verb_on_data_set(verbs, show, "show", summary, "flexpose show data/mine")

    example = "flexpose verify s3://bucket/mine --regenerate 3"
    sub = _add_verb_on_data_set(verbs, verify, "verify", "hash a data set again; exit 1 if it differs", example)
    sub.add_argument("--regenerate", type=int, default=0, metavar="K", help="render K random shards again, too")

    summary = "restore damaged or missing shards, byte for byte"
    _add_verb_on_data_set(verbs, repair, "repair", summary, "flexpose repair data/mine")

    summary = "remove what no manifest names; only while nothing writes there"
    _add_verb_on_data_set(verbs, gc, "gc", summary, "flexpose gc data/mine --dry-run")

    example = "flexpose export s3://bucket/mine --format coco --out exports/mine"
    sub = add_verb(verbs, export, "export", "write a data set or a model's networks for other programs", example)
    sub.add_argument(
        "samples", metavar="URI", help="data set; for onnx and torchscript a model, a detector, or builtin:coco"
    )
    formats = ("coco", "webdataset", "npz", "onnx", "torchscript")
    sub.add_argument("--format", required=True, choices=formats, help="format to write")
    sub.add_argument("--out", required=True, metavar="URI", help="folder or s3://; repeat the command to continue")
    sub.add_argument("--size", type=int, metavar="PX", help="side of canvas and images (default: as stored, or 256)")
    drawn = "write images, drawn where none are stored"
    sub.add_argument("--images", action=argparse.BooleanOptionalAction, help=drawn)
    sub.add_argument("--per-file", type=int, metavar="N", help="poses per tar (10,000) or npz file (1,000,000)")


def _add_verb_on_data_set(verbs: Verbs, run, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    sub = add_verb(verbs, run, name, summary, example)
    sub.add_argument("samples", metavar="URI", help="generated data set")
    return sub


def generate(args) -> Outcome:
    from flexpose_ray.config import load_section
    from flexpose_ray.storage.open import open_store

    store = open_store(args.out)
    changes = [f"{k}={getattr(args, k)}" for k in ("count", "seed", "actors", "images") if getattr(args, k) is not None]
    changes += [f"gate.mode='{args.gate}'"] if args.gate else []  # off without quotes is false in YAML
    config = load_section("generate", args.config, args.set, changes, None if args.generator else _pinned(store))
    if args.generator:
        from flexpose_ray.models.generators import generator_of_kind

        args.generator = generator_of_kind(args.generator, args.kind)
    if args.dry_run:
        return _would_generate(args.generator, store, config)
    from flexpose_ray.engine.generate.run import generate

    made = generate(args.generator, args.out, config)
    rate = f", {made['rendered'] / made['seconds']:,.0f} poses/s" if made["rendered"] else ", nothing was missing"
    text = f"{made['count']:,} poses in {made['shards']:,} shards{rate}"
    if failed := sum(made["rejects"].values()):
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in made["rejects"].items())
        fate = "rejected and replaced" if config.gate.mode == "drop" else "would be rejected, all are kept"
        text += f"\ngate: {failed:,} {fate} ({reasons})"
    return 0, made, f"{text}\ndata set: {made['uri']}"


def _pinned(store):
    """The settings that the data set was begun with, for a call that only lets it grow."""
    from flexpose_ray.config import GenerateConfig
    from flexpose_ray.dataset.run_spec import BF16, RunSpec
    from flexpose_ray.storage.base import MissingKeyError

    try:
        run = RunSpec.read(store)
    except MissingKeyError:
        hint = "name one: --generator models/mine, or builtin:coco"
        raise ConfigError("--generator", f"needed, since no data set is at {store.uri}", hint) from None
    same = {"seed": run.seed, "shard_size": run.shard_size, "batch": run.batch, "images": run.images, "gate": run.gate}
    return GenerateConfig(**same, bf16=run.precision == BF16)


def _would_generate(generator: str | None, store, config) -> Outcome:
    from flexpose_ray.dataset.commits import committed
    from flexpose_ray.dataset.layout import MODEL, plan_shards
    from flexpose_ray.models.generators import load_sampler

    sampler = load_sampler(generator or f"{store.uri}/{MODEL}")
    shards = plan_shards(config.count, config.shard_size or sampler.best_shard)
    there = f", {len(committed(store) & set(shards)):,} of which are there"
    text = f"would sample {config.count:,} poses in {len(shards):,} shards{there}, to {store.uri}"
    return 0, config.model_dump(mode="json"), text


def show(args) -> Outcome:
    from flexpose_ray.dataset.show import format_show, show
    from flexpose_ray.storage.open import open_store

    shown = show(open_store(args.samples))
    return 0, shown, format_show(shown)


def verify(args) -> Outcome:
    from flexpose_ray.dataset.manifest import read_manifest
    from flexpose_ray.storage.open import open_store

    store = open_store(args.samples)
    manifest = read_manifest(store)
    count, shards = manifest.count, len(manifest.shards)
    again = min(args.regenerate, shards)
    if args.dry_run:
        text = f"would hash {shards:,} shards of {store.uri} and render {again:,} again"
        return 0, {"count": count, "shards": shards, "regenerate": again}, text
    from flexpose_ray.dataset.verify import verify
    from flexpose_ray.engine.runtime.progress import ProgressLine

    problems = verify(store, ProgressLine("shards", label="hash"))
    if again and not any(problem.shard is None for problem in problems):
        from flexpose_ray.engine.generate.repair import regenerate

        problems += regenerate(store, again, on_progress=ProgressLine("shards", label="render again"))
    sound = f"{count:,} poses, all as committed"
    sound += f"; {again:,} shards rendered again, the same bytes" if again else ""
    result = {"count": count, "shards": shards, "regenerated": again, "problems": _problem_rows(problems)}
    return (1 if problems else 0), result, _problem_text(problems, store.uri) or sound


def repair(args) -> Outcome:
    from flexpose_ray.dataset.verify import verify
    from flexpose_ray.storage.open import open_store

    store = open_store(args.samples)
    if args.dry_run:
        problems = verify(store)
        return 0, {"problems": _problem_rows(problems)}, _problem_text(problems, store.uri) or "nothing to repair"
    from flexpose_ray.engine.generate.repair import repair
    from flexpose_ray.engine.runtime.progress import ProgressLine

    done = repair(store, ProgressLine("shards", label="repair"))
    left = done["left"]
    text = f"{done['shards']:,} shards rendered again, {done['commits']:,} commits written again"
    text = f"{text}\n{_problem_text(left, store.uri)}" if left else f"{text}; the data set is sound"
    return (1 if left else 0), done | {"left": _problem_rows(left)}, text


def gc(args) -> Outcome:
    from flexpose_ray.dataset.garbage import leftovers, remove
    from flexpose_ray.storage.open import open_store

    store = open_store(args.samples)
    keys = leftovers(store)
    if not args.dry_run:
        remove(store, keys)
    listed = "".join(f"\n{key}" for key in keys) if args.dry_run else ""
    text = f"{len(keys):,} objects {'would be ' if args.dry_run else ''}removed from {store.uri}{listed}"
    return 0, {"removed": 0 if args.dry_run else len(keys), "keys": keys}, text


def export(args) -> Outcome:
    if args.format in ("onnx", "torchscript"):
        return _export_model(args)
    from flexpose_ray.dataset.manifest import read_manifest
    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.export.options import ExportOptions
    from flexpose_ray.export.write import export
    from flexpose_ray.storage.open import open_store

    if args.dry_run:
        count = read_manifest(open_store(args.samples)).count
        text = f"would write {count:,} poses as {args.format} to {open_store(args.out).uri}"
        return 0, {"count": count, "format": args.format}, text
    options = ExportOptions(args.format, args.size, args.images, args.per_file)
    done = export(args.samples, args.out, options, ProgressLine("poses", label="export"))
    text = f"{done['count']:,} poses as {done['format']} in {done['files']:,} files, {done['written']:,} of them new"
    return 0, done, f"{text}\n{done['uri']}"


def _export_model(args) -> Outcome:
    for name, value in (("--size", args.size), ("--images", args.images), ("--per-file", args.per_file)):
        if value is not None:
            raise ConfigError(name, f"has no meaning for {args.format}", "leave it out")
    if args.dry_run:
        from flexpose_ray.models.portable.export import read_networks

        digest = read_networks(args.samples, args.format).digest
        return 0, {"digest": digest}, f"would write the networks of {args.samples} ({digest[:16]}) to {args.out}"
    from flexpose_ray.models.portable.export import export_model

    card = export_model(args.samples, args.format, args.out)
    return 0, card, f"{', '.join(card['files'])} and their card\n{card['uri']}"


def _problem_rows(problems) -> list[dict]:
    return [{"shard": p.shard.index if p.shard else None, "key": p.key, "problem": p.problem} for p in problems]


def _problem_text(problems, uri: str) -> str:
    lines = [f"{problem.key}: {problem.problem}" for problem in problems]
    if any(problem.shard is None for problem in problems):
        lines.append("to repair the model: repeat `flexpose generate` with the --generator of the first call")
    elif problems:
        lines.append(f"to repair it: flexpose repair {uri}")
    return "\n".join(lines)
