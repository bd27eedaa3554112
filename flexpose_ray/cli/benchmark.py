"""The verb benchmark, which compares methods."""

from __future__ import annotations

from flexpose_ray.cli.inputs import recipe_name
from flexpose_ray.cli.verb import Outcome, Verbs, add_recipe, add_verb


def add_verbs(verbs: Verbs) -> None:
    """Add this verb and its options."""
    summary = "compare methods on pairs of source and target, over draws of the shots"
    sub = add_verb(verbs, benchmark, "benchmark", summary, "flexpose benchmark benchmark_quick --workers 2")
    add_recipe(sub)
    sub.add_argument("--workers", type=int, metavar="K", help="cells at a time (default: one per CPU)")


def benchmark(args) -> Outcome:
    from flexpose_ray.config import read_recipe
    from flexpose_ray.config.benchmark import BenchmarkRecipe

    recipe = read_recipe(BenchmarkRecipe, recipe_name(args), args.set)
    from flexpose_ray.engine.benchmark.run import check_pairs, plan_benchmark, read_galleries, run_benchmark
    from flexpose_ray.engine.benchmark.table import format_benchmark

    if args.dry_run:
        plan = plan_benchmark(recipe, args.storage)
        read_galleries(recipe, plan, check_pairs(recipe, plan))
        missing = [cell.key for cell in (*plan.missing, *plan.untrained)]
        cells = {"done": len(plan.done), "missing": missing}
        size = f"{len(recipe.methods)} methods, {len(recipe.pairs)} pairs, {len(recipe.seeds)} draws"
        text = f"would compare {size} in {plan.store.uri}: {len(missing):,} cells, {len(plan.done):,} are there"
        return 0, cells | {"run": plan.store.uri}, text
    table = run_benchmark(recipe, args.storage, args.workers)
    from flexpose_ray.report.benchmark import write_benchmark_report

    page = write_benchmark_report(table)
    text = f"{format_benchmark(table)}\n\n{table['run']}/benchmark.md\n{page}"
    return (1 if table["failed"] else 0), table | {"report": page}, text
