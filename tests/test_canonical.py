"""One value, one spelling."""

import pytest

from flexpose_ray.canonical import canonical_text


def test_canonical_text_has_one_spelling():
    assert (
        canonical_text({"b": [1, 2.5], "a": "ä"})
        == canonical_text({"a": "ä", "b": [1, 2.5]})
        == ('{"a":"\\u00e4","b":[1,2.5]}')
    )
    with pytest.raises(ValueError, match="JSON"):
        canonical_text(float("nan"))
