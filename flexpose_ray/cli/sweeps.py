"""The verb sweep: run a sweep, show one, or take its best point."""

from __future__ import annotations

from flexpose_ray.cli.inputs import recipe_name
from flexpose_ray.cli.verb import Outcome, Verbs, add_recipe, add_verb
from flexpose_ray.errors import ConfigError


def add_verbs(verbs: Verbs) -> None:
    """Add this verb and its options."""
    summary = "try a recipe at many points: layer sets, shots, any setting; and take the best"
    example = """flexpose sweep sweep_quick --storage runs
flexpose sweep show runs/sweep-NAME-1a2b3c4d
flexpose sweep best runs/sweep-NAME-1a2b3c4d --out best"""
    sub = add_verb(verbs, sweep, "sweep", summary, example)
    add_recipe(sub)
    sub.add_argument("uri", metavar="URI", nargs="?", help="folder of a sweep, after show or best instead of a recipe")
    sub.add_argument("--out", metavar="URI", help="with best: folder for recipe and model (default: best in the sweep)")


def sweep(args) -> Outcome:
    if args.recipe in ("show", "best"):
        if args.uri is None:
            raise ConfigError(f"sweep {args.recipe}", "no sweep named", f"flexpose sweep {args.recipe} URI")
        if args.set or args.config:
            raise ConfigError(f"sweep {args.recipe}", "takes no settings", "leave out --set and --config")
        return _show(args) if args.recipe == "show" else _best(args)
    if args.uri is not None:
        raise ConfigError(args.recipe, "expected show or best before an address", "flexpose sweep show URI")
    if args.out is not None:
        raise ConfigError("--out", "is for best alone", "flexpose sweep best URI --out URI")
    return _run(args)


def _run(args) -> Outcome:
    from flexpose_ray.config.sweep_recipe import load_sweep, sweep_key

    recipe = load_sweep(recipe_name(args), args.set)
    from flexpose_ray.engine.sweep.adaptations import Inputs
    from flexpose_ray.engine.sweep.run import run_sweep

    if args.dry_run:
        s, text = recipe.sweep, ""
        if s.over == "adapt":
            inputs = Inputs(recipe)
            text = f" on {', '.join(sorted(inputs.shots))}; judged by {len(inputs.held):,} held-out poses"
        place = f"{args.storage}/{sweep_key(recipe)}"
        keys = ", ".join(f"{key} ({len(d)} values)" if isinstance(d, tuple) else key for key, d in s.space.items())
        text = f"would run {s.count:,} trials over {s.over} in {place}: {s.algorithm} of {keys}{text}"
        return 0, recipe.model_dump(mode="json"), text
    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.engine.sweep.table import format_summary
    from flexpose_ray.report.sweep import write_sweep_report
    from flexpose_ray.storage.open import open_store

    found = run_sweep(recipe, args.storage, ProgressLine("trials"))
    found["report"] = write_sweep_report(open_store(found["uri"]))
    return 0, found, f"{format_summary(found)}\n{found['report']}"


def _show(args) -> Outcome:
    from flexpose_ray.engine.sweep.results import read_rows, saved_recipe
    from flexpose_ray.engine.sweep.summary import summarise
    from flexpose_ray.engine.sweep.table import format_summary
    from flexpose_ray.storage.open import open_store

    store = open_store(args.uri)
    found = summarise(store, saved_recipe(store).sweep, read_rows(store))
    return 0, found, format_summary(found)


def _best(args) -> Outcome:
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.engine.sweep.best import best_recipe, write_best
    from flexpose_ray.storage.open import open_store

    if args.dry_run:
        recipe = best_recipe(open_store(args.uri))
        place = args.out or f"{args.uri}/best"
        return 0, recipe.model_dump(mode="json"), f"would write the recipe and model of the best point to {place}"
    lines = StageLines()
    done = write_best(args.uri, args.out, lambda row: lines("adapt", row))
    return 0, done, f"recipe: {done['recipe']}\nmodel: {done['model']}"
