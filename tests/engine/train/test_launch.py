"""What failures of workers mean: errors of ours end a run at once, lost workers are replaced as long as it gets on."""

from functools import partial

import pytest
import ray
import torch

from flexpose_ray.config import PretrainConfig
from flexpose_ray.engine.train.failures import memory_errors_explained, too_many_failures
from flexpose_ray.engine.train.launch import MAX_FAILURES, WorkerMonitor, training_error
from flexpose_ray.errors import StorageError, TrainingError, WeightsError


class Rows(list):
    put = list.append


def failed(error):
    return ray.train.v2.api.exceptions.WorkerGroupError("failed", {0: error})


def chained(error, within):
    error.__cause__ = within
    return error


@pytest.fixture
def monitor():
    return WorkerMonitor(Rows(), partial(too_many_failures, p=PretrainConfig()))


def test_rows_of_the_first_worker_reach_the_driver(monitor):
    monitor.after_report(None, [{"kimg": 1}, {}], None)
    assert monitor.rows == [{"kimg": 1}]


def test_an_error_of_ours_is_not_tried_again(monitor):
    ours = StorageError("there", "full", "make room")
    with pytest.raises(StorageError) as caught:
        monitor.after_exception(None, {1: RuntimeError("connection closed by peer"), 0: chained(RuntimeError(), ours)})
    assert caught.value is ours


def test_lost_workers_are_replaced_until_nothing_gets_on_any_more(monitor):
    for kimg in (1, 2, 3):
        for _ in range(MAX_FAILURES):
            monitor.after_exception(None, {0: RuntimeError("gone")})
        monitor.after_report(None, [{"kimg": kimg}], None)
    for _ in range(MAX_FAILURES):
        monitor.after_report(None, [{"kimg": 3}], None)  # what was there before is no progress
        monitor.after_exception(None, {0: RuntimeError("gone")})
    with pytest.raises(TrainingError, match=r"failed 4 times in a row: RuntimeError: gone \(repeat the command"):
        monitor.after_exception(None, {0: RuntimeError("gone")})


def test_workers_that_ray_kills_for_memory_end_with_the_way_out(monitor):
    killed = ray.exceptions.RayActorError(error_msg="2 worker(s) were killed due to the node running low on memory.")
    health = ray.train.v2._internal.exceptions.WorkerHealthCheckFailedError("unhealthy", killed)
    with pytest.raises(TrainingError, match=r"out of memory \(lower pretrain\.batch \(32\)"):
        for _ in range(MAX_FAILURES + 1):
            monitor.after_exception(None, {0: RuntimeError("connection closed by peer"), 1: health})


def test_the_cause_of_a_failed_training_is_the_error_of_ours_within():
    ours = WeightsError("there", "damaged")
    assert training_error(failed(ours)) is ours
    assert training_error(failed(chained(RuntimeError("task failed"), ours))) is ours
    assert training_error(ray.train.v2.api.exceptions.ControllerError(ours)) is ours


def test_without_one_of_ours_it_is_one_line():
    told = training_error(failed(chained(RuntimeError("task failed"), ValueError("first line\nsecond line"))))
    assert isinstance(told, TrainingError)
    assert str(told).startswith("training: failed: ValueError: first line (repeat")
    assert "\n" not in str(told)


def test_out_of_memory_on_a_device_is_no_lost_worker():
    errors = [
        MemoryError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ]
    for error in errors:
        told = pytest.raises(TrainingError, match=r"pretraining on cuda:1: out of memory \(lower pretrain")
        with told, memory_errors_explained(PretrainConfig(), torch.device("cuda:1")):
            raise error
    no_memory_error = pytest.raises(RuntimeError, match="shapes differ")
    with no_memory_error, memory_errors_explained(PretrainConfig(), torch.device("cpu")):
        raise RuntimeError("shapes differ")


def test_what_torch_itself_raises_is_known():
    explained = pytest.raises(TrainingError, match="out of memory")
    with explained, memory_errors_explained(PretrainConfig(), torch.device("cpu")):
        torch.empty(2**60, dtype=torch.uint8)
