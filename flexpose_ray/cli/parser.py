"""The parser of the command line; the options of each verb stand beside its function."""

from __future__ import annotations

import argparse

from flexpose_ray import __version__
from flexpose_ray.cli import benchmark, clusters, data_sets, detect, models, runs, sources, sweeps, translate
from flexpose_ray.cli.verb import FORMATTER

DESCRIPTION = """Pose data for the domain you have, from the dozen annotations you can afford.

Start with:        flexpose pipeline quickstart
Your own domain:   flexpose prepare --source table:mine.csv --out sets/mine.parquet
                   flexpose adapt --generator builtin:coco --shots sets/mine.parquet --out models/mine
                   flexpose generate --generator models/mine --count 100000 --out data/mine
Help on a verb:    flexpose VERB --help
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser("flexpose", description=DESCRIPTION, formatter_class=FORMATTER)
    parser.add_argument("--version", action="version", version=f"flexpose-ray {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in (sources, models, data_sets, detect, translate, runs, sweeps, benchmark, clusters):
        module.add_verbs(verbs)
    return parser
