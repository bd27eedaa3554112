"""What the command line promises: help that teaches, JSON alone on standard output, and one line on bad input."""

from __future__ import annotations

import http.server
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ray.exceptions import NodeDiedError, RayTaskError

from flexpose_ray.cli import main
from flexpose_ray.cli.parser import build_parser
from flexpose_ray.dataset.commits import commit_shard
from flexpose_ray.dataset.layout import MODEL, plan_shards
from flexpose_ray.dataset.manifest import publish
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.models.generators import copy_model
from flexpose_ray.sources.pose_file import write_poses
from flexpose_ray.sources.read import read_source
from flexpose_ray.storage.open import open_store
from tests.patience import PATIENCE_S
from tests.run_specs import run_spec

FLEXPOSE = Path(sys.executable).with_name("flexpose")
VERBS = next(action.choices for action in build_parser()._actions if action.choices)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, tiny_generator: str) -> Path:
    """A folder of annotations, recipes, models and a data set, sound and unsound ones."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    poses_NJ2 = rng.random((60, 15, 2)) * 100
    tables = {
        "good": poses_NJ2,
        "two": poses_NJ2[:2],
        "one": poses_NJ2[:1],
        "empty": poses_NJ2[:0],
        "gaps": np.where(np.arange(15)[:, None] == 4, np.nan, poses_NJ2),
        "thirteen": poses_NJ2[:, :13],
        "faces": rng.random((60, 68, 2)) * 100,
    }
    for name, keypoints_NJ2 in tables.items():
        np.savez(folder / f"{name}.npz", keypoints=keypoints_NJ2)
    files = {
        "broken.json": '{"annotations": [',
        "deep.json": "[" * 100_000,
        "no_persons.json": '{"annotations": []}',
        "broken.yaml": "name: [a\n",
        "list.yaml": "- name\n",
        "date.yaml": "name: 2020-13-45\n",
        "typo.yaml": "name: mine\nsource: synthetic:rowing\npretrain:\n  kmg: 3\n",
        "file": "in the way of a folder",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    shutil.copytree(tiny_generator, folder / "damaged")
    weights = next((folder / "damaged").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    (folder / "generator").symlink_to(tiny_generator)
    for name in ("one", "two"):
        write_poses(f"{folder}/sets/{name}.parquet", read_source(f"table:{folder}/two.npz")[0])
    _make_data_set(folder / "samples", tiny_generator, poses_NJ2.astype(np.float32) / 100)
    return folder


def _make_data_set(folder: Path, generator: str, keypoints_NJ2: np.ndarray) -> None:
    store = open_store(folder)
    digest = copy_model(generator, store.child(MODEL))
    run = run_spec(seed=0, shard_size=20, generator=digest)
    run.pin(store)
    shards = plan_shards(len(keypoints_NJ2), 20)
    for shard, part_NJ2 in zip(shards, np.split(keypoints_NJ2, len(shards)), strict=True):
        index_N = np.arange(20) + 20 * shard.index
        data = encode_shard(index_N, part_NJ2, np.ones((20, 15), np.float32))
        commit_shard(store, shard.index, data, {"rows": 20})
    publish(store, run, shards)


@pytest.fixture(autouse=True)
def _here(inputs: Path, monkeypatch, tmp_path: Path) -> None:
    """Commands name ``in/...`` and write below an empty folder."""
    monkeypatch.chdir(tmp_path)
    Path("in").symlink_to(inputs)


def files(folder: Path | str = ".") -> dict[str, int]:
    """All files below with the time of their last change, and all folders."""
    return {str(path): path.is_file() and path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def refusal(capsys, command: str) -> str:
    """Run a command that must be refused; returns its one line."""
    before, below = files(), files("in/")
    status = main(shlex.split(command))
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1 and err.endswith("\n"), err
    assert err.startswith(f"flexpose {command.split()[0]}: ")
    assert (files(), files("in/")) == (before, below), "something was written"
    return err


def done(capsys, command: str) -> dict:
    """Run a command with --json that must succeed; returns its object."""
    assert main([*shlex.split(command), "--json"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1, out
    assert "{" not in err
    return json.loads(out)


PREPARE = "prepare --out new/set.parquet --source"
ADAPT = "adapt --generator in/generator --out new/adapted --layers w --set adapt.steps=2 --shots"
GENERATE = "generate --generator in/generator --count 10"
EVALUATE = "evaluate --samples in/samples --target"
PIPELINE = "pipeline quickstart --set generator=in/generator --set target.poses='synthetic:rowing?count=300'"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"{PREPARE} coco:in/nowhere.json", ["in/nowhere.json: no such file"]),
        (f"{PREPARE} coco:in/broken.json", ["in/broken.json, line 1, column 18: broken JSON"]),
        (f"{PREPARE} coco:in/deep.json", ["in/deep.json: damaged file"]),
        (f"{PREPARE} coco:in/no_persons.json", ["none of 0 annotations"]),
        (f"{PREPARE} coco:/proc/self/mem", ["Input/output error"]),
        (f"{PREPARE} coco:in", ["is a folder, expected a file"]),
        (f"{PREPARE} table:in/thirteen.npz", ["found 13 joints", "15 of body_15", "--mapping"]),
        (f"{PREPARE} table:in/gaps.npz", ["in/gaps.npz: no usable pose there: 60 joints missing"]),
        (f"{PREPARE} table:in/empty.npz", ["no usable pose there: it is empty"]),
        (f"{PREPARE} nothing:in/good.npz", ["KIND one of bvh, coco, ", "`flexpose formats` shows them"]),
        (f"{PREPARE} synthetic:dancing", ["choose one of rowing, cycling"]),
        (f"{PREPARE} coco:$NOT_SET/x.json", ["environment variable NOT_SET is not set"]),
        (f"{PREPARE} table:in/good.npz --mapping in/date.yaml", ["in/date.yaml: head of body_15 is not mapped"]),
        ("prepare --source table:in/good.npz --out set.csv", ["one .parquet file"]),
        ("prepare --source table:in/good.npz --out set.csv --dry-run", ["one .parquet file"]),
        ("prepare --source table:in/good.npz --out in/file/set.parquet", ["in/file/set.parquet"]),
        ("prepare --source table:in/good.npz --out /proc/nothing/set.parquet", ["/proc/nothing"]),
        ("prepare --source table:in/good.npz --out ftp://server/set.parquet", ["a folder or s3://bucket/prefix"]),
        ("prepare --source table:in/good.npz --out s3://me:secret@bucket/set.parquet", ["s3://***@", "AWS_ACCESS_KEY"]),
    ],
)
def test_bad_annotations_are_refused(capsys, command: str, told: list[str]):
    line = refusal(capsys, command)
    assert all(part in line for part in told), line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("pipeline nowhere", ["nowhere: no such recipe", "quickstart"]),
        ("pretrain in/nowhere.yaml", ["in/nowhere.yaml: cannot be read: No such file"]),
        ("pretrain ./in", ["cannot be read: Is a directory"]),
        ("pretrain in/broken.yaml", ["in/broken.yaml: broken YAML"]),
        ("pretrain in/date.yaml", ["in/date.yaml: broken YAML: month must be in 1..12"]),
        ("pretrain in/binary.yaml", ["in/binary.yaml: broken YAML"]),
        ("pretrain in/list.yaml", ["a recipe is a mapping of keys"]),
        ("pretrain in/typo.yaml", ["in/typo.yaml: unknown key pretrain.kmg", "kimg"]),
        ("pretrain coco --set nonsense", ["--set nonsense: expected key.path=value"]),
        ("pretrain coco --set pretrain.seed={1", ["--set pretrain.seed={1: the value is not valid YAML"]),
        ("pretrain coco --set name=2020-13-45", ["--set name=2020-13-45: the value is not valid YAML"]),
        ("pretrain coco --set name.x=1", ["name is a value, not a section"]),
        ("pretrain coco --set pretrain.kimg=-1", ["pretrain.kimg: should be greater than 0, found -1"]),
        ("pretrain coco --set pretrain.kimg=.inf", ["pretrain.kimg: should be a finite number"]),
        ("pretrain coco_adversarial --set pretrain.batch=30", ["batch 30 is not a multiple of 4 x workers"]),
        ("pretrain coco --set adapt.layers=3", ["adapt.layers: should be 'all', 'w' or", "a list, as in [3], found 3"]),
        ("pretrain coco --set adapt.layers=[0]", ["adapt.layers.0: should be greater than or equal to 1, found 0"]),
        ("pretrain coco --set pretrain.bf16=perhaps", ["pretrain.bf16", "or 'auto', found 'perhaps'"]),
        ("pretrain coco --set source=coco:in/nowhere.json", ["in/nowhere.json: no such file"]),
        ("pretrain coco --set source=table:in/faces.npz", ["face_68", "write skeleton: face_68"]),
        ("pretrain coco --set source=synthetic:rowing?count=20", ["split by group into 20 to train on and 0"]),
        ("pretrain quickstart", ["quickstart: no source to pretrain on"]),
        ("pretrain", ["recipe: expected exactly one", "flexpose pretrain quickstart"]),
        ("pretrain coco --config quickstart", ["recipe: expected exactly one"]),
        ("pipeline coco", ["coco: no target"]),
        (f"{PIPELINE} --set target.poses=synthetic:dancing", ["choose one of rowing, cycling"]),
        (f"{PIPELINE} --set target.shots_per_label=1", ["at least two poses, found 1"]),
        (f"{PIPELINE} --set target.exclude=[rowing]", ["no poses are left"]),
        (f"{PIPELINE} --set target.exclude=[running]", ["no label 'running'", "its labels: rowing"]),
        (f"{PIPELINE} --set target.poses=table:in/faces.npz", ["shots are face_68, the generator is body_15"]),
        (f"{PIPELINE} --set target.poses=synthetic:rowing?count=20", ["more than 5 wanted"]),
        (f"{PIPELINE} --set source=table:in/faces.npz", ["its poses are face_68, the recipe says body_15"]),
        (
            f"{PIPELINE} --set source=table:in/faces.npz --set skeleton=face_68",
            ["the source is face_68, the generator"],
        ),
        (f"{PIPELINE} --set adapt.layers=[9]", ["style layers 1 to 5"]),
        (f"{PIPELINE} --set generator=in", ["no model here"]),
        (f"{PIPELINE} --set generator=builtin:nope", ["builtin:nope: no such shipped generator"]),
        (
            f"{PIPELINE} --kind stylegan --set generator=null --set source=synthetic:rowing --set adapt.layers=[12]",
            ["1 to 9"],
        ),
        (f"{PIPELINE} --storage in/file/runs", ["in/file/runs/quickstart-"]),
        (f"{PIPELINE} --storage ''", ["the address is empty"]),
    ],
)
def test_bad_recipes_are_refused(capsys, command: str, told: list[str]):
    line = refusal(capsys, command)
    assert all(part in line for part in told), line


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"{ADAPT} table:in/one.npz", ["at least two poses, found 1"]),
        (f"{ADAPT} table:in/faces.npz", ["shots are face_68, the generator is body_15"]),
        (f"{ADAPT} in/good.npz", ["in/good.npz: not a readable Parquet file"]),
        (f"{ADAPT} in/nowhere.parquet", ["in/nowhere.parquet: is not there"]),
        (f"{ADAPT} table:in/two.npz --layers 9", ["style layers 1 to 5"]),
        (f"{ADAPT} table:in/two.npz --layers 0", ["adapt options: layers.0"]),
        (f"{ADAPT} table:in/two.npz --layers three", ["--layers: 'three' is not a list of layers"]),
        (f"{ADAPT} table:in/two.npz --paper --config quickstart", ["--paper: cannot be combined with --config"]),
        (f"{ADAPT} table:in/two.npz --set generate.count=5", ["--set generate: has no effect here", "adapt.KEY"]),
        (f"{ADAPT} table:in/two.npz --generator in/damaged", ["is damaged: its hash differs"]),
        (f"{ADAPT} table:in/two.npz --generator builtin:nope", ["builtin:nope: no such shipped generator"]),
        (f"{ADAPT} table:in/two.npz --generator in/samples", ["no model here"]),
        (f"{ADAPT} table:in/two.npz --out in/generator", ["holds generator weights"]),
        (f"{GENERATE} --out new/data --count 0", ["count: should be greater than or equal to 1, found 0"]),
        (f"{GENERATE} --out new/data --seed -1", ["seed: should be greater than or equal to 0"]),
        (f"{GENERATE} --out new/data --generator builtin:nope", ["builtin:nope: no such shipped generator"]),
        (f"{GENERATE} --out new/data --generator in/damaged", ["is damaged: its hash differs"]),
        (f"{GENERATE} --out in/file/data", ["in/file/data"]),
        (f"{GENERATE} --out /proc/nothing", ["/proc/nothing"]),
        (f"{GENERATE} --out in/samples", ["belongs to another run"]),
        (f"{EVALUATE} table:in/good.npz --samples in", ["no published data set here"]),
        (f"{EVALUATE} table:in/good.npz --samples in/file", ["in/file"]),
        (f"{EVALUATE} table:in/faces.npz", ["your data set", "68 joints"]),
        (f"{EVALUATE} table:in/good.npz --source table:in/good.npz --shots table:in/faces.npz", ["shots", "face_68"]),
        (f"{EVALUATE} table:in/good.npz --shots table:in/one.npz", ["at least two poses, found 1"]),
        (f"{EVALUATE} table:in/two.npz", ["more than 5 wanted"]),
        (f"{EVALUATE} table:in/good.npz --set evaluate.count=3", ["count: should be greater than or equal to 64"]),
        ("verify in", ["no published data set here"]),
        ("repair in", ["no published data set here"]),
        ("gc in", ["no published data set here"]),
        ("export in --format npz --out new", ["no published data set here"]),
        ("export in/samples --format npz --images --out new", ["npz files hold no pictures"]),
        ("export in/samples --format npz --out in/file/x", ["in/file"]),
        ("export in/samples --format onnx --out new", ["no model here"]),
        ("export in/generator --format coco --out new", ["no published data set here"]),
        ("export in/generator --format torchscript --size 9 --out new", ["--size: has no meaning for torchscript"]),
        ("import in/file --networks in/generator/model.json --source table:in/good.npz --out new", ["in/file"]),
        ("import in/none --networks in/generator/model.json --source table:in/good.npz --out new", ["in/none"]),
        ("show in", ["run.json", "is not there"]),
        ("report in", ["no run here"]),
    ],
)
def test_bad_models_and_data_sets_are_refused(capsys, command: str, told: list[str]):
    line = refusal(capsys, command)
    assert all(part in line for part in told), line


@pytest.mark.parametrize(
    "command", [f"{ADAPT} table:in/two.npz --out in/file/x", f"{ADAPT} table:in/two.npz --out /proc/x"]
)
def test_adaptation_finds_out_at_its_first_step_that_it_cannot_write(capsys, command: str):
    assert main([*shlex.split(command), "--set", "adapt.steps=1000000"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("flexpose adapt: ")


@pytest.mark.parametrize(
    "command", ["", "dance", "prepare", "generate --count ten", "verify x --set a=1", "prepare -x"]
)
def test_wrong_usage_is_status_2(capsys, command: str):
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    out, err = capsys.readouterr()
    assert out == "" and "usage: flexpose" in err and "error: " in err


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def s3_keys(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hidden-value")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    return monkeypatch


@pytest.mark.slow
def test_a_server_that_is_away_is_named_within_seconds(s3_keys):
    port = _closed_port()
    s3_keys.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    command = [FLEXPOSE, "prepare", "--source", "table:in/good.npz", "--out", "s3://bucket/set.parquet"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1 and f"127.0.0.1:{port}" in ended.stderr
    assert "AWS_ENDPOINT_URL" in ended.stderr and "hidden-value" not in ended.stderr


class _Forbids(http.server.BaseHTTPRequestHandler):
    def _refuse(self) -> None:
        body = b"<Error><Code>InvalidAccessKeyId</Code><Message>No such key</Message></Error>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = _refuse

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def forbidding_server(s3_keys):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forbids)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s3_keys.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


ON_S3 = [
    "prepare --source table:in/good.npz --out {}/set.parquet",
    "verify {}",
    "show {}",
    "repair {}",
    "gc {}",
    "export {} --format coco --out new",
    "report {}",
    "adapt --generator in/generator --shots table:in/two.npz --out {}/adapted --dry-run",
    "generate --generator in/generator --count 10 --out {}/data",
    "generate --generator {}/generator --out data",
    "evaluate --samples {}/data --target table:in/good.npz",
    f"{PIPELINE} --storage {{}}",
    f"{PIPELINE} --storage {{}} --dry-run",
]


@pytest.mark.parametrize("command", ON_S3)
def test_refused_credentials_are_told_and_not_shown(capsys, forbidding_server, command: str):
    line = refusal(capsys, command.format("s3://bucket/place"))
    assert "credentials refused (InvalidAccessKeyId)" in line and "s3://bucket/place" in line
    assert "hidden-value" not in line


def test_missing_credentials_are_told(capsys, s3_keys):
    s3_keys.delenv("AWS_ACCESS_KEY_ID")
    s3_keys.delenv("AWS_SECRET_ACCESS_KEY")
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in refusal(capsys, "verify s3://bucket/data")


@pytest.mark.parametrize("command", ON_S3)
def test_a_missing_bucket_is_told(capsys, s3_server: str, command: str):
    assert "there is no bucket 'no-such-bucket'" in refusal(capsys, command.format("s3://no-such-bucket/place"))


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches(capsys, verb: str):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    out, err = capsys.readouterr()
    assert err == "" and "--json" in out and "--dry-run" in out
    for line in out.partition("example:\n")[2].replace("\\\n", " ").strip().splitlines():
        example = shlex.split(line)
        assert example[:2] == ["flexpose", verb]
        assert build_parser().parse_args(example[1:]).verb == verb


def test_help_says_where_to_start(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert "flexpose pipeline quickstart" in out and all(verb in out for verb in VERBS)


def test_prepare(capsys):
    told = done(capsys, "prepare --source table:in/good.npz --out new/set.parquet")
    assert (told["read"], told["kept"], told["out"]) == (60, 60, "new/set.parquet")
    assert len(read_source("poses:new/set.parquet")[0]) == 60


def test_adapt_goes_on_from_what_is_there(capsys):
    command = "adapt --generator in/generator --shots table:in/two.npz --layers 1,3 --out new --set adapt.steps=2"
    card = done(capsys, command)
    assert card["settings"]["layers"] == [1, 3] and card["settings"]["steps"] == 2 and card["shots"] == 2
    before = files("new")
    assert done(capsys, command) == card
    assert files("new") == before
    assert "another" in refusal(capsys, f"{command} --layers all")


def test_the_papers_setting(capsys):
    card = done(capsys, f"{ADAPT.replace('--layers w ', '')} table:in/two.npz --paper")
    assert card["settings"]["layers"] == [3] and card["settings"]["loss"] == "perceptual"


def test_evaluate(capsys):
    result = done(capsys, f"{EVALUATE} table:in/good.npz --shots table:in/two.npz --source table:in/good.npz")
    assert {"fd", "mmd2", "baselines", "verdict"} <= set(result)
    assert set(result["baselines"]) == {"source_as_is", "shots_alone", "pose_mixup", "mean_shift", "coral"}


def test_networks_go_out_and_come_in_again(capsys):
    assert set(done(capsys, "export in/generator --format torchscript --out new")["files"]) == {
        "generator.pt", "beta.pt", "sampler.pt",
    }  # fmt: skip
    weights = next(Path("in/generator/").glob("*.safetensors"))
    command = f"import {weights} --networks in/generator/model.json --source table:in/good.npz --out mine"
    card = done(capsys, command)
    assert done(capsys, command)["digest"] == card["digest"]
    assert done(capsys, "export mine --format torchscript --out again")["digest"] == card["digest"]


def test_export(capsys):
    made = done(capsys, "export in/samples --format npz --out new")
    assert (made["count"], made["written"]) == (60, made["files"]) and Path("new/README.md").is_file()
    assert done(capsys, "export in/samples --format npz --out new")["written"] == 0
    assert "another format" in refusal(capsys, "export in/samples --format coco --out new")


PRETRAIN_TINY = (
    "pretrain coco_adversarial --set source=synthetic:rowing?count=200 --set pretrain.alpha.size=16 "
    "--set pretrain.beta.width=4 "
    "--set pretrain.network.base=64 --set pretrain.network.most=8 --set pretrain.eval_samples=64 "
    "--set pretrain.threads=1"
)


def test_many_targets_of_which_one_fails(capsys, ray_cluster):
    quick = "--layers w --set adapt.steps=2 --set adapt.batch=4"
    command = f"adapt --generator in/generator --shots-each in/sets --out new {quick}"
    rows = done(capsys, command)["targets"]
    assert [(row["name"], row["error"]) for row in rows] == [("one", None), ("two", None)]
    write_poses("sets/alone.parquet", read_source("table:in/one.npz")[0])
    assert main(shlex.split("adapt --generator in/generator --shots-each sets --out other")) == 1
    out = capsys.readouterr().out
    assert "alone: " in out and "at least two poses" in out and "0 of 1 targets adapted" in out


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("prepare --source table:in/good.npz --out new/set.parquet", "would be written to new/set.parquet"),
        (f"{PRETRAIN_TINY} --storage new --price 3", "kimg on 200 poses in new/"),
        ("adapt --generator in/generator --shots-each in/sets --out new", "2 targets in new: one, two"),
        (f"{ADAPT} table:in/two.npz", "would adapt in/generator to 2 shots in"),
        (f"{GENERATE} --out new/data --count 25000", "would sample 25,000 poses in 25 shards, 0 of which are there"),
        (f"{EVALUATE} table:in/good.npz", "would compare 60 poses of in/samples with 60 target poses"),
        ("verify in/samples --regenerate 9", "would hash 3 shards of"),
        ("repair in/samples", "nothing to repair"),
        ("gc in/samples", "0 objects would be removed from"),
        ("export in/samples --format coco --out new", "would write 60 poses as coco to"),
        ("export in/generator --format onnx --out new", "would write the networks of in/generator"),
        (
            "import in/file --networks in/generator/model.json --source table:in/good.npz --out new",
            "would make a model from in/file and 60 source poses in new",
        ),
        (f"{PIPELINE} --storage new", "12 shots, 160 held-out poses, 20,000 to sample"),
    ],
)
def test_a_dry_run_writes_nothing(capsys, command: str, told: str):
    before = files()
    assert main([*shlex.split(command), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert told in out and err == ""
    assert files() == before
    assert isinstance(done(capsys, f"{command} --dry-run"), dict)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("adapt --generator in/damaged --out new --shots table:in/two.npz", "is damaged"),
        ("adapt --generator in/generator --out new --shots table:in/one.npz", "at least two poses"),
        ("adapt --generator in/generator --out new --shots table:in/two.npz --layers 9", "style layers 1 to 5"),
        ("generate --generator in/damaged --out new", "is damaged"),
        ("evaluate --samples in --target table:in/good.npz", "no published data set here"),
        ("verify in", "no published data set here"),
        ("pretrain quickstart", "no source to pretrain on"),
        ("pipeline coco", "no target"),
        (f"{PIPELINE} --set adapt.layers=[9]", "style layers 1 to 5"),
    ],
)
def test_a_dry_run_checks(capsys, command: str, told: str):
    assert told in refusal(capsys, f"{command} --dry-run")


def run(command: str) -> subprocess.CompletedProcess:
    """The console script in a shell."""
    return subprocess.run(f"{FLEXPOSE} {command}", shell=True, capture_output=True, text=True)


def test_a_refusal_in_a_shell():
    """One for all of them, which are made in this process above."""
    ended = run("pretrain in/typo.yaml")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert "unknown key pretrain.kmg" in ended.stderr
    assert not Path("new").exists()


@pytest.mark.slow
def test_json_in_a_shell():
    ended = run(f"{ADAPT} table:in/two.npz --json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["uri"] == str(Path("new/adapted").absolute())
    assert "adapted model: " in ended.stderr and "adapt: 2 of 2 steps" in ended.stderr


def test_a_reader_that_leaves_early_causes_no_complaint():
    ended = run(f"{PREPARE} synthetic:rowing?count=20 | true")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_full_standard_output_is_told():
    ended = run(f"{PREPARE} synthetic:rowing?count=20 >/dev/full")
    assert ended.returncode == 2
    assert ended.stderr == "flexpose prepare: system: No space left on device\n"


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on():
    command = [FLEXPOSE, *shlex.split(ADAPT), "table:in/two.npz", "--set", "adapt.steps=1000000"]
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job would not
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeds
    ) as process:
        try:
            assert process.stderr.readline().startswith("adapt: 1 of")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.endswith("flexpose adapt: stopped; the same command continues from here\n") and "Traceback" not in err


def test_only_results_reach_standard_output(capsys, monkeypatch):
    def noisy(*_, **__):
        print("(raylet) A worker died")
        return {"count": 1, "shards": 1, "rendered": 0, "seconds": 1.0, "rejects": {}, "uri": "new"}

    monkeypatch.setattr("flexpose_ray.engine.generate.run.generate", noisy)
    assert done(capsys, f"{GENERATE} --out new")["count"] == 1


def test_what_ray_lost_is_told_and_a_fault_of_ours_is_shown(capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("flexpose_ray.engine.generate.run.generate", fail)
    error = NodeDiedError("node 17 is gone\nand with it its actors")
    assert main(shlex.split(f"{GENERATE} --out new")) == 2
    assert capsys.readouterr().err.startswith("flexpose generate: Ray: node 17 is gone and with it its actors (check")
    error = RayTaskError("sample", "Traceback ...", TypeError("two arguments"))
    with pytest.raises(RayTaskError):
        main(shlex.split(f"{GENERATE} --out new"))


def test_version():
    ended = run("--version")
    assert ended.returncode == 0 and ended.stdout.startswith("flexpose-ray ")
