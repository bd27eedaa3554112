"""The layers of the package: a lower one never imports a higher one."""

import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    floor = importlib.import_module("flexpose_ray." + name)
    for module in pkgutil.walk_packages(floor.__path__, floor.__name__ + "."):
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"ray", "pyarrow", "boto3", "botocore"}))
"""


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)


def test_the_contracts_between_layers_are_kept():
    found = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_method_itself_loads_no_cluster_table_or_store():
    found = run(sys.executable, "-c", IMPORT_ALL, "pose", "judging", "networks", "training", "methods")
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == []
