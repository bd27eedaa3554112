"""The verb sweep: run one, show one, take its best."""

from __future__ import annotations

from flexpose_ray.cli.outcome import Outcome
from flexpose_ray.errors import ConfigError

SHOWN = 12  # groups in the table


def sweep(args) -> Outcome:
    if args.recipe in ("show", "best"):
        if args.uri is None:
            raise ConfigError(f"sweep {args.recipe}", "no sweep named", f"flexpose sweep {args.recipe} URI")
        if args.set or args.config:
            raise ConfigError(f"sweep {args.recipe}", "takes no settings", "leave --set and --config out")
        return _show(args) if args.recipe == "show" else _best(args)
    if args.uri is not None:
        raise ConfigError(args.recipe, "expected show or best before an address", "flexpose sweep show URI")
    if args.out is not None:
        raise ConfigError("--out", "goes with best", "flexpose sweep best URI --out URI")
    if (args.recipe is None) == (args.config is None):
        raise ConfigError("recipe", "expected exactly one", "as in: flexpose sweep sweep_quick")
    from flexpose_ray.config.sweep_recipe import load_sweep, sweep_key

    recipe = load_sweep(args.recipe or args.config, args.set)
    from flexpose_ray.engine.sweep.adaptations import Inputs
    from flexpose_ray.engine.sweep.run import run_sweep

    if args.dry_run:
        s, text = recipe.sweep, ""
        if s.over == "adapt":
            inputs = Inputs(recipe)
            text = f" on {', '.join(sorted(inputs.shots))}; judged by {len(inputs.held):,} held-out poses"
        place = f"{args.storage}/{sweep_key(recipe)}"
        keys = ", ".join(f"{key} ({len(d)} values)" if isinstance(d, tuple) else key for key, d in s.space.items())
        return (
            0,
            recipe.model_dump(mode="json"),
            f"would run {s.count:,} trials over {s.over} in {place}: {s.algorithm} of {keys}{text}",
        )
    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.report.sweep import write_sweep_report
    from flexpose_ray.storage.open import open_store

    found = run_sweep(recipe, args.storage, ProgressLine("trials"))
    found["report"] = write_sweep_report(open_store(found["uri"]))
    return 0, found, f"{format_summary(found)}\n{found['report']}"


def _show(args) -> Outcome:
    from flexpose_ray.engine.sweep.results import read_rows, saved_recipe
    from flexpose_ray.engine.sweep.summary import summarise
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
        return 0, recipe.model_dump(mode="json"), f"would write recipe and model of the best point to {place}"
    lines = StageLines()
    done = write_best(args.uri, args.out, lambda row: lines("adapt", row))
    return 0, done, f"recipe: {done['recipe']}\nmodel: {done['model']}"


def format_summary(found: dict) -> str:
    """The summary of a sweep as aligned text: the best points first, with the spread over seeds."""
    from flexpose_ray.config.sweep import point_text

    counts = ", ".join(f"{n:,} {status}" for status, n in found["trials"].items() if n)
    lines = [f"{found['uri']}", f"trials: {counts or 'none'}; {found['trial_seconds']:,.0f} s of trials"]
    names, on_front = found["objectives"], [group["trials"] for group in found["front"]]
    table = [["", *(name for name in names), "trials", ""]]
    for group in found["groups"][:SHOWN]:
        cells = [f"{group['mean'][n]:.4f}" + (f" ± {group['sd'][n]:.4f}" if group["sd"][n] else "") for n in names]
        mark = "*" if group["trials"] in on_front else ">" if group is found["groups"][0] and not on_front else ""
        table.append([mark, *cells, str(len(group["trials"])), point_text(group["point"])])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines += ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
    if len(found["groups"]) > SHOWN:
        lines.append(f"and {len(found['groups']) - SHOWN:,} more points in trials.parquet")
    if on_front:
        lines.append("* no other point is better in one objective and as good in all")
    lines += [f"trial {failure['trial']}: {failure['error']}" for failure in found["failures"][:SHOWN]]
    name = found["objectives"][0].upper().replace("MMD2", "MMD^2")
    return "\n".join([*lines, *(sureness(race, name) for race in found["winners"] if race["second"])])


def sureness(race: dict, name: str) -> str:
    """How far the best point of a race is ahead of the next, in words.

    Args:
        race: one of the ``winners`` of a sweep.
        name: of the objective.
    """
    from flexpose_ray.config.sweep import point_text

    second, best = race["second"], point_text(race["best"]["point"])
    if not second["seeds"]:
        return f"{best} is first; no seed was tried with it and with the next point."
    error = f" ± {second['error']:.4f} (standard error)" if second["error"] is not None else ""
    text = f"{best} is ahead of {point_text(second['point'])} by {name} {second['ahead']:.4f}{error}"
    text += f", in {second['wins']} of {second['seeds']} seeds"
    if second["error"] is None:
        return f"{text}: one seed says little."
    return f"{text}{'' if second['ahead'] > 2 * second['error'] else ': no more than seeds make of it'}."
