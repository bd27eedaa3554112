"""What tests of several rooms share: an S3 server over HTTP, stores of both kinds, one Ray."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest
import ray
import torch
import yaml
from hypothesis import HealthCheck, settings
from moto.server import ThreadedMotoServer

from flexpose_ray.config import Recipe, parse
from flexpose_ray.dataset.commits import commit_shard
from flexpose_ray.dataset.layout import plan_shards
from flexpose_ray.dataset.manifest import publish
from flexpose_ray.dataset.pictures import draw_images
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.engine.train.run import pretrain
from flexpose_ray.models.generators import load_generator, save_adapted, save_generator
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests import here
from tests.chaos.pretraining import RECIPE
from tests.radosgw import Radosgw, missing_binaries
from tests.run_specs import run_spec
from tests.shared_ray import SharedRay

MakeDataset = Callable[..., np.ndarray]
STRIDE = 2**40
BENCH = Path(__file__).parent / "bench"
GROUPS = {"finished_run": "pipeline", "nodes": "nodes", "shared_ray": "ray", "radosgw": "radosgw"}  # by fixture
ORDER = ("ray", "multinode", "nodes", "pipeline", "radosgw")  # each in one piece, also where one process runs all
SLOW_FIXTURES = {*GROUPS, "ray_folder"}


# The same examples in every run; more of them, and others, with `--hypothesis-profile=search`.
fuzzing = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, max_examples=60, database=None, **fuzzing)
settings.register_profile("search", max_examples=1500, database=None, **fuzzing)
settings.load_profile("same")


def pytest_configure() -> None:
    """One torch thread, as every worker of ours has: two round otherwise, and spin on a busy machine. And Ray's workers
    as urgent as the tests that wait for them: by default other tests starve them."""
    torch.set_num_threads(1)
    os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by the fixtures it uses, and keep together what shares a costly one: one process runs it."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SLOW_FIXTURES:
            item.add_marker(pytest.mark.slow)
        if item.path.is_relative_to(BENCH):
            item.add_marker(pytest.mark.bench)
        shared = [group for fixture, group in GROUPS.items() if fixture in fixtures]
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(shared[0] if shared else item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: _place(item.get_closest_marker("xdist_group").args[0]))


def _place(group: str) -> int:
    return ORDER.index(group) if group in ORDER else len(ORDER)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse versions of pytest and xdist that do not keep groups together: each process would start every server."""
    if session.config.getoption("loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist groups no tests under this pytest: pip install -c constraints.txt pytest")


@pytest.fixture(autouse=True)
def _no_ray_in_fast_tests(request, monkeypatch) -> None:
    """`make test-fast` starts no Ray: what starts one is marked as slow."""
    if request.node.get_closest_marker("slow") is None and request.node.get_closest_marker("bench") is None:
        monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was started: mark this test as slow"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Number bytes instead of naming a test by them: gzip's hold the time, and workers would collect other tests."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def s3_server():
    """URL of an S3 server on loopback; every process that is started from here on talks to it."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as env:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            env.delenv(name, raising=False)
        env.setenv("AWS_ENDPOINT_URL", url)
        env.setenv("AWS_ACCESS_KEY_ID", "nobody")
        env.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        env.setenv("AWS_DEFAULT_REGION", "us-east-1")
        env.setenv("AWS_EC2_METADATA_DISABLED", "true")
        env.setenv("AWS_CONFIG_FILE", "/dev/null")
        env.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        yield url
    server.stop()


@pytest.fixture
def s3_uri(s3_server: str) -> str:
    """An empty place in a bucket of its own."""
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/place"


@pytest.fixture(scope="session")
def radosgw(s3_server: str) -> Iterator[Radosgw]:
    """A real S3 server beside the simulated one; it takes the same credentials."""
    if missing := missing_binaries():
        pytest.skip(f"no {', '.join(missing)}: install radosgw, ceph-mon and ceph-osd")
    with tempfile.TemporaryDirectory(prefix="fx-rgw-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = Radosgw(Path(folder), os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        yield server
        server.kill()


@pytest.fixture
def radosgw_uri(radosgw: Radosgw, monkeypatch) -> str:
    """Like ``s3_uri`` on the real server; for this test and the processes that it starts."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", radosgw.url)
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/place"


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def store(request, tmp_path) -> Store:
    """The same empty store as a folder and as a bucket of a simulated server; tests/storage has a real server too."""
    return open_store(tmp_path / "store" if request.param == "folder" else request.getfixturevalue("s3_uri"))


@pytest.fixture(scope="session")
def shared_ray(s3_server: str) -> Iterator[SharedRay]:
    """For fixtures that outlive a test and start it themselves; its workers know the S3 server."""
    shared = SharedRay()
    yield shared
    shared.end()


