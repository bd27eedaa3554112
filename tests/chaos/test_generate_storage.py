"""Storage that fails, fills up or dies under a generation, and two drivers at once: the same bytes at the end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flexpose_ray.dataset.commits import committed, read_commits
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.verify import verify
from flexpose_ray.storage.base import PATIENCE_S
from flexpose_ray.storage.local import TEMP_PREFIX
from flexpose_ray.storage.open import open_store
from tests.chaos.faults import HARMS, Away, Meeting, PowerCut, Weather
from tests.chaos.generation import COUNT, SHARD_SIZE, SHARDS, Contents, assert_sound, generation
from tests.proxy import Proxy
from tests.radosgw import Radosgw

pytestmark = pytest.mark.slow
PAGE = 4096  # in which tmpfs counts


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_two_drivers_at_once_make_one_data_set(
    where: str, proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str, tmp_path: Path
):
    uri = s3_uri if where == "s3" else str(tmp_path / "shared")
    proxy.hook = meeting = Meeting()
    drivers = [generation(tiny_generator, uri, {"AWS_ENDPOINT_URL": proxy.url}).start() for _ in range(2)]
    assert [driver.end() for driver in drivers] == [0, 0], [driver.told for driver in drivers]
    if where == "s3":
        assert meeting.commits == 2 * SHARDS, "one of them had nothing to do"
    assert_sound(open_store(uri), undisturbed)


@pytest.mark.parametrize("first", [0, 3])
def test_a_fifth_of_the_calls_fails(first: int, proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str):
    proxy.hook = weather = Weather(first)
    command = generation(tiny_generator, s3_uri, {"AWS_ENDPOINT_URL": proxy.url})
    assert command.start().end() == 0, command.told
    assert set(weather.harmed) == set(HARMS)
    assert_sound(open_store(s3_uri), undisturbed)


def test_storage_may_be_away_while_the_generator_is_loaded(
    proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str
):
    command = generation(tiny_generator, s3_uri, {"AWS_ENDPOINT_URL": proxy.url})
    proxy.hook = away = Away(PATIENCE_S + 3, lambda process: process != command.process)
    assert command.start().end() == 0, command.told
    assert away.end is not None
    assert_sound(open_store(s3_uri), undisturbed)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Gives a disk of so many bytes, and another size to the same disk later."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()

    def resize(size: int) -> Path:
        remount = "remount," if disk.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{remount}size={size}", "tmpfs", str(disk)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no small disk possible here: {done.stderr.strip()}")
        return disk

    yield resize
    if disk.is_mount():
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("full_at", ["model/", "shards/|commits/"])
def test_a_full_disk_is_told_and_room_made_later_ends_the_run(
    full_at: str, undisturbed: Contents, tiny_generator: str, full_disk: Callable[[int], Path]
):
    pages = {key: -(-len(data) // PAGE) for key, data in undisturbed.items()}
    size = pages["run.json"] + sum(n for key, n in pages.items() if key.startswith("model/"))
    size += 5 if full_at != "model/" else -1
    disk = full_disk(size * PAGE)
    store, command = open_store(disk / "set"), generation(tiny_generator, str(disk / "set"), {})
    assert command.start().end() == 2
    *progress, told = command.told.splitlines()
    assert re.search(
        rf"^flexpose generate: {disk}/set/({full_at}).*: No space left on device \(free some space", told
    ), command.told
    assert all(re.search(r"\d of \d+ poses", line) for line in progress), command.told
    assert store.list("manifests/") == [], "readers see a data set that is not whole"
    assert not [path for path in disk.rglob("*") if path.name.startswith(TEMP_PREFIX)]
    for commit in read_commits(store, sorted(committed(store))):
        assert store.get(commit.shard) == undisturbed[commit.shard], "committed, but not whole"

    full_disk(64 * 2**20)
    assert command.start().end() == 0, command.told
    assert_sound(store, undisturbed)


@pytest.fixture
def real_uri(radosgw_uri: str, radosgw: Radosgw, proxy: Proxy) -> Iterator[str]:
    """A place on the real server, to which the proxy leads for this test."""
    proxy.address = urlsplit(radosgw.url).netloc
    yield radosgw_uri
    if not radosgw.daemons:  # the test failed before it had started them again
        radosgw.restart()


def test_a_data_set_grows_on_a_real_server(proxy: Proxy, undisturbed: Contents, tiny_generator: str, real_uri: str):
    store = open_store(real_uri)
    for count in (COUNT // 2 - 3, COUNT):  # the first one ends with a short shard
        command = generation(tiny_generator, real_uri, {"AWS_ENDPOINT_URL": proxy.url}, count)
        assert command.start().end() == 0, command.told
        assert verify(store) == []
    manifest = read_manifest(store)
    assert manifest.version == 2 and manifest.count == COUNT
    short = ShardId((COUNT // 2 - 3) // SHARD_SIZE, (COUNT // 2 - 3) % SHARD_SIZE)
    assert committed(store) == {short, *(ShardId(i, SHARD_SIZE) for i in range(SHARDS))}
    shards = {key: data for key, data in undisturbed.items() if key.startswith(("shards/", "commits/", "model/"))}
    assert {key: store.get(key) for key in shards} == shards


def test_a_server_that_dies_under_a_run_and_comes_back(
    proxy: Proxy, radosgw: Radosgw, undisturbed: Contents, tiny_generator: str, real_uri: str
):
    proxy.hook = cut = PowerCut(radosgw)
    command = generation(tiny_generator, real_uri, {"AWS_ENDPOINT_URL": proxy.url}).start()
    assert cut.fell.wait(60), command.told
    assert cut.refused.wait(60), "nobody asked for what was away"
    assert command.runs(), "ended while its storage was away"
    radosgw.restart()
    assert command.end() == 0, command.told
    assert_sound(open_store(real_uri), undisturbed)
