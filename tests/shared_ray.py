"""The Ray that tests share: started when a test needs it, and ended when the next one does not."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import ray

from flexpose_ray.engine.runtime.session import ray_session


class SharedRay:
    """One Ray of four CPUs for the tests in a row that use it."""

    def __init__(self):
        self._until_end = ExitStack()

    def start(self) -> None:
        """Start it, unless it runs."""
        if ray.is_initialized():
            return
        env = self._until_end.enter_context(pytest.MonkeyPatch.context())
        env.delenv("RAY_ADDRESS", raising=False)
        env.setenv("RAY_USAGE_STATS_REPORT_URL", "http://127.0.0.1:9")
        self._until_end.enter_context(ray_session(cpus=4))

    def end(self) -> None:
        """End it, if it runs."""
        self._until_end.close()
