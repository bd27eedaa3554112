"""Reading recipes from YAML and --set options; every fault becomes one line that names the key."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from flexpose_ray.canonical import canonical_text
from flexpose_ray.errors import ConfigError

BROKEN_YAML = (yaml.YAMLError, ValueError, RecursionError)  # ValueError: a date such as 2020-13-45, or no UTF-8

OTHER_PREFIXES = ("benchmark_", "sweep_")  # of the names of shipped recipes that are not whole runs


class Section(BaseModel):
    """A part of a recipe: frozen, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name_prefix: ClassVar[str] = ""  # of the names of shipped recipes of this kind


def config_hash(value: Any) -> str:
    """First eight hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_text(value).encode()).hexdigest()[:8]


def shipped_recipes(model: type[Section]) -> list[str]:
    """Names of the recipes in the package that hold a ``model``."""
    files = resources.files("flexpose_ray.recipes").iterdir()
    names = sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
    if model.name_prefix:
        return [name for name in names if name.startswith(model.name_prefix)]
    return [name for name in names if not name.startswith(OTHER_PREFIXES)]


def read_recipe(model: type[Section], path: str, overrides: list[str] | None = None) -> Any:
    """Read a ``model`` from a YAML file, or the shipped recipe of that name.

    Raises:
        ConfigError: as :func:`read_values`, or an unknown key or a value out of range; it names the key.
    """
    return parse(model, read_values(model, path, overrides), path)


def read_values(model: type[Section], path: str, overrides: list[str] | None = None) -> dict:
    """Read the values of a YAML file, or of the shipped recipe of that name, without validating them.

    Args:
        model: what the recipe holds; the error for an unknown name lists recipes of that kind.
        path: file, or a name such as ``quickstart``.
        overrides: ``key.path=value`` strings, values in YAML.

    Raises:
        ConfigError: missing file, broken YAML, no mapping, or an override that is not KEY=VALUE.
    """
    file = Path(path)
    if not file.is_file() and file.name == path:
        shipped = resources.files("flexpose_ray.recipes")
        file = Path(str(shipped / f"{path.removesuffix('.yaml')}.yaml"))
        if not file.is_file():
            raise ConfigError(path, "no such recipe", f"give a YAML file or one of {', '.join(shipped_recipes(model))}")
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}", "give a YAML file or a shipped name") from error
    except BROKEN_YAML as error:
        raise ConfigError(path, f"broken YAML: {' '.join(str(error).split())}", "correct the file") from error
    if not isinstance(values, dict):
        raise ConfigError(path, "a recipe is a mapping of keys", "see the shipped quickstart.yaml")
    for override in overrides or []:
        set_key(values, override)
    return values


def parse(model: type[Section], values: dict, where: str) -> Any:
    """Validate ``values`` as a ``model``.

    Raises:
        ConfigError: the first fault, with its key; ``where`` names the file.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [(_key(model, fault["loc"]), fault) for fault in error.errors()]
    field = faults[0][0]
    # For a value of one of several types, the fault that lies deepest within it is the most specific.
    key = max((key for key, _ in faults if key[: len(field)] == field), key=len)
    same = [fault for at, fault in faults if at == key]
    name = ".".join(map(str, key)) or "recipe"
    if same[0]["type"] == "extra_forbidden":
        owner = model
        for part in key[:-1]:
            owner = owner if isinstance(part, int) else section_of(owner, part)
        raise ConfigError(where, f"unknown key {name}", f"known here: {', '.join(owner.model_fields)}")
    if same[0]["type"] == "value_error":  # from a validator of ours, about several keys
        raise ConfigError(where, f"{name}: {same[0]['ctx']['error']}", "correct the recipe or the --set option")
    wanted = " or ".join(dict.fromkeys(fault["msg"].removeprefix("Input should be ") for fault in same))
    if same[0]["msg"].startswith("Input should be "):
        wanted = f"should be {wanted}".replace("a valid tuple", "a list, as in [3]")
    found = "" if same[0]["type"] == "missing" else f", found {same[0]['input']!r}"[:120]
    raise ConfigError(where, f"{name}: {wanted}{found}", "correct the recipe or the --set option")


def _key(model: type[Section], loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The key of a fault, without the names that pydantic gives to the branches of a union."""
    key, owner, in_branch = (), model, False
    for part in loc:
        if in_branch:
            in_branch = False
        elif isinstance(part, int):
            key = (*key, part)
        elif owner is not None:
            key = (*key, part)
            field, owner = owner.model_fields.get(part), section_of(owner, part)
            in_branch = owner is not None and len(set(get_args(field.annotation)) - {NoneType}) > 1
    return key


def section_of(owner: type[Section] | None, name: str) -> type[Section] | None:
    """The section that a field holds, directly or in a list."""
    field = owner.model_fields.get(name) if owner else None
    kinds = [field.annotation] if field else []
    for kind in kinds:
        kinds += get_args(kind)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Section)), None)


def set_key(values: dict, override: str) -> None:
    """Apply one ``key.path=value`` to ``values``.

    Raises:
        ConfigError: it is not KEY=VALUE, goes through a value, or the value is not valid YAML.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}", "expected key.path=value", "as in --set generate.count=5000")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}", f"{parent} is a value, not a section")
    try:
        values[last] = yaml.safe_load(text)
    except BROKEN_YAML:
        raise ConfigError(f"--set {override}", "the value is not valid YAML", "quote it") from None
