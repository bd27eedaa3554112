"""The contract of stores is kept by a real S3 server too."""

from __future__ import annotations

import pytest

from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

GROUP = pytest.mark.xdist_group("radosgw")  # one server in one process


@pytest.fixture(params=["folder", "s3", pytest.param("radosgw", marks=[pytest.mark.slow, GROUP])])
def store(request, tmp_path) -> Store:
    """The same empty store as a folder, as a bucket of a simulated server, and of a real one."""
    uris = {"s3": "s3_uri", "radosgw": "radosgw_uri"}
    return open_store(request.getfixturevalue(uris[request.param]) if request.param in uris else tmp_path / "store")
