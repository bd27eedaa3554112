"""The environment of Ray's workers: one for all of them, because for every other one Ray starts new processes.

A private Ray inherits it from the process that starts it, so that the workers that Ray has started beforehand have it
too; a cluster that is joined gets it as the job's. Threads that decide over bytes are set by the work itself as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flexpose_ray.engine.runtime.memory import KEEP_ENV

WORKER_ENV = {**KEEP_ENV, "OMP_NUM_THREADS": "1"}  # a worker has a core
SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # in which `ray job submit` hands a job's runtime_env to its driver

_given = False  # whether workers have it from ray.init, by which every task and actor of this process gets it


@contextmanager
def given() -> Iterator[None]:
    """Note that the Ray within the block was started or joined with this environment."""
    global _given
    _given = True
    try:
        yield
    finally:
        _given = False


@contextmanager
def inherited() -> Iterator[None]:
    """Have it in this process's environment, for a private Ray that starts within the block."""
    before = {name: os.environ.get(name) for name in WORKER_ENV}
    os.environ.update(WORKER_ENV)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def job_runtime_env() -> dict[str, Any]:
    """``runtime_env`` for ``ray.init`` on a cluster, without what a submitted job names itself: Ray refuses both."""
    submitted = json.loads(os.environ.get(SUBMITTED) or "{}").get("runtime_env") or {}
    named = submitted.get("env_vars") or {}
    return {"env_vars": {name: value for name, value in WORKER_ENV.items() if name not in named}}


def worker_runtime_env() -> dict[str, Any]:
    """``runtime_env`` for tasks and actors: empty, unless somebody else started Ray without this environment."""
    has_it = _given or WORKER_ENV.items() <= os.environ.items()  # a worker that starts others has it itself
    return {} if has_it else {"env_vars": WORKER_ENV}
