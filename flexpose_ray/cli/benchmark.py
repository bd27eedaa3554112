"""The verb that compares methods: benchmark."""

from __future__ import annotations

from flexpose_ray.cli.outcome import Outcome
from flexpose_ray.errors import ConfigError


def benchmark(args) -> Outcome:
    from flexpose_ray.config import read_recipe
    from flexpose_ray.config.benchmark import BenchmarkRecipe

    if (args.recipe is None) == (args.config is None):
        raise ConfigError("recipe", "expected exactly one", "as in: flexpose benchmark benchmark_quick")
    recipe = read_recipe(BenchmarkRecipe, args.recipe or args.config, args.set)
    from flexpose_ray.engine.benchmark.run import check_pairs, plan_benchmark, run_benchmark
    from flexpose_ray.engine.benchmark.table import format_benchmark

    if args.dry_run:
        plan = plan_benchmark(recipe, args.storage)
        check_pairs(recipe, plan)
        cells = {"done": len(plan.done), "missing": [cell.key for cell in plan.missing]}
        size = f"{len(recipe.methods)} methods, {len(recipe.pairs)} pairs, {len(recipe.seeds)} draws"
        text = f"would compare {size} in {plan.store.uri}: {len(plan.missing):,} cells, {len(plan.done):,} are there"
        return 0, cells | {"run": plan.store.uri}, text
    table = run_benchmark(recipe, args.storage, args.workers)
    from flexpose_ray.report.benchmark import write_benchmark_report

    page = write_benchmark_report(table)
    text = f"{format_benchmark(table)}\n\n{table['run']}/benchmark.md\n{page}"
    return (1 if table["failed"] else 0), table | {"report": page}, text
