"""How the scripts in ``jobs/`` call the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from flexpose_ray.cli.command import main


def run_job(script: str) -> NoReturn:
    """Run the verb that ``script`` is named after, with the options of this process, and exit with its status.

    Args:
        script: path of a file such as ``jobs/generate.py``.
    """
    sys.exit(main([Path(script).stem, *sys.argv[1:]]))
