"""The pictures of a recipe: read and checked first, learned from last, and not again."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from flexpose_ray.config.pictures import PicturesConfig
from flexpose_ray.engine.detect import stage
from flexpose_ray.engine.detect.stage import detect, read_recipe_pictures
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.models.detectors import load_detector
from flexpose_ray.sources.read import read_source
from flexpose_ray.storage.open import open_store
from flexpose_ray.studio.world import Studio, film, shots, studio_poses

SETTINGS = {"size": 16, "skeleton_size": 8, "width": 8, "batch": 8, "prepare_steps": 4, "steps": 3}
STUDIO = "synthetic:studio?part=pictures&count=48"


@pytest.fixture
def frames(tmp_path) -> str:
    """Three clips of the studio as files."""
    for clip in shots(studio := Studio("pictures", 48, size=256)):
        for i, picture_HW3 in enumerate(film(studio, clip).images_NHW3):
            path = tmp_path / "frames" / clip.name / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture_HW3[..., ::-1])
    return str(tmp_path / "frames")


def test_a_detector_is_trained_judged_and_let_read_the_pictures(without_ray, frames, tmp_path, monkeypatch):
    config = PicturesConfig(unlabelled=frames, test="synthetic:studio?part=test&count=32", settings=SETTINGS)
    pictures, store, rows = read_recipe_pictures(config, "body_15", "pictures"), open_store(str(tmp_path / "run")), []
    done = detect(config, pictures, studio_poses(Studio("poses", 60)), store, rows.append)
    assert (done["pictures"], done["clips"], done["poses"], done["side"], done["steps"]) == (48, 3, 60, 16, 3)
    assert [row["what"] for row in done["scores"]][:2] == ["detector", "mean pose"] and 0 < done["confidence"] < 1
    found = json.loads(store.get("predictions.json"))
    assert len(found["annotations"]) == 48 and found["images"][0]["file_name"].endswith("/00.png")
    poses, _ = read_source(f"coco:{store.uri}/predictions.json")
    assert len(poses) == 48
    assert cv2.imdecode(np.frombuffer(store.get("predictions.png"), np.uint8), 1).any()
    assert rows[-1]["kimg"] == pytest.approx(7 * 8 / 1000)
    monkeypatch.setattr(stage, "run_training", lambda *_, **__: pytest.fail("trained again"))
    assert detect(config, pictures, studio_poses(Studio("poses", 60)), store) == done


def test_annotations_of_the_pictures_are_kept_from_it(without_ray, tmp_path):
    """And nothing is predicted of what has no files."""
    config = PicturesConfig(unlabelled=STUDIO, settings=SETTINGS)
    pictures, store = read_recipe_pictures(config, "body_15", "pictures"), open_store(str(tmp_path))
    assert pictures.truth is not None and pictures.test is None
    done = detect(config, pictures, studio_poses(Studio("poses", 60)), store)
    assert done["scores"] == [] and done["predictions"] is None and not store.exists("predictions.json")


def test_a_few_annotated_pictures_join_the_training(without_ray, tmp_path):
    few = "synthetic:studio?part=pictures&count=6&frames=1"
    config = PicturesConfig(unlabelled=STUDIO, annotated=few, settings=SETTINGS)
    pictures, store, rows = read_recipe_pictures(config, "body_15", "pictures"), open_store(str(tmp_path)), []
    done = detect(config, pictures, studio_poses(Studio("poses", 60)), store, rows.append)
    assert rows[-1]["anchor"] > 0
    card = load_detector(done["detector"]).card
    assert (card["annotated_from"], card["annotated_pictures"]) == (few, 6)


@pytest.mark.parametrize(
    ("changes", "skeleton", "error", "named"),
    [
        ({"unlabelled": "nowhere"}, "body_15", DataError, "nowhere: no pictures"),
        ({"test": STUDIO}, "face_68", DataError, "pictures: its test pictures are body_15, its target is not"),
        ({"annotated": STUDIO}, "face_68", DataError, "its annotated pictures are body_15, its target is not"),
        ({"settings": {"size": 20}}, "body_15", ConfigError, "pictures of 20 and skeleton images of 16 pixels"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_start(changes, skeleton, error, named, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=named):
        read_recipe_pictures(PicturesConfig(**{"unlabelled": STUDIO, **changes}), skeleton, "pictures")
