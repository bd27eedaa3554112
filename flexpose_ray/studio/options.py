"""A studio from the text behind ``synthetic:studio?``."""

from __future__ import annotations

import dataclasses

from flexpose_ray.errors import ConfigError
from flexpose_ray.studio.world import Studio

USE = (
    "synthetic:studio?count=2000&seed=0, with &part=poses|pictures|test, &actions=walking,waving, &people=N, &cameras=N"
)
TRUTH = {"yes": True, "no": False}


def parse_studio(given: dict[str, str], source: str) -> Studio:
    """The studio that options describe, by the names of :class:`Studio`'s attributes.

    Args:
        given: the options.
        source: for errors.

    Raises:
        ConfigError: an option that a studio does not have, or a value out of range.
    """
    where, values = f"source {source!r}", {}
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Studio)}
    for name, text in given.items():
        if name not in kinds:
            raise ConfigError(where, f"a studio has no option {name!r}", f"write {USE}")
        if kinds[name] is int:
            if not (text.isdecimal() and len(text) < 12):
                raise ConfigError(where, f"{name} is {text!r}, expected a whole number", f"write {USE}")
            values[name] = int(text)
        elif kinds[name] is bool:
            if text not in TRUTH:
                raise ConfigError(where, f"{name} is {text!r}", "write yes or no")
            values[name] = TRUTH[text]
        else:
            values[name] = tuple(text.split(",")) if kinds[name] is tuple else text
    try:
        return Studio(**values)
    except ConfigError as e:
        raise ConfigError(where, e.problem, e.hint) from None
