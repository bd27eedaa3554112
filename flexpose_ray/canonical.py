"""One spelling of a value, for hashes and for files that have to come out byte for byte the same."""

from __future__ import annotations

import json
from typing import Any


def canonical_text(value: Any) -> str:
    """JSON with sorted keys, no spaces and ASCII only; ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
