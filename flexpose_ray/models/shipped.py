"""The generators that are shipped with the package: ``builtin:NAME``, a flow and StyleGANs of the same source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from flexpose_ray.errors import ConfigError

BUILTIN = "builtin:"
TAUGHT, ADVERSARIAL = SUFFIXES = ("-stylegan", "-adversarial")  # of StyleGANs of the source of the flow NAME


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


def shipped_of_kind(uri: str, kind: str) -> str:
    """The shipped generator of that kind, "flow" or "stylegan", that was trained on the source of ``builtin:NAME``."""
    name = next((uri.removesuffix(suffix) for suffix in SUFFIXES if uri.endswith(suffix)), uri)
    if kind == "flow":
        return name
    return f"{name}{TAUGHT}" if uri == name else uri


def shipped_for_paper(uri: str) -> str:
    """The shipped StyleGAN ``builtin:NAME``; where that is a flow, the one that was trained as in the paper."""
    return uri if uri.endswith(SUFFIXES) else f"{uri}{ADVERSARIAL}"


def _folders() -> Iterator[Path]:
    weights = Path(str(resources.files("flexpose_ray"))) / "weights"
    return iter(sorted(folder for folder in weights.glob("*") if (folder / "model.json").exists()))
