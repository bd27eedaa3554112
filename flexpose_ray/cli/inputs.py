"""What verbs read from their options: recipes and poses."""

from __future__ import annotations

from flexpose_ray.errors import ConfigError


def recipe_name(args) -> str:
    """The recipe of a verb that takes a whole one, by position or as ``--config``.

    Raises:
        ConfigError: none given, or both.
    """
    if (args.recipe is None) == (args.config is None):
        example = {"benchmark": "benchmark_quick", "sweep": "sweep_quick"}.get(args.verb, "quickstart")
        raise ConfigError("recipe", "expected exactly one", f"as in: flexpose {args.verb} {example}")
    return args.recipe or args.config


def recipe_of_kind(args, recipe):
    """The recipe as --kind and --paper want it.

    Raises:
        ConfigError: --paper with --kind flow.
    """
    if args.paper and args.kind == "flow":
        raise ConfigError("--paper", "takes a StyleGAN, and --kind is flow", "leave one of them out")
    if args.paper:
        return recipe.in_the_papers_way()
    return recipe.of_kind(args.kind) if args.kind else recipe


def poses_at(uri: str):
    """The poses of one of our pose sets, by its URI, or of any source, as KIND:PATH."""
    from flexpose_ray.sources.read import KINDS, read_source

    known = uri.partition(":")[0] in KINDS
    return read_source(uri if known else f"poses:{uri}")[0]
