"""What verbs have in common: options, and what their functions return."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from textwrap import indent
from typing import Any

Outcome = tuple[int, Any, str]  # exit status, the object for --json, the text for a person
Verbs = argparse._SubParsersAction

FORMATTER = argparse.RawDescriptionHelpFormatter


def add_verb(
    verbs: Verbs, run: Callable[[argparse.Namespace], Outcome], name: str, summary: str, example: str
) -> argparse.ArgumentParser:
    """Add a verb with the options that all have; returns its parser.

    Args:
        verbs: what ``add_subparsers`` returned.
        run: the verb's function.
        name: as it is typed.
        summary: what it does, for the list of verbs and for its own help.
        example: complete commands, one a line.
    """
    epilog = f"example:\n{indent(example, '  ')}"
    parser = verbs.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=FORMATTER)
    common = parser.add_argument_group("options of all verbs")
    common.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    common.add_argument("--dry-run", action="store_true", help="check everything and print what would be done")
    if name != "submit":  # which has --cluster
        common.add_argument("--address", metavar="HOST:PORT", help="Ray cluster to join (default: RAY_ADDRESS)")
    parser.set_defaults(run=run)
    return parser


def add_group(verbs: Verbs, name: str, summary: str, example: str) -> Verbs:
    """Add a verb that has verbs of its own; returns what takes these.

    Args:
        verbs: what ``add_subparsers`` returned.
        name: as it is typed.
        summary: what they do, for the list of verbs and for its own help.
        example: complete commands, one a line.
    """
    description = f"{summary}.\nEach takes --json, --dry-run and --address; see: flexpose {name} VERB --help"
    epilog = f"example:\n{indent(example, '  ')}"
    parser = verbs.add_parser(name, help=summary, description=description, epilog=epilog, formatter_class=FORMATTER)
    return parser.add_subparsers(dest=f"{name}_verb", required=True, metavar="VERB")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Let a verb take settings from a recipe and change single ones."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="recipe to take settings from: YAML file, or shipped name")
    change = "change one setting; may be repeated"
    group.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=change)


def add_kind(parser: argparse.ArgumentParser, paper: str | None = None) -> None:
    """Let a verb choose the kind of its generator, and the paper's own way, which ``paper`` describes."""
    kinds = "flow (the default of shipped generators) or stylegan (the paper's)"
    parser.add_argument("--kind", choices=("flow", "stylegan"), help=f"kind of generator: {kinds}")
    if paper:
        parser.add_argument("--paper", action="store_true", help=f"the paper's own way: {paper}")


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Let a verb take a whole recipe, by position or as ``--config``, and a place for its runs."""
    parser.add_argument("recipe", nargs="?", help="recipe to run: YAML file, or shipped name; or use --config")
    parser.add_argument("--storage", default="runs", metavar="URI", help="folder or s3:// for runs (default: runs)")
    add_settings(parser)
