"""The verb sweep: run a sweep, show one, or take its best point."""

from __future__ import annotations

from flexpose_ray.cli.inputs import recipe_name
from flexpose_ray.cli.verb import Outcome, Verbs, add_recipe, add_verb
from flexpose_ray.errors import ConfigError
from flexpose_ray.text_table import text_table

SHOWN = 12  # groups in the table


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
    from flexpose_ray.engine.sweep.run import Inputs, run_sweep

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
    from flexpose_ray.report.sweep import write_sweep_report
    from flexpose_ray.storage.open import open_store

    found = run_sweep(recipe, args.storage, ProgressLine("trials"))
    found["report"] = write_sweep_report(open_store(found["uri"]))
    return 0, found, f"{format_summary(found)}\n{found['report']}"


def _show(args) -> Outcome:
    from flexpose_ray.engine.sweep.results import read_rows, summarise
    from flexpose_ray.engine.sweep.run import load_swept
    from flexpose_ray.storage.open import open_store

    store = open_store(args.uri)
    found = summarise(store, load_swept(store).sweep, read_rows(store))
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


def format_summary(found: dict) -> str:
    """The summary of a sweep as aligned text: the best points first, with the spread over seeds."""
    from flexpose_ray.config.sweep import point_text

    counts = ", ".join(f"{n:,} {status}" for status, n in found["trials"].items() if n)
    lines = [f"{found['uri']}", f"trials: {counts or 'none'}; {found['trial_seconds']:,.0f} s of trials"]
    names, on_front = found["objectives"], [group["trials"] for group in found["front"]]
    table = [["", *names, "trials", ""]]
    for group in found["groups"][:SHOWN]:
        cells = [f"{group['mean'][n]:.4f}" + (f" ± {group['sd'][n]:.4f}" if group["sd"][n] else "") for n in names]
        mark = "*" if group["trials"] in on_front else ">" if group is found["groups"][0] and not on_front else ""
        table.append([mark, *cells, str(len(group["trials"])), point_text(group["point"])])
    lines.append(text_table(table, "l" * len(table[0])))
    if len(found["groups"]) > SHOWN:
        lines.append(f"and {len(found['groups']) - SHOWN:,} more points in trials.parquet")
    if on_front:
        lines.append("* no other point is better in one objective and at least as good in all")
    lines += [f"trial {failure['trial']}: {failure['error']}" for failure in found["failures"][:SHOWN]]
    name = found["objectives"][0].upper().replace("MMD2", "MMD^2")
    return "\n".join([*lines, *(lead_text(race, name) for race in found["winners"] if race["second"])])


def lead_text(race: dict, name: str) -> str:
    """How far the best point of a race is ahead of the next, in words.

    Args:
        race: one of the ``winners`` of a sweep.
        name: of the objective.
    """
    from flexpose_ray.config.sweep import point_text

    second, best = race["second"], point_text(race["best"]["point"])
    if not second["seeds"]:
        return f"{best} is first; no seed was tried with both it and the next point."
    error = f" ± {second['error']:.4f} (standard error)" if second["error"] is not None else ""
    text = f"{best} is ahead of {point_text(second['point'])} by {name} {second['ahead']:.4f}{error}"
    text += f", in {second['wins']} of {second['seeds']} seeds"
    if second["error"] is None:
        return f"{text}: one seed proves little."
    return f"{text}{'' if second['ahead'] > 2 * second['error'] else ': within what seeds alone change'}."
