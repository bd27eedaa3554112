"""The cause is found however deep Ray has wrapped it."""

from __future__ import annotations

from ray.exceptions import RayTaskError

from flexpose_ray.engine.runtime.errors import innermost, ours_within
from flexpose_ray.errors import ConfigError

OURS = ConfigError("count", "0 is less than 1", "give a positive number")


def test_an_error_of_ours_is_found_within_rays():
    wrapped = RayTaskError("sample", "Traceback ...", OURS)
    assert ours_within(wrapped) is OURS
    both = wrapped.as_instanceof_cause()
    assert isinstance(both, ConfigError) and ours_within(both) is OURS, (
        "not the wrapper, though it is of that class too"
    )
    assert ours_within(RayTaskError("sample", "Traceback ...", ValueError("two\nlines"))) is None
    assert ours_within(None) is None


def test_the_innermost_error_is_one_line():
    assert innermost(RayTaskError("sample", "Traceback ...", ValueError("first\nsecond"))) == "ValueError: first"
    assert innermost(ValueError()) == "ValueError: "
