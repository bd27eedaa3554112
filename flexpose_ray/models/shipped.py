"""The generators that are shipped with the package: ``builtin:NAME``, a flow and StyleGANs of the same source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from flexpose_ray.errors import ConfigError

BUILTIN = "builtin:"


def shipped_folder(uri: str) -> str:
    """Folder of the shipped generator ``builtin:NAME``.

    Raises:
        ConfigError: no such shipped model.
    """
    folders = {folder.name: str(folder) for folder in _folders()}
    name = uri.removeprefix(BUILTIN)
    if name not in folders:
        raise ConfigError(uri, "no such shipped generator", f"choose one of {', '.join(folders) or 'none'}")
    return folders[name]


def shipped_with_digest(digest: str) -> str | None:
    """``builtin:NAME`` of the shipped generator with that digest; None where there is none."""
    for folder in _folders():
        if json.loads((folder / "model.json").read_bytes())["digest"] == digest:
            return f"{BUILTIN}{folder.name}"
    return None


def _folders() -> Iterator[Path]:
    weights = Path(str(resources.files("flexpose_ray"))) / "weights"
    return iter(sorted(folder for folder in weights.glob("*") if (folder / "model.json").exists()))
