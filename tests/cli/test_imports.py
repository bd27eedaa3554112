"""Commands that compute nothing answer at once: they load neither Ray nor torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = """
import sys
from flexpose_ray.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*({"torch", "ray"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("command", "spared"),
    [("--help", {"ray", "torch"}), ("generate --help", {"ray", "torch"}), ("show nowhere", {"ray"})],
)
def test_what_a_command_does_not_load(command: str, spared: set[str], tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *command.split()], capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    assert not spared & set(ended.stdout.splitlines()[-1].split())
