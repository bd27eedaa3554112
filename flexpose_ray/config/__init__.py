"""Recipes: frozen, validated models of everything that a run depends on."""

from flexpose_ray.config.pretraining import AlphaConfig, BetaConfig, NetworkConfig, PretrainConfig
from flexpose_ray.config.reading import Section, config_hash, parse, read_recipe
from flexpose_ray.config.recipe import Recipe, load_recipe, load_section, pretrain_key, run_key
from flexpose_ray.config.sections import (
    NAME,
    AdaptConfig,
    EvaluateConfig,
    GateConfig,
    GenerateConfig,
    SourceConfig,
    TargetConfig,
)

__all__ = [
    "NAME", "AdaptConfig", "AlphaConfig", "BetaConfig", "EvaluateConfig", "GateConfig", "GenerateConfig",
    "NetworkConfig", "PretrainConfig", "Recipe", "Section", "SourceConfig", "TargetConfig", "config_hash",
    "load_recipe", "load_section", "parse", "pretrain_key", "read_recipe", "run_key",
]  # fmt: skip
