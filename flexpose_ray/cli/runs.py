"""Verbs on whole runs and their results: evaluate, report, pipeline."""

from __future__ import annotations

from flexpose_ray.cli.inputs import poses_at, recipe_name, recipe_of_kind
from flexpose_ray.cli.verb import Outcome, Verbs, add_kind, add_recipe, add_settings, add_verb


def add_verbs(verbs: Verbs) -> None:
    """Add these verbs and their options."""
    example = "flexpose evaluate --samples data/mine --target sets/held_out.parquet --shots sets/mine.parquet"
    sub = add_verb(verbs, evaluate, "evaluate", "score a data set next to simple methods", example)
    add_settings(sub)
    sub.add_argument("--samples", required=True, metavar="URI", help="generated data set, or pose set (.parquet)")
    sub.add_argument("--target", required=True, metavar="URI", help="held-out target poses")
    sub.add_argument("--source", metavar="URI", help="source poses, which mean shift and CORAL need")
    sub.add_argument("--shots", metavar="URI", help="shots that the generator was adapted to")

    sub = add_verb(verbs, report, "report", "write a run's page again", "flexpose report runs/quickstart-1a2b3c4d")
    sub.add_argument("uri", metavar="URI", help="folder of the run")

    summary = "run a whole recipe: generator, adaptation, data set, scores, report"
    sub = add_verb(verbs, pipeline, "pipeline", summary, "flexpose pipeline quickstart")
    add_recipe(sub)
    add_kind(sub, "a StyleGAN against a discriminator, and one map on its third style layer")


def evaluate(args) -> Outcome:
    from flexpose_ray.config import load_section

    config = load_section("evaluate", args.config, args.set)
    from flexpose_ray.dataset.reader import PoseReader
    from flexpose_ray.evaluation.compare import evaluate, format_table
    from flexpose_ray.storage.open import open_store

    target = poses_at(args.target)
    source, shots = (poses_at(uri) if uri else None for uri in (args.source, args.shots))
    if args.samples.endswith(".parquet"):
        samples = poses_at(args.samples)
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

    recipe = recipe_of_kind(args, load_run(recipe_name(args), args.set))
    from flexpose_ray.engine.runtime.progress import StageLines
    from flexpose_ray.evaluation.compare import format_table
    from flexpose_ray.pipeline import check_inputs, finished, run_pipeline
    from flexpose_ray.storage.open import open_store

    if args.dry_run:
        inputs, store = check_inputs(recipe), open_store(args.storage).child(run_key(recipe))
        work = f"{len(inputs.shots)} shots, {len(inputs.held):,} held-out poses, {recipe.generate.count:,} to sample"
        if isinstance(recipe, SweepRecipe):
            trials = f"would try {recipe.sweep.count} points of {recipe.name} and continue with the best: {work}"
            return 0, recipe.model_dump(mode="json"), trials
        if inputs.pictures is not None:
            work += f", {len(inputs.pictures.rows[1]):,} pictures to learn from"
        does = "has run" if finished(store) else "would run"
        return 0, recipe.model_dump(mode="json"), f"{does} {recipe.name} in {store.uri}: {work}"
    done = run_pipeline(recipe, args.storage, StageLines())
    seconds = sum(done["timings"].values())
    text = f"{format_table(done['evaluation'])}\n\n{done['count']:,} poses: {done['samples']} ({seconds:.0f} s in all)"
    if "detector" in done:
        text += f"\n\n{_detector(done['detector'])}"
    pages = [done["report"], *([f"sweep: {done['sweep']}/report.html"] if "sweep" in done else [])]
    return 0, done, "\n".join([text, *pages])


def _detector(found: dict) -> str:
    """What a run's detector is, in a few lines."""
    from flexpose_ray.evaluation.detector import format_scores

    lines = [format_scores(found["scores"], found["side"])] if found["scores"] else []
    lines.append(f"detector, from {found['pictures']:,} pictures and {found['poses']:,} poses: {found['detector']}")
    if found["predictions"]:
        lines.append(f"what it found in them: {found['predictions']}")
    return "\n".join(lines)
