"""Pictures on disk are indexed as an array is."""

import numpy as np
import pytest

from flexpose_ray.pictures import rows as module
from flexpose_ray.pictures.rows import PictureRows


@pytest.fixture
def both() -> tuple[PictureRows, np.ndarray]:
    array = np.random.default_rng(0).integers(0, 256, (23, 3, 4, 4), np.uint8)
    rows = PictureRows(4)
    rows.append(array[:10])
    rows.append(array[10:].transpose(0, 1, 3, 2).transpose(0, 1, 3, 2))
    return rows, array


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(None), slice(3, 9), slice(None, None, 2), slice(9, 3, -1), slice(30, 40), np.array([5, 2, 2, 22])],
)
def test_an_index_gives_what_it_gives_of_an_array(both, index):
    rows, array = both
    np.testing.assert_array_equal(rows[index], array[index])


def test_as_a_whole_it_is_the_array(both):
    rows, array = both
    np.testing.assert_array_equal(np.asarray(rows), array)
    assert len(rows) == 23 and rows.shape == array.shape
    with pytest.raises(IndexError):
        rows[23]


def test_blocks_are_all_of_it_in_order(both, monkeypatch):
    rows, array = both
    monkeypatch.setattr(module, "BLOCK", 10)
    assert [len(block) for block in rows.blocks()] == [10, 10, 3]
    np.testing.assert_array_equal(np.concatenate([*rows.blocks()]), array)
