"""A studio from the text behind ``synthetic:studio?``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from flexpose_ray.errors import ConfigError
from flexpose_ray.studio.captured import Motion
from flexpose_ray.studio.world import Studio

USE = (
    "synthetic:studio?count=2000&seed=0, with &part=poses|pictures|test, &actions=walking,waving, &people=N, "
    "&cameras=N, &frames=N, &motion=bvh:FOLDER?every=3"
)
TRUTH = {"yes": True, "no": False}


def parse_studio(given: dict[str, str], source: str, read_motions: Callable[[str], tuple[Motion, ...]]) -> Studio:
    """The studio that options describe, by the names of :class:`Studio`'s attributes; and ``motion``.

    Args:
        given: the options.
        source: for errors.
        read_motions: takes the text of ``motion``, whose motions people perform; all of its actions by default.

    Raises:
        ConfigError: an option that a studio does not have, or a value out of range.
        FlexPoseError: motion that cannot be used.
    """
    where, values, given = f"source {source!r}", {}, dict(given)
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Studio) if field.name != "captured"}
    if motion := given.pop("motion", ""):
        values["captured"] = read_motions(motion)
        values["actions"] = tuple(dict.fromkeys(m.action for m in values["captured"]))
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
