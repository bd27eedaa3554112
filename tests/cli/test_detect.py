"""From pictures and poses to annotated pictures, by the command line alone."""

import json

import cv2
import numpy as np
import pytest

from flexpose_ray.cli import main
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import poses_to_bytes
from flexpose_ray.sources.read import read_source

PICTURES = "synthetic:studio?count=48&backdrop=no"
SMALL = ["--set=size=32", "--set=width=8", "--set=batch=4", "--set=prepare_steps=5", "--set=steps=5"]


def flexpose(capsys, *words):
    code = main([*map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def model(without_ray, capsys, tmp_path):
    words = ["--pictures", PICTURES, "--prior", "synthetic:studio?count=100", *SMALL, "--out", tmp_path / "m"]
    code, out, err = flexpose(capsys, "detect", "train", *words)
    assert code == 0, err
    assert out.startswith("trained on 48 pictures of 32 px (0 unreadable), 100 poses\n") and "kimg/s" in err
    return tmp_path / "m"


def test_eval_and_predict_use_what_train_wrote(model, capsys, tmp_path):
    source = "synthetic:studio?part=test&count=48"
    code, out, _ = flexpose(capsys, "detect", "eval", "--detector", model, "--source", source)
    assert code == 0 and out.splitlines()[1].startswith("detector") and "mean pose" in out
    code, out, _ = flexpose(capsys, "detect", "eval", "--detector", model, "--source", source, "--json")
    assert json.loads(out)[0]["count"] == 48
    for i in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"in/{i}.jpg"), np.full((50, 40, 3), 60 * i, np.uint8))
    (tmp_path / "in/3.jpg").write_bytes(b"broken")
    words = ["detect", "predict", "--detector", model, "--pictures", tmp_path / "in", "--sheet", tmp_path / "s.png"]
    code, _, err = flexpose(capsys, *words, "--out", tmp_path / "f.json")
    assert code == 2 and "1 of 4 pictures cannot be read: 3.jpg: no picture" in err and "--max-bad 0.25" in err
    code, out, _ = flexpose(capsys, *words, "--out", tmp_path / "f.json", "--max-bad", 0.25, "--correct-sides")
    assert code == 0 and "3 pictures read into" in out and "1 unreadable: 3.jpg: no picture" in out
    assert len(read_source(f"coco:{tmp_path}/f.json")[0]) == 3
    assert cv2.imread(str(tmp_path / "s.png")).shape == (160, 480, 3)


def test_several_priors_are_one(without_ray, capsys, tmp_path):
    main(["prepare", "--source", "synthetic:studio?count=30", "--out", f"{tmp_path}/a.parquet"])
    words = ["--pictures", PICTURES, "--prior", f"{tmp_path}/a.parquet", "--prior", "synthetic:rowing?count=20"]
    capsys.readouterr()
    code, out, _ = flexpose(capsys, "detect", "train", *words, *SMALL, "--out", tmp_path / "m", "--dry-run")
    assert code == 0 and "48 pictures of 32 px (0 unreadable), 50 poses" in out and "  steps=5\n" in out
    assert not (tmp_path / "m").exists()


def test_a_twin_learns_from_annotations(without_ray, capsys, tmp_path):
    words = ["detect", "train", "--pictures", ".", "--annotations", PICTURES, *SMALL, "--out", tmp_path / "twin"]
    code, out, err = flexpose(capsys, *words, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["pictures"], found["poses"]) == (48, 48) and "points" in found
    source = "synthetic:studio?part=test&count=32"
    code, out, _ = flexpose(capsys, "detect", "eval", "--detector", tmp_path / "twin", "--source", source)
    assert code == 0 and out.splitlines()[1].startswith("detector")
    for both in ([], ["--prior", "synthetic:studio", "--annotations", PICTURES]):
        code, _, err = flexpose(capsys, "detect", "train", "--pictures", ".", *both, "--out", tmp_path / "m")
        assert code == 2 and "--prior: give either poses or annotations" in err


def test_a_few_annotated_pictures_join_the_others(without_ray, capsys, tmp_path):
    words = ["detect", "train", "--pictures", PICTURES, "--prior", "synthetic:studio?count=100", *SMALL]
    few = ["--annotated", "synthetic:studio?part=poses&count=12&frames=1&backdrop=no", "--out", tmp_path / "m"]
    code, out, err = flexpose(capsys, *words, *few, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["pictures"], found["poses"], found["annotated"]) == (48, 100, 12) and found["anchor"] > 0
    code, out, _ = flexpose(capsys, *words, *few, "--dry-run")
    assert code == 0 and "100 poses, 12 annotated pictures" in out
    code, _, err = flexpose(capsys, *words, "--out", tmp_path / "m")
    assert code == 2 and "holds a detector of other pictures, poses or settings" in err


def test_annotated_pictures_that_do_not_fit_are_refused(capsys, tmp_path):
    nobody = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person", "keypoints": []}]}
    (tmp_path / "none.json").write_text(json.dumps(nobody))
    faces = PoseSet(np.random.default_rng(0).random((20, 68, 2), np.float32), "face_68")
    (tmp_path / "faces.parquet").write_bytes(poses_to_bytes(faces))
    words = ["--pictures", PICTURES, "--prior", tmp_path / "faces.parquet"]
    for few, named in (
        (f"coco:{tmp_path}/none.json", "none.json"),
        ("synthetic:studio?count=12&frames=1", "annotated pictures: they are body_15, the poses to learn from "),
        ("synthetic:rowing?count=12", "does not name the pictures of its poses"),
    ):
        code, out, err = flexpose(capsys, "detect", "train", *words, "--annotated", few, "--out", tmp_path / "m")
        assert (code, out) == (2, "") and named in err and err.count("\n") == 1
    twin = ["--pictures", ".", "--annotations", PICTURES, "--annotated", PICTURES, "--out", tmp_path / "m"]
    code, _, err = flexpose(capsys, "detect", "train", *twin)
    assert code == 2 and "--annotated: the supervised twin sees all poses" in err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--set", "stepz=5"], "--set: unknown setting stepz (choose one of size, skeleton_size"),
        (["--set", "steps"], "--set: 'steps' is no setting (write KEY=VALUE, as steps=4000)"),
        (["--set", "steps=many"], "--set: steps is 'many' (give int)"),
        (["--set", "size=60"], "pictures of 60 and skeleton images of 16 pixels"),
        (["--max-bad", "2"], "--max-bad: 2.0 is no share"),
        (["--workers", "3"], "3 workers cannot share a batch of 16"),
        (["--masks", "nowhere"], "nowhere: no masks"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_starts(capsys, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    given = ["--pictures", tmp_path, "--prior", "synthetic:studio?count=20", "--out", "m"]
    code, out, err = flexpose(capsys, "detect", "train", *given, *words)
    assert (code, out) == (2, "") and err.startswith("flexpose detect: ") and named in err
    assert err.count("\n") == 1


def test_files_of_predictions_have_their_names(model, capsys):
    for option, name, kind in (("--out", "a.txt", ".json"), ("--sheet", "a.jpg", ".png")):
        words = ["detect", "predict", "--detector", model, "--pictures", PICTURES, "--out", "a.json", option, name]
        code, _, err = flexpose(capsys, *words)
        assert code == 2 and f"{option}: '{name}' is no {kind} file" in err
