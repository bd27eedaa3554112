"""Settings given by name: each read as its kind and held within its range."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from flexpose_ray.errors import ConfigError


@dataclass(frozen=True)
class NamedSettings:
    """Base of settings whose values are numbers or texts with defaults.

    Attributes:
        where: what errors call them.
        ranges: least and greatest value by name.

    Raises:
        ConfigError: a value out of range.
    """

    where: ClassVar[str]
    ranges: ClassVar[dict[str, tuple[float, float]]]

    def __post_init__(self):
        for name, (low, high) in self.ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:  # refuses NaN too
                raise ConfigError(f"{self.where}.{name}", f"{value:g}", f"choose one from {low:g} to {high:g}")

    @classmethod
    def of(cls, values: dict[str, Any], where: str | None = None) -> Self:
        """The defaults with some values changed.

        Args:
            values: numbers or texts by name; a text is read as its setting's kind.
            where: for errors.

        Raises:
            ConfigError: an unknown setting, a value of another kind or out of range.
        """
        where = where or cls.where
        kinds = {field.name: type(field.default) for field in fields(cls)}
        read = {}
        for name, value in values.items():
            if name not in kinds:
                raise ConfigError(where, f"unknown setting {name}", f"choose one of {', '.join(kinds)}")
            try:
                read[name] = kinds[name](value)
            except (TypeError, ValueError):
                raise ConfigError(where, f"{name} is {value!r}", f"give {kinds[name].__name__}") from None
            if kinds[name] is int and isinstance(value, float) and read[name] != value:
                raise ConfigError(where, f"{name} is {value!r}", "give int")
        return cls(**read)
