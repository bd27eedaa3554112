"""SIGTERM stays the command's own when Ray has started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

DRIVER = """
import os, signal, threading, time
import ray
from flexpose_ray.engine.runtime.signals import kept_sigterm

def leave(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, leave)
with kept_sigterm():
    ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=80_000_000)
threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    ray.get(ray.remote(lambda: time.sleep(60)).remote())
except KeyboardInterrupt:
    print("left")
"""


@pytest.mark.slow
def test_a_driver_leaves_by_its_own_handler(ray_folder: str):
    env = os.environ | {"RAY_TMPDIR": ray_folder, "RAY_USAGE_STATS_ENABLED": "0"}
    env |= {"RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9"}
    env.pop("RAY_ADDRESS", None)
    ended = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, env=env)
    assert (ended.returncode, ended.stdout) == (0, "left\n"), ended.stderr
    assert "SIGTERM received" not in ended.stderr
