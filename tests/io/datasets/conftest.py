"""The real data sets, where they are at hand."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """Folder of the real sets; the test is skipped without one."""
    folder = os.environ.get("FLEXPOSE_DATA")
    if not folder:
        pytest.skip("FLEXPOSE_DATA, the folder of the real data sets, is not set")
    return Path(folder)
