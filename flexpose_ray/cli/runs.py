"""Verbs that make models and whole runs: prepare, pretrain, adapt, evaluate, report, pipeline."""

from __future__ import annotations

from flexpose_ray.cli.outcome import Outcome
from flexpose_ray.errors import ConfigError


def prepare(args) -> Outcome:
    from dataclasses import asdict

    from flexpose_ray.sources.prepare import prepare

    report = prepare(args.source, args.out, args.mapping, write=not args.dry_run)
    done = f"{'would be written' if args.dry_run else 'written'} to {args.out}"
    return 0, asdict(report) | {"out": args.out}, f"{report}\n{done}"


def pretrain(args) -> Outcome:
    from flexpose_ray.config import pretrain_key

    recipe = _recipe(args)
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.engine.train.run import pretrain

    if args.dry_run:
        from flexpose_ray.engine.train.plan import format_plan, plan

        found = plan(recipe, args.price)
        place = f"{args.storage}/{pretrain_key(recipe)}"
        work = f"would train {recipe.pretrain.kimg:g} kimg on {found['poses']:,} poses in {place}"
        return 0, found, f"{work}\n{format_plan(found)}"

    lines = StageLines()
    done = pretrain(recipe, args.storage, lambda row: lines("pretrain", row))
    text = f"FD {done['fd']:.4f} at {done['fd_kimg']:g} kimg\ngenerator: {done['generator']}"
    return 0, {k: v for k, v in done.items() if k != "history"}, text


def adapt(args) -> Outcome:
    from flexpose_ray.config import AdaptConfig, load_section

    if args.paper and args.config:
        raise ConfigError("--paper", "goes not together with --config", "write the paper's setting into the recipe")
    changes = [f"layers={_layers(args.layers)}"] if args.layers else []
    base = AdaptConfig.paper() if args.paper else None
    config = load_section("adapt", args.config, args.set, changes, base)
    if not args.shots:
        return _adapt_many(args, config)
    if args.workers:
        raise ConfigError("--workers", "goes with many targets", "leave it out, or give --shots-each")
    shots = _poses(args.shots)
    from flexpose_ray.engine.adapt.one import adapt, check_shots
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.models.generators import load_generator
    from flexpose_ray.storage.open import open_store

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


def _adapt_many(args, config) -> Outcome:
    from flexpose_ray.engine.adapt.many import adapt_many, read_targets, split_by_label

    each, by_label = args.shots_each, args.shots_by_label
    targets = read_targets(each) if each else split_by_label(_poses(by_label), by_label)
    if args.dry_run:
        text = f"would adapt {args.generator} to {len(targets):,} targets in {args.out}: {', '.join(targets)}"
        return 0, {"targets": list(targets), **config.model_dump(mode="json")}, text
    rows = adapt_many(args.generator, targets, config, args.out, args.workers)
    failed = [row for row in rows if row["error"]]
    lines = [f"{row['name']}: {row['error']}" for row in failed]
    lines.append(f"{len(rows) - len(failed):,} of {len(rows):,} targets adapted: {args.out}")
    return (1 if failed else 0), {"targets": rows}, "\n".join(lines)


def import_(args) -> Outcome:
    source = _poses(args.source)
    if args.dry_run:
        text = f"would make a model of {args.weights} and {len(source):,} source poses in {args.out}"
        return 0, {"poses": len(source)}, text
    from flexpose_ray.models.portable.foreign import import_generator

    card = import_generator(args.weights, args.networks, source, args.out, args.attribution)
    text = f"beta's error on source poses {card['beta_error_px']:.2f} px, FD of samples to them {card['fd_source']:.4f}"
    return 0, card, f"{text}\nmodel: {card['uri']}"


def evaluate(args) -> Outcome:
    from flexpose_ray.config import load_section

    config = load_section("evaluate", args.config, args.set)
    from flexpose_ray.dataset.reader import PoseReader
    from flexpose_ray.evaluation.compare import evaluate, format_table
    from flexpose_ray.storage.open import open_store

    target = _poses(args.target)
    source, shots = (_poses(uri) if uri else None for uri in (args.source, args.shots))
    if args.samples.endswith(".parquet"):
        samples = _poses(args.samples)
    else:
        samples = PoseReader(open_store(args.samples)).first(config.count)
    if args.dry_run:
        text = f"would compare {len(samples):,} poses of {args.samples} with {len(target):,} target poses"
        return 0, config.model_dump(mode="json"), text
    result = evaluate(samples, target, source, shots, config.count, config.seed)
    return 0, result, format_table(result)


def report(args) -> Outcome:
    from flexpose_ray.report.run import write_run_report
    from flexpose_ray.storage.open import open_store

    page = write_run_report(open_store(args.uri), write=not args.dry_run)
    return 0, {"report": page}, f"would write {page}" if args.dry_run else page


def pipeline(args) -> Outcome:
    from flexpose_ray.config import run_key
    from flexpose_ray.config.sweep_recipe import SweepRecipe, load_run

    recipe = _recipe(args, load_run)
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.evaluation.compare import format_table
    from flexpose_ray.pipeline import check_inputs, finished, run_pipeline
    from flexpose_ray.storage.open import open_store

    if args.dry_run:
        inputs, store = check_inputs(recipe), open_store(args.storage).child(run_key(recipe))
        work = f"{len(inputs.shots)} shots, {len(inputs.held):,} held-out poses, {recipe.generate.count:,} to sample"
        if isinstance(recipe, SweepRecipe):
            trials = f"would try {recipe.sweep.count} points of {recipe.name} and go on with the best: {work}"
            return 0, recipe.model_dump(mode="json"), trials
        does = "has run" if finished(store) else "would run"
        return 0, recipe.model_dump(mode="json"), f"{does} {recipe.name} in {store.uri}: {work}"
    done = run_pipeline(recipe, args.storage, StageLines())
    seconds = sum(done["timings"].values())
    text = f"{format_table(done['evaluation'])}\n\n{done['count']:,} poses: {done['samples']} ({seconds:.0f} s in all)"
    pages = [done["report"], *([f"sweep: {done['sweep']}/report.html"] if "sweep" in done else [])]
    return 0, done, "\n".join([text, *pages])


def _recipe(args, load=None):
    """The recipe of a verb that takes a whole one, read by ``load``."""
    from flexpose_ray.config import load_recipe

    if (args.recipe is None) == (args.config is None):
        raise ConfigError("recipe", "expected exactly one", f"as in: flexpose {args.verb} quickstart")
    return (load or load_recipe)(args.recipe or args.config, args.set)


def _poses(uri: str):
    """A pose set of ours by its URI, or any source as KIND:PATH."""
    from flexpose_ray.sources.read import KINDS, read_source

    known = uri.partition(":")[0] in KINDS
    return read_source(uri if known else f"poses:{uri}")[0]


def _layers(text: str) -> str:
    if text in ("all", "w"):
        return text
    parts = [part.strip() for part in text.strip("[]").split(",")]
    if not all(part.isdigit() for part in parts):
        raise ConfigError("--layers", f"{text!r} is no list of layers", "write 3, or 1,3, or all, or w")
    return f"[{', '.join(parts)}]"
