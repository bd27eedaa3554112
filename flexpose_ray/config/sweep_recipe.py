"""A recipe with a sweep: the run that all trials start from, and what they change in it."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from flexpose_ray.config.pretraining import EXECUTION_KEYS
from flexpose_ray.config.reading import config_hash, parse, read_values
from flexpose_ray.config.recipe import Recipe
from flexpose_ray.config.sweep import SWEEP_EXECUTION_KEYS, Point, Range, SweepConfig, point_text
from flexpose_ray.errors import ConfigError


class SweepRecipe(Recipe):
    """A recipe of a whole run with a ``sweep``; without it, it is the recipe that the trials change."""

    name_prefix: ClassVar[str] = "sweep_"

    sweep: SweepConfig

    @model_validator(mode="after")
    def _has_trial_inputs(self):
        if self.sweep.over == "pretrain" and self.source is None:
            raise ValueError("a sweep over pretraining needs a source to train on")
        if self.sweep.over == "adapt" and (self.generator is None or self.target is None):
            raise ValueError("a sweep over adaptation needs a generator and a target")
        if self.sweep.over == "adapt" and "loss" in self.sweep.objectives and self.adapt.layers == "none":
            raise ValueError("objective loss: a blend alone is fitted, not trained, and has none; set adapt.layers")
        return self

    @property
    def plain(self) -> Recipe:
        """The recipe alone."""
        return Recipe.model_validate(self.model_dump(exclude={"sweep"}))

    def at(self, point: Point) -> SweepRecipe:
        """This recipe with the values of ``point``.

        Raises:
            ConfigError: a value that its key cannot have; it names the point.
        """
        values = self.model_dump(mode="json")
        for key, value in point.items():
            *parents, last = key.split(".")
            section = values
            for parent in parents:
                section = section.get(parent)
                if not isinstance(section, dict):
                    raise ConfigError(self.name, f"sweep.space: {key} is not a key of a section", "correct the recipe")
            section[last] = value
        try:
            return parse(SweepRecipe, values, f"{self.name}, sweep.space")
        except ConfigError as error:
            raise ConfigError(error.where, f"{error.problem} (with {point_text(point)})", error.hint) from None


def load_sweep(path: str, overrides: list[str] | None = None) -> SweepRecipe:
    """Read a recipe with a sweep and check that every point of it can be run.

    Raises:
        ConfigError: as :func:`read_recipe`, or a point with an unknown key or a value out of range.
    """
    return _checked(parse(SweepRecipe, read_values(SweepRecipe, path, overrides), path))


def load_run(path: str, overrides: list[str] | None = None) -> Recipe | SweepRecipe:
    """Read the recipe of a whole run, which may have a ``sweep`` before it.

    Raises:
        ConfigError: as :func:`load_sweep`.
    """
    values = read_values(Recipe, path, overrides)
    return _checked(parse(SweepRecipe, values, path)) if "sweep" in values else parse(Recipe, values, path)


def _checked(recipe: SweepRecipe) -> SweepRecipe:
    check_points(recipe)
    return recipe


def check_points(recipe: SweepRecipe) -> None:
    """Check that every point gives a valid recipe; of Optuna's ranges both ends are checked.

    Raises:
        ConfigError: a point does not.
    """
    sweep = recipe.sweep
    if sweep.algorithm == "optuna":
        for key, dimension in sweep.space.items():
            for value in dimension.bounds if isinstance(dimension, Range) else dimension:
                recipe.at({key: value})
    else:
        for trial in range(sweep.count):
            recipe.at(sweep.point(trial))


def values_of(recipe: SweepRecipe, key: str) -> list[Any]:
    """The values that ``key`` may have: those listed, the ends of its range, or the recipe's if it is not swept."""
    if key in recipe.sweep.space:
        dimension = recipe.sweep.space[key]
        return list(dimension.bounds if isinstance(dimension, Range) else dimension)
    value: Any = recipe
    for part in key.split("."):
        value = getattr(value, part)
    return [value]


def sweep_key(recipe: SweepRecipe) -> str:
    """Name of the sweep's folder. More trials, other execution keys, sampling, evaluation or pictures continue it."""
    ignored = {
        "pretrain": EXECUTION_KEYS,
        "sweep": {*SWEEP_EXECUTION_KEYS, "trials"},
        "generate": True,
        "evaluate": True,
        "pictures": True,
    }
    return f"sweep-{recipe.name}-{config_hash(recipe.model_dump(mode='json', exclude=ignored))}"
