"""A detector's training: Ray Train with pictures on disk against a bare loop with pictures in memory."""

from __future__ import annotations

import time
from statistics import median

import pytest
import torch

from flexpose_ray.engine.detect.run import PictureJob, run_training
from flexpose_ray.engine.detect.worker import REPORTS
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.pictures.read import read_pictures
from flexpose_ray.studio.world import Studio, studio_poses
from flexpose_ray.training.pictures.detector import DetectorTrainer
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.unlabelled import Unlabelled

PAIRS, STEPS = 3, 400
SETTINGS = DetectorSettings(prepare_steps=0, steps=STEPS)


def rate_of(trainer: DetectorTrainer) -> float:
    """Pictures a second over as many steps as a report of Ray Train's is of, so that both medians pass over pauses."""
    started, count = time.perf_counter(), STEPS // REPORTS
    for _ in range(count):
        trainer.step()
    return count * SETTINGS.batch / (time.perf_counter() - started)


@pytest.mark.bench
def test_ray_train_keeps_nine_tenths_of_a_bare_loop(tmp_path, capsys):
    """Pictures a second while it trains, its start aside."""
    pictures = read_pictures("synthetic:studio?count=3008&backdrop=no", SETTINGS.size)
    prior, ratios = studio_poses(Studio("poses", 4000)), []
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with ray_session(cpus=1), pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)  # one thread, as the bare loop
        for i in range(PAIRS):
            bare = DetectorTrainer("body_15", Unlabelled(pictures.pictures_N3SS[:], pictures.clip_N),
                                   prior.keypoints_NJ2, SETTINGS)  # fmt: skip
            loop = median(rate_of(bare) for _ in range(REPORTS))
            rows: list[dict] = []
            job = PictureJob("detector", pictures.pictures_N3SS, pictures.clip_N, prior, SETTINGS)
            run_training(job, str(tmp_path / str(i)), rows.append)
            ray = median(1000 * row["kimg_s"] for row in rows)
            ratios.append(ray / loop)
            with capsys.disabled():
                print(f"pictures/s: bare {loop:.0f}, Ray Train {ray:.0f}, ratio {ratios[-1]:.2f}")
    torch.set_num_threads(before)
    assert median(ratios) >= 0.9
