"""The training loop: every step is run once, reported, and the learning rate falls to zero."""

import pytest
import torch

from flexpose_ray.training.loop import minimise, run_steps


def test_every_step_is_run_in_order_and_reported():
    numbers, rows = [], []
    run_steps(lambda number: numbers.append(number) or 10.0 - number, 3, rows.append)
    assert numbers == [0, 1, 2]
    assert [(row["step"], row["steps"], row["loss"]) for row in rows] == [(1, 3, 10.0), (2, 3, 9.0), (3, 3, 8.0)]
    assert all(row["steps_s"] > 0 for row in rows)


def test_it_is_adam_under_a_cosine():
    theirs, ours = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    target = torch.tensor([0.0, 2.0, 5.0])
    optimizer = torch.optim.Adam([theirs], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    for _ in range(20):
        optimizer.zero_grad()
        (theirs - target).square().sum().backward()
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr()[0] == pytest.approx(0)
    rows = []
    minimise(lambda step: (ours - target).square().sum(), [ours], 0.1, 20, rows.append)
    assert torch.equal(ours, theirs)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_groups_of_parameters_may_have_a_rate_of_their_own():
    slow, fast = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [slow]}, {"params": [fast], "lr": 0.5}]
    minimise(lambda step: (slow + fast - 9).square().sum(), groups, 0.01, 1, lambda row: None)
    assert (slow.item(), fast.item()) == (pytest.approx(0.01), pytest.approx(0.5))


def test_no_steps_change_nothing():
    weight = torch.nn.Parameter(torch.ones(1))
    minimise(lambda step: weight.sum(), [weight], 0.1, 0, lambda row: pytest.fail("reported"))
    assert weight.item() == 1
