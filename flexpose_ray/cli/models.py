"""Verbs that lead to a model: pretrain, adapt, import."""

from __future__ import annotations

from flexpose_ray.cli.inputs import poses_at, recipe_name, recipe_of_kind
from flexpose_ray.cli.verb import Outcome, Verbs, add_kind, add_recipe, add_settings, add_verb
from flexpose_ray.errors import ConfigError


def add_verbs(verbs: Verbs) -> None:
    """Add these verbs and their options."""
    example = "flexpose pretrain coco --storage runs\nflexpose pretrain coco --kind stylegan --set pretrain.kimg=300"
    sub = add_verb(verbs, pretrain, "pretrain", "train a generator on source poses", example)
    add_recipe(sub)
    add_kind(sub, "a StyleGAN against a discriminator")
    sub.add_argument("--price", type=float, metavar="X", help="price of all machines per hour, for --dry-run's plan")

    example = "flexpose adapt --generator builtin:coco --shots sets/mine.parquet --out models/mine"
    sub = add_verb(verbs, adapt, "adapt", "adapt a generator to a few annotated poses", example)
    add_settings(sub)
    sub.add_argument("--generator", required=True, metavar="URI", help="trained generator, or builtin:coco")
    shots = sub.add_mutually_exclusive_group(required=True)
    shots.add_argument("--shots", metavar="URI", help="pose set (.parquet) or KIND:PATH with at least two poses")
    shots.add_argument("--shots-each", metavar="URI", help="many targets: a folder with a pose set NAME.parquet each")
    shots.add_argument("--shots-by-label", metavar="URI", help="many targets: one for each label of a pose set")
    sub.add_argument("--workers", type=int, metavar="K", help="with many targets: adaptations at a time")
    sub.add_argument("--layers", metavar="L,L", help="style layers to adapt: numbers from 1, or all, or w")
    add_kind(sub, "one map on a StyleGAN's third style layer")
    sub.add_argument("--out", required=True, metavar="URI", help="folder for the adapted model")

    example = "flexpose import mine.pth --networks mine.yaml --source poses:sets/coco.parquet --out models/mine"
    summary = "make a model from state dicts trained elsewhere, without running their code"
    sub = add_verb(verbs, import_, "import", summary, example)
    sub.add_argument("weights", metavar="FILE", help=".safetensors or .pth with generator, discriminator and beta")
    sub.add_argument("--networks", required=True, metavar="FILE", help="YAML or JSON: arguments of networks and alpha")
    sub.add_argument("--source", required=True, metavar="KIND:PATH", help="poses that the generator was trained on")
    sub.add_argument("--attribution", metavar="TEXT", help="owner and licence of the source data")
    sub.add_argument("--out", required=True, metavar="URI", help="folder for the model")


def pretrain(args) -> Outcome:
    from flexpose_ray.config import load_recipe, pretrain_key

    recipe = recipe_of_kind(args, load_recipe(recipe_name(args), args.set))
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.engine.train.run import pretrain

    if args.dry_run:
        from flexpose_ray.engine.train.plan import format_plan, plan

        found = plan(recipe, args.price)
        place = f"{args.storage}/{pretrain_key(recipe)}"
        work = f"would train {recipe.pretrain.goal_kimg:g} kimg on {found['poses']:,} poses in {place}"
        return 0, found, f"{work}\n{format_plan(found)}"

    lines = StageLines()
    done = pretrain(recipe, args.storage, lambda row: lines("pretrain", row))
    text = f"FD {done['fd']:.4f} at {done['fd_kimg']:g} kimg\ngenerator: {done['generator']}"
    return 0, {k: v for k, v in done.items() if k != "history"}, text


def adapt(args) -> Outcome:
    from flexpose_ray.config import AdaptConfig, load_section

    if args.paper and args.config:
        raise ConfigError("--paper", "cannot be combined with --config", "write the paper's settings into the recipe")
    changes = [f"layers={_layers(args.layers)}"] if args.layers else []
    base = AdaptConfig.paper() if args.paper else None
    config = load_section("adapt", args.config, args.set, changes, base)
    from flexpose_ray.models.generators import generator_of_kind
    from flexpose_ray.models.shipped import BUILTIN, shipped_for_paper

    if args.paper and args.kind is None and args.generator.startswith(BUILTIN):
        args.generator = shipped_for_paper(args.generator)
    args.generator = generator_of_kind(args.generator, args.kind)
    if not args.shots:
        return _adapt_many(args, config)
    if args.workers:
        raise ConfigError("--workers", "is for many targets", "leave it out, or use --shots-each or --shots-by-label")
    shots = poses_at(args.shots)
    from flexpose_ray.engine.adapt.one import adapt, check_shots
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.models.generators import load_generator
    from flexpose_ray.storage.open import open_store

    if args.dry_run:
        base = load_generator(args.generator)
        check_shots(shots, config, base.alpha.skeleton_name, base.generator.n_layers, args.generator)
        store = open_store(args.out)
        there = ", which holds a model already" if store.exists("model.json") else ""
        text = f"would adapt {args.generator} to {len(shots)} shots in {store.uri}{there}"
        return 0, config.model_dump(mode="json"), text

    lines = StageLines()
    card = adapt(args.generator, shots, config, args.out, lambda row: lines("adapt", row))
    text = f"{card['shots']} shots, {card['parameters']:,} parameters, {card['seconds']:.0f} s"
    return 0, card, f"{text}\nadapted model: {card['uri']}"


def _adapt_many(args, config) -> Outcome:
    from flexpose_ray.engine.adapt.many import adapt_many, read_targets, split_by_label

    each, by_label = args.shots_each, args.shots_by_label
    targets = read_targets(each) if each else split_by_label(poses_at(by_label), by_label)
    if args.dry_run:
        text = f"would adapt {args.generator} to {len(targets):,} targets in {args.out}: {', '.join(targets)}"
        return 0, {"targets": list(targets), **config.model_dump(mode="json")}, text
    rows = adapt_many(args.generator, targets, config, args.out, args.workers)
    failed = [row for row in rows if row["error"]]
    lines = [f"{row['name']}: {row['error']}" for row in failed]
    lines.append(f"{len(rows) - len(failed):,} of {len(rows):,} targets adapted: {args.out}")
    return (1 if failed else 0), {"targets": rows}, "\n".join(lines)


def import_(args) -> Outcome:
    source = poses_at(args.source)
    if args.dry_run:
        text = f"would make a model from {args.weights} and {len(source):,} source poses in {args.out}"
        return 0, {"poses": len(source)}, text
    from flexpose_ray.models.portable.foreign import import_generator

    card = import_generator(args.weights, args.networks, source, args.out, args.attribution)
    error, fd = card["beta_error_px"], card["fd_source"]
    text = f"beta's error on the source poses {error:.2f} px, FD of samples to them {fd:.4f}"
    return 0, card, f"{text}\nmodel: {card['uri']}"


def _layers(text: str) -> str:
    if text in ("all", "w"):
        return text
    parts = [part.strip() for part in text.strip("[]").split(",")]
    if not all(part.isdigit() for part in parts):
        raise ConfigError("--layers", f"{text!r} is not a list of layers", "write 3, or 1,3, or all, or w")
    return f"[{', '.join(parts)}]"
