"""The cause is found however deep Ray has wrapped it."""

from __future__ import annotations

from ray.exceptions import RayTaskError

from flexpose_ray.engine.runtime.errors import flexpose_error_within, innermost_line
from flexpose_ray.errors import ConfigError

OURS = ConfigError("count", "0 is less than 1", "give a positive number")


def test_an_error_of_ours_is_found_within_rays():
    wrapped = RayTaskError("sample", "Traceback ...", OURS)
    assert flexpose_error_within(wrapped) is OURS
    both = wrapped.as_instanceof_cause()  # Ray's wrapper, of the class of our error too
    assert isinstance(both, ConfigError) and flexpose_error_within(both) is OURS
    assert flexpose_error_within(RayTaskError("sample", "Traceback ...", ValueError("two\nlines"))) is None
    assert flexpose_error_within(None) is None


def test_the_innermost_error_is_one_line():
    assert innermost_line(RayTaskError("sample", "Traceback ...", ValueError("first\nsecond"))) == "ValueError: first"
    assert innermost_line(ValueError()) == "ValueError: "
