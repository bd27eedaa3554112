"""The generation that these tests disturb: `flexpose generate` of a few shards, as a process."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

import numpy as np
import psutil

from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.shards import decode_shard
from flexpose_ray.dataset.verify import verify
from flexpose_ray.storage.base import Store

COUNT, SHARD_SIZE = 120, 20
SHARDS = COUNT // SHARD_SIZE
Contents = dict[str, bytes]


class Command:
    """``flexpose generate`` with the same arguments every time.

    Args:
        generator: its URI.
        out: that of the data set.
        env: environment of the command.
        count: poses in all.
    """

    def __init__(self, generator: str, out: str, env: dict[str, str], count: int = COUNT):
        settings = [f"generate.shard_size={SHARD_SIZE}", f"generate.batch={SHARD_SIZE}"]
        options = {"generator": generator, "out": out, "count": count, "seed": 3, "actors": 2}
        self.words = [str(Path(sys.executable).with_name("flexpose")), "generate"]
        self.words += [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self.words += [word for setting in settings for word in ("--set", setting)]
        self.env, self.told = env, ""

    def start(self) -> Command:
        """Run it in the background."""
        self.process = psutil.Popen(self.words, env=self.env, stdout=DEVNULL, stderr=PIPE, text=True)
        return self

    def end(self, timeout: float = 180) -> int:
        """Wait for its end; returns its exit status, and leaves what it told in ``told``."""
        try:
            self.told = self.process.communicate(timeout=timeout)[1]
        finally:
            with suppress(psutil.NoSuchProcess):
                self.process.kill()
        return self.process.returncode


def contents(store: Store) -> Contents:
    """All that two runs of one command have in common."""
    return {key: store.get(key) for key in store.list() if not key.startswith("log/")}


def assert_sound(store: Store, expected: Contents) -> None:
    """Every pose once, whole, and the very bytes of an undisturbed run; nothing is left over."""
    manifest = read_manifest(store)
    index = np.concatenate([decode_shard(store.get(entry.shard))["index"] for entry in manifest.shards])
    np.testing.assert_array_equal(index, np.arange(manifest.count))
    assert verify(store) == []
    found = contents(store)
    assert found.keys() == expected.keys()
    assert [key for key in found if found[key] != expected[key]] == []
