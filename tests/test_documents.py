"""What the documents say can be done: commands parse, recipes and links exist, versions agree."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

import flexpose_ray
from flexpose_ray.cli.parser import build_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md", "CHANGELOG.md", "clusters/README.md", "jobs/README.md", "flexpose_ray/methods/RESULTS.md",
    "flexpose_ray/methods/RESEARCH.md", "flexpose_ray/sources/SOURCES.md", "flexpose_ray/training/pictures/DETECTOR.md",
]  # fmt: skip
PARSED = ("flexpose ", "python jobs/")


def commands(document: str) -> list[str]:
    """The lines of a document's code blocks that call the command line, without their comments."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / document).read_text(), flags=re.S | re.M)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    lines = [line.removeprefix("ray job submit --working-dir . -- ") for line in lines]
    return [line for line in lines if line.startswith(PARSED) and "..." not in line and "--help" not in line]


@pytest.mark.parametrize("command", sorted({line for document in DOCUMENTS for line in commands(document)}))
def test_a_command_parses(command):
    program, *words = shlex.split(command)
    if program == "python":
        words[0] = Path(words[0]).stem
    args = build_parser().parse_args(words)
    recipe = getattr(args, "recipe", "")
    if recipe and not recipe.endswith(".yaml") and recipe not in ("show", "best"):  # of `flexpose sweep`
        assert (ROOT / "flexpose_ray" / "recipes" / f"{recipe}.yaml").is_file()


def test_every_verb_is_in_a_document():
    text = "".join((ROOT / document).read_text() for document in DOCUMENTS)
    verbs = next(action.choices for action in build_parser()._actions if action.choices)
    assert [verb for verb in verbs if f"flexpose {verb}" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_within_the_project_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / document).read_text())
    assert [link for link in links if not (ROOT / document).parent.joinpath(link).exists()] == []


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_the_citation_is_of_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == flexpose_ray.__version__
