"""Finding the cause in the errors of Ray, which wrap what a worker raised, often several times."""

from __future__ import annotations

from collections.abc import Iterator

from ray.exceptions import RayError

from flexpose_ray.errors import FlexPoseError

LINKS = ("cause", "controller_failure", "health_check_failure", "__cause__")  # from an error to the one within


def errors_within(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that it wraps, from the outside in."""
    while error is not None:
        yield error
        for failure in getattr(error, "worker_failures", {}).values():
            yield from errors_within(failure)
        error = next((inner for link in LINKS if (inner := getattr(error, link, None)) is not None), None)


def flexpose_error_within(error: BaseException | None) -> FlexPoseError | None:
    """The error of ours that another one wraps, or None."""
    # Ray's wrapper of a task's error is an instance of that error's class too, with a traceback for its text.
    own = (e for e in errors_within(error) if isinstance(e, FlexPoseError) and not isinstance(e, RayError))
    return next(own, None)


def innermost_line(error: BaseException) -> str:
    """The innermost error as one line."""
    *_, last = errors_within(error)
    lines = [line.strip() for line in str(last).splitlines() if line.strip()]
    return f"{type(last).__name__}: {lines[0] if lines else ''}"[:300]
