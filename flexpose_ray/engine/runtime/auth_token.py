"""The file with the token by which Ray knows its users."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from flexpose_ray.errors import ConfigError


def token_path() -> Path:
    """Where Ray looks for the token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))


def guard_token(private: bool) -> None:
    """Let only its owner read the token file, and make one for a private Ray where there is none.

    Ray 2.60 would make it readable by everybody.
    """
    if "RAY_AUTH_TOKEN" in os.environ or os.environ.get("RAY_AUTH_MODE") == "disabled":
        return
    path = token_path()
    try:
        if private and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temp = path.with_name(f".{path.name}-{os.getpid()}")
            with open(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            with suppress(FileExistsError):
                os.link(temp, path)  # whole or not at all, even if another process makes one now
            temp.unlink()
        if path.exists() and path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        hint = "set RAY_AUTH_TOKEN_PATH to a file that can be written"
        raise ConfigError(str(path), f"cannot write a token file: {error.strerror}", hint) from error
