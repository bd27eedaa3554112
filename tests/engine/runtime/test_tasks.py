"""What tasks have in common: their results, errors and numbers of workers, without starting Ray."""

from __future__ import annotations

import pytest
import ray
from ray.exceptions import WorkerCrashedError

from flexpose_ray.engine.runtime.tasks import check_workers, error_line, task_result
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.storage.open import open_store


def failed(error: str) -> dict:
    return {"name": "a", "error": error}


def result(monkeypatch, tmp_path, returned) -> dict:
    """The result of a task that returned this, or raised it, and should have written done.json."""

    def get(reference):
        if isinstance(returned, Exception):
            raise returned
        return returned

    monkeypatch.setattr(ray, "get", get)
    return task_result(None, open_store(tmp_path), "done.json", failed)


def test_a_result_counts_once_its_file_is_visible(monkeypatch, tmp_path):
    row = {"name": "a", "error": None}
    hidden = result(monkeypatch, tmp_path, row)["error"]
    assert hidden.startswith(
        f"{tmp_path}/done.json was written by a worker but is not visible here (a folder has to be"
    )
    (tmp_path / "done.json").touch()
    assert result(monkeypatch, tmp_path, row) is row


def test_a_failure_stays_what_it_is_and_needs_no_file(monkeypatch, tmp_path):
    row = failed("out of memory")
    assert result(monkeypatch, tmp_path, row) is row


def test_a_lost_worker_is_one_line(monkeypatch, tmp_path):
    error = result(monkeypatch, tmp_path, WorkerCrashedError())["error"]
    assert error.startswith("its worker died 4 times, perhaps for lack of memory: ") and "\n" not in error


def test_an_error_is_one_line_and_has_its_type_unless_it_is_ours():
    assert error_line(ValueError("first\n  second")) == "ValueError: first second"
    assert error_line(DataError("here", "bad", "mend it")) == "here: bad (mend it)"


def test_less_than_one_worker_is_refused():
    check_workers(None)
    check_workers(1)
    with pytest.raises(ConfigError, match="workers: 0 is less than 1"):
        check_workers(0)
