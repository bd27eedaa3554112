"""Which steps of a training are reported and evaluated."""

import pytest

from flexpose_ray.config import PretrainConfig
from flexpose_ray.engine.train.worker import Schedule


@pytest.mark.parametrize(
    ("changes", "reported", "evaluated"),
    [
        ({"report_kimg": 0.02, "eval_kimg": 0.04}, [2, 4, 5, 6, 8, 10, 12, 13], [5, 10, 13]),
        ({"report_kimg": 1, "eval_kimg": 1}, [13], [13]),
        ({"report_kimg": 0.001, "eval_kimg": 1}, list(range(1, 14)), [13]),
    ],
)
def test_a_schedule_evaluates_the_last_step_and_reports_all_that_is_evaluated(changes, reported, evaluated):
    pretrain = PretrainConfig.model_validate({"kind": "stylegan", "kimg": 0.1, "batch": 8, **changes})
    schedule = Schedule.of(pretrain)
    steps = range(1, schedule.last + 1)
    assert [step for step in steps if schedule.evaluates_at(step)] == evaluated
    assert [step for step in steps if schedule.reports_at(step)] == reported
