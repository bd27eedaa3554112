"""Distances between sets for training: zero where they should be, and downhill leads there."""

import numpy as np
import pytest
import torch

from flexpose_ray.training.losses import energy_distance, energy_pull


def cloud(count, seed=0, mean=0.5, spread=0.1):
    values = np.random.default_rng(seed).normal(mean, spread, (count, 15, 2))
    return torch.as_tensor(values.astype(np.float32))


def test_energy_distance_is_the_textbook_s():
    a, b = cloud(7), cloud(5, 1, 0.6)
    apart = np.mean([(x - y).norm().item() for x in a for y in b])
    within = [
        np.mean([(s[i] - s[j]).norm().item() for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (a, b)
    ]
    assert energy_distance(a, b).item() == pytest.approx(2 * apart - sum(within), abs=1e-5)
    assert energy_distance(b, a).item() == pytest.approx(energy_distance(a, b).item(), abs=1e-6)


def test_energy_distance_of_equal_distributions_is_zero_in_expectation():
    values = [energy_distance(cloud(16, 2 * i), cloud(12, 2 * i + 1)).item() for i in range(300)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error < 0.01
    assert min(values) < 0 < max(values)
    shifted = [energy_distance(cloud(16, 2 * i), cloud(12, 2 * i + 1, 0.55)).item() for i in range(50)]
    narrow = [energy_distance(cloud(16, 2 * i), cloud(12, 2 * i + 1, spread=0.02)).item() for i in range(50)]
    assert min(np.mean(shifted), np.mean(narrow)) > 10 * error


def test_downhill_leads_to_the_target():
    target = cloud(80, 1, 0.62, 0.05)
    shift, scale = torch.zeros(15, 2, requires_grad=True), torch.ones(15, 2, requires_grad=True)
    base = cloud(64)
    optimizer = torch.optim.Adam([shift, scale], lr=0.02)
    for _ in range(150):
        value = energy_distance((base - 0.5) * scale + 0.5 + shift, target)
        optimizer.zero_grad()
        value.backward()
        assert shift.grad.isfinite().all()
        optimizer.step()
    assert shift.mean().item() == pytest.approx(0.12, abs=0.02)
    assert scale.mean().item() == pytest.approx(0.5, abs=0.15)


def test_energy_gradient_is_finite_where_poses_coincide():
    a = cloud(4)
    a[1] = a[0]
    a.requires_grad_()
    energy_distance(a, a.detach().clone()).backward()
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("world", [1, 2, 4])
def test_workers_pulls_average_to_the_gradient_of_the_whole_distance(world):
    everyone, wanted = cloud(16), cloud(30, 1, 0.6)
    whole = everyone.clone().requires_grad_()
    energy_distance(whole, wanted).backward()
    pulls = []
    for share in everyone.chunk(world):
        ours = share.clone().requires_grad_()
        energy_pull(ours, everyone, wanted).backward()
        pulls.append(ours.grad / world)
    torch.testing.assert_close(torch.cat(pulls), whole.grad, rtol=1e-4, atol=1e-6)
