"""Painted pictures as files that other tools read, and what a detector says of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.evaluation.translator import ANNOTATIONS, judge_pictures, translator_sheet, write_pictures
from flexpose_ray.models.translators import load_translator, save_translator
from flexpose_ray.networks.picture_reader import Reading
from flexpose_ray.networks.translator import PosePainter
from flexpose_ray.pictures.annotated import read_annotated
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.open import open_store
from flexpose_ray.studio.world import Studio, studio_poses
from flexpose_ray.training.pictures.translator_settings import TranslatorSettings

SETTINGS = TranslatorSettings(size=32, width=8, blocks=1, critic_width=8)


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    networks = SETTINGS.networks(15)
    uri = str(tmp_path_factory.mktemp("model"))
    save_translator(uri, PosePainter(networks["painter"], SETTINGS.alpha("body_15")), SETTINGS, {})
    return load_translator(uri)


def test_pictures_come_with_annotations_that_other_tools_read(translator, tmp_path):
    poses, seen = studio_poses(Studio("poses", 70)), []
    uri, painted = write_pictures(translator, poses, open_store(str(tmp_path)), lambda *at: seen.append(at))
    assert uri == f"{tmp_path}/annotations.json" and painted == 70 and seen == [(64, 70), (70, 70)]
    annotated = read_annotated(f"coco:{uri}", str(tmp_path), 32)
    assert len(annotated) == 70
    np.testing.assert_allclose(
        annotated.poses.keypoints_NJ2 - annotated.poses.keypoints_NJ2[:, :1],
        (poses.keypoints_NJ2 - poses.keypoints_NJ2[:, :1]), atol=0.02,
    )  # fmt: skip
    assert len(list((tmp_path / "images").iterdir())) == 70


def test_a_folder_that_holds_something_else_is_left_alone(translator, tmp_path):
    store, poses = open_store(str(tmp_path)), studio_poses(Studio("poses", 4))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"--out: .* holds notes\.txt"):
        write_pictures(translator, poses, store)
    (tmp_path / "notes.txt").unlink()
    write_pictures(translator, poses, store)
    for other in (poses.take(np.arange(3)), poses.take(np.array([0, 2, 1, 3]))):
        with pytest.raises(ConfigError, match="holds pictures by another translator or of other poses"):
            write_pictures(translator, other, store)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_killed_call_left_is_completed_to_the_same_bytes(translator, tmp_path):
    poses, store, counts = studio_poses(Studio("poses", 150)), open_store(str(tmp_path / "cut")), []
    whole = write_pictures(translator, poses, open_store(str(tmp_path / "whole")))
    assert whole == (f"{tmp_path}/whole/{ANNOTATIONS}", 150)

    def killed(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pictures(translator, poses, store, killed)
    assert not store.exists(ANNOTATIONS) and len(store.list("images/")) == 64
    store.delete("images/00000002.png")
    assert write_pictures(translator, poses, store, lambda *at: counts.append(at))[1] == 150 - 63
    assert counts == [(64, 150), (128, 150), (150, 150)]
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_finished_folder_is_left_as_it_is(translator, tmp_path, monkeypatch):
    poses, store = studio_poses(Studio("poses", 4)), open_store(str(tmp_path))
    uri, _ = write_pictures(translator, poses, store)
    monkeypatch.setattr(PosePainter, "paint", lambda *_: pytest.fail("painted again"))
    assert write_pictures(translator, poses, store) == (uri, 0)
    store.delete(ANNOTATIONS)
    assert write_pictures(translator, poses, store) == (uri, 0) and store.exists(ANNOTATIONS)


class Knowing:
    """A reader that knows the poses that were painted, a hundredth of the side aside."""

    alpha = Alpha("body_15")

    def __init__(self, poses: PoseSet):
        self.left = poses.keypoints_NJ2 + np.float32(0.01)

    def read(self, pictures_N3SS: np.ndarray) -> Reading:
        assert pictures_N3SS.shape[1:] == (3, 16, 16)
        found_NJ2, self.left = self.left[: len(pictures_N3SS)], self.left[len(pictures_N3SS) :]
        return Reading(found_NJ2, np.ones(found_NJ2.shape[:2], np.float32), np.zeros(len(found_NJ2), bool))


def test_the_score_is_a_detector_s_error_to_the_poses(translator):
    poses = studio_poses(Studio("poses", 70))
    detector = SimpleNamespace(reader=Knowing(poses), settings=SimpleNamespace(size=16))
    painted, mean = judge_pictures(translator, detector, poses)
    assert (painted["what"], mean["what"]) == ("painted", "mean pose")
    assert painted["error"] == pytest.approx(0.01 * 2**0.5, rel=1e-3) and mean["error"] > 3 * painted["error"]


def test_other_skeletons_are_refused(translator, tmp_path):
    faces = PoseSet(np.random.default_rng(0).random((3, 68, 2), np.float32), "face_68")
    with pytest.raises(ConfigError, match="poses of face_68, the translator's are body_15"):
        write_pictures(translator, faces, open_store(str(tmp_path)))
    detector = SimpleNamespace(reader=SimpleNamespace(alpha=Alpha("face_68")))
    with pytest.raises(DataError, match="it reads face_68, the poses are body_15"):
        judge_pictures(translator, detector, studio_poses(Studio("poses", 3)))


def test_the_sheet_shows_skeletons_above_pictures(translator):
    page = translator_sheet(translator, studio_poses(Studio("poses", 40)))
    assert page.shape == (2 * 2 * 32, 12 * 2 * 32, 3) and page.dtype == np.uint8
