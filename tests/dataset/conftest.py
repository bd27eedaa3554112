"""What tests of several files here share."""

from __future__ import annotations

import pytest

from flexpose_ray.dataset.layout import MODEL
from flexpose_ray.models.generators import copy_model
from flexpose_ray.storage.base import Store
from tests.dataset.growth import grow
from tests.run_specs import run_spec


@pytest.fixture
def data_set(store: Store, tiny_generator: str) -> Store:
    """43 poses in five shards."""
    run_spec(generator=copy_model(tiny_generator, store.child(MODEL))).pin(store)
    grow(store, 43)
    return store