@pytest.fixture
def ray_cluster(shared_ray: SharedRay) -> None:
    """The Ray of the tests runs."""
    shared_ray.start()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End Ray after the last test in a row that uses it: it and the actors of killed drivers never idle for nothing."""
    if (shared := item.funcargs.get("shared_ray")) and "shared_ray" not in getattr(nextitem, "fixturenames", ()):
        shared.end()


@pytest.fixture
def without_ray() -> Iterator[None]:
    """Commands of this test work in its own process."""
    with here.without_ray():
        yield


@pytest.fixture
def joins_ray(ray_cluster) -> dict[str, str]:
    """What a command has in its environment to join the Ray of the tests."""
    return {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}


@pytest.fixture(scope="session")
def undisturbed_training(tmp_path_factory) -> dict:
    """What the training of ``tests.chaos.pretraining`` leaves where nothing disturbs it."""
    with here.without_ray():
        return pretrain(parse(Recipe, RECIPE, "test"), str(tmp_path_factory.mktemp("undisturbed-training")))


@pytest.fixture(scope="session")
def tiny_generator(tmp_path_factory) -> str:
    """URI of an untrained generator that samples fast."""
    torch.manual_seed(0)
    uri = str(tmp_path_factory.mktemp("generator"))
    alpha = Alpha(size=16)
    parts = Generator(16, base=64, most=16), Discriminator(16, base=64, most=16), Beta(width=4)
    source_NJ2 = torch.rand(100, 15, 2).numpy()
    limits = PoseLimits.of(source_NJ2, alpha.skeleton)
    save_generator(uri, Networks(*parts, alpha, moments(source_NJ2)), limits, {})
    return uri


@pytest.fixture(scope="session")
def tiny_adapted(tiny_generator: str, tmp_path_factory) -> str:
    """URI of a model of three shots on top of ``tiny_generator``; its transfer is still the identity."""
    uri, base = str(tmp_path_factory.mktemp("adapted")), load_generator(tiny_generator)
    shots_SJ2 = np.random.default_rng(0).random((3, 15, 2)).astype(np.float32)
    save_adapted(uri, tiny_generator, base.digest, Transfer.for_generator(base.generator, "w"), shots_SJ2, {})
    return uri


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[str]:
    """Where processes of a test keep what their Ray writes; a socket's path has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="fx-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny_generator: str, tmp_path_factory) -> str:
    """File of a recipe for a whole run of seconds."""
    recipe = {
        "name": "tiny",
        "generator": tiny_generator,
        "target": {"poses": "synthetic:rowing?count=300", "shots_per_label": 4},
        "adapt": {"layers": "w", "blend": False, "steps": 60, "batch": 8, "mixup": 20},
        "generate": {"count": 990, "shard_size": 25},
        "evaluate": {"count": 64},
    }
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return str(file)


@pytest.fixture(scope="session")
def finished_run(tiny_recipe: str, ray_folder: str, tmp_path_factory) -> subprocess.CompletedProcess:
    """``flexpose pipeline`` from start to end, as a user's command; its folder is in the JSON that it printed."""
    storage = tmp_path_factory.mktemp("runs")
    command = [Path(sys.executable).with_name("flexpose"), "pipeline", tiny_recipe, "--storage", storage, "--json"]
    env = os.environ | {"RAY_TMPDIR": ray_folder, "OMP_NUM_THREADS": "1"}  # as in this process: bytes depend on it
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.fixture
def make_dataset() -> MakeDataset:
    """``make_dataset(store, count, images=None, skeleton="body_15")`` publishes it and returns its keypoints_NJ2.

    Shards have ten poses. Every seventh pose stands in for a rejected one, whose address it has no more.
    """

    def make(store: Store, count: int, images: str | None = None, skeleton: str = "body_15") -> np.ndarray:
        alpha = Alpha(skeleton, size=16)
        n_joints = alpha.skeleton.n_joints
        keypoints_NJ2 = np.random.default_rng(0).uniform(0.1, 0.9, (count, n_joints, 2)).astype(np.float32)
        index_N = np.arange(count)
        index_N[::7] += STRIDE
        run = run_spec(images, alpha)
        run.pin(store)
        shards = plan_shards(count, 10)
        for shard in shards:
            rows = slice(shard.index * 10, shard.index * 10 + shard.rows)
            drawn = draw_images(keypoints_NJ2[rows], alpha, images) if images else None
            confidence_NJ = np.full((shard.rows, n_joints), 0.5)
            data = encode_shard(index_N[rows], keypoints_NJ2[rows], confidence_NJ, drawn)
            commit_shard(store, shard.index, data, {"rows": shard.rows})
        publish(store, run, shards)
        return keypoints_NJ2

    return make


@pytest.fixture
def real_data() -> Path:
    """Folder of the real sets; the test is skipped without one."""
    folder = os.environ.get("FLEXPOSE_DATA")
    if not folder:
        pytest.skip("FLEXPOSE_DATA, the folder of the real data sets, is not set")
    return Path(folder)
