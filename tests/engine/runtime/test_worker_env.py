"""Workers have one environment, from the start of Ray or from the job; only a foreign Ray is told at every task."""

from __future__ import annotations

import json
import os

import pytest
import ray

from flexpose_ray.engine.runtime import worker_env
from flexpose_ray.engine.runtime.worker_env import (
    SUBMITTED,
    WORKER_ENV,
    given,
    inherited,
    job_runtime_env,
    worker_runtime_env,
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch) -> None:
    for name in WORKER_ENV:
        monkeypatch.delenv(name, raising=False)


def test_a_private_ray_inherits_it_and_the_driver_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with inherited():
        assert os.environ.items() >= WORKER_ENV.items()
    assert os.environ["OMP_NUM_THREADS"] == "7" and not WORKER_ENV.keys() - {"OMP_NUM_THREADS"} & os.environ.keys()


def test_tasks_name_it_only_where_ray_was_started_without_it(monkeypatch):
    monkeypatch.setattr(worker_env, "_given", False)  # whatever Ray other tests have started in this process
    assert worker_runtime_env() == {"env_vars": WORKER_ENV}
    with given():
        assert worker_runtime_env() == {}
    assert worker_runtime_env() == {"env_vars": WORKER_ENV}
    for name, value in WORKER_ENV.items():
        monkeypatch.setenv(name, value)
    assert worker_runtime_env() == {}, "a worker hands on what it has"


def test_what_a_submitted_job_names_itself_stays(monkeypatch):
    assert job_runtime_env() == {"env_vars": WORKER_ENV}
    monkeypatch.setenv(
        SUBMITTED, json.dumps({"runtime_env": {"working_dir": "x", "env_vars": {"OMP_NUM_THREADS": "4"}}})
    )
    assert job_runtime_env()["env_vars"].keys() == WORKER_ENV.keys() - {"OMP_NUM_THREADS"}
    monkeypatch.setenv(SUBMITTED, json.dumps({"metadata": {}, "runtime_env": None}))
    assert job_runtime_env() == {"env_vars": WORKER_ENV}


@pytest.mark.slow
def test_every_worker_of_a_private_ray_has_it(ray_cluster):
    found = ray.get(ray.remote(lambda: dict(os.environ)).remote())
    assert found.items() >= WORKER_ENV.items()
