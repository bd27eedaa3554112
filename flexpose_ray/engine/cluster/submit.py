"""Runs a verb on a cluster: packs the working directory, submits a job and follows its log to the end."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flexpose_ray.engine.cluster.address import job_server
from flexpose_ray.engine.runtime.auth_token import token_path
from flexpose_ray.errors import ConfigError

EXCLUDED = (  # besides what .gitignore names: bulky files, and files that hold secrets
    ".git", ".venv", "venv", "**/__pycache__", "**/*.egg-info", "runs", "mlruns", "wandb",
    "**/.env", "**/*.pem", "**/id_*", ".aws", ".ssh", ".ray", "**/auth_token", "**/credentials*",
)  # fmt: skip
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN", "WANDB_API_KEY")
PATIENCE_S = 120.0  # with a job server that is away while a job runs
STOPPED = 143  # the exit status that shells give a process ended by SIGTERM

Show = Callable[[str], None]


def submit(
    words: list[str], cluster: str, folder: str = ".", *, wait: bool = True, show: Show = print
) -> dict[str, Any]:
    """Run ``flexpose WORDS`` on a cluster, with the files of ``folder`` as its working directory.

    Credentials are never sent: the nodes have their own. The job keeps running when this process ends.

    Args:
        words: verb and options, as on the command line.
        cluster: address of the job server, or a file of clusters/.
        folder: where the command finds files by relative paths.
        wait: follow the log until the job ends.
        show: takes lines of the log, and how to stop or follow the job.

    Returns:
        ``job``, ``cluster``, ``status`` (Ray's), ``exit`` (the command's exit status; None without ``wait``).

    Raises:
        ConfigError: a cluster that does not answer, a folder that is too large, or a secret among ``words``.
    """
    check_words(words)
    root = check_folder(folder)
    _take_token()
    with job_server(cluster, show) as address:
        client = _client(address)
        entrypoint = shlex.join(["python", "-m", "flexpose_ray.cli", *words])
        runtime_env = {"working_dir": str(root), "excludes": list(EXCLUDED)}
        try:
            job = client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env, metadata={"flexpose": words[0]})
        except (RuntimeError, ValueError, OSError) as error:
            hint = "submit from a folder with what the command needs, or name one with --working-dir"
            raise ConfigError(str(root), _line(error), hint) from error
        at = f"--address {address} {job}"
        show(f"job {job} on {address}; it keeps running when this command ends")
        show(f"to stop it: RAY_AUTH_MODE=token ray job stop {at}")
        show(f"to follow it again: RAY_AUTH_MODE=token ray job logs --follow {at}")
        show("to continue after it stopped or was lost: the same command again; what is committed stays")
        if not wait:
            return {"job": job, "cluster": address, "status": "SUBMITTED", "exit": None}
        info = _follow(client, job, show)
    return {"job": job, "cluster": address, "status": info.status.value, "exit": _exit_status(info)}


def check_words(words: list[str]) -> None:
    """Refuse secrets in a job's command, which all users of the cluster can read.

    Raises:
        ConfigError: an address with a password, or the value of a secret environment variable.
    """
    hint = "give the nodes credentials of their own: an instance's role, or ~/.aws/credentials"
    if any(re.search(r"://[^/\s]*@", word) for word in words):
        raise ConfigError("submit", "an address with a password in it", hint)
    for name in SECRETS:
        if (value := os.environ.get(name)) and any(value in word for word in words):
            raise ConfigError("submit", f"the value of {name} among the options", hint)


def check_folder(folder: str) -> Path:
    """Return the folder to pack, unless it is clearly not a project's.

    Raises:
        ConfigError: not a folder, or a whole home or disk.
    """
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        raise ConfigError(folder, "is not a folder", "name one with --working-dir")
    if root in (Path.home().resolve(), Path(root.anchor)):
        raise ConfigError(str(root), "would be packed as a whole", "go to your project's folder, or name one")
    return root


def _take_token() -> None:
    """Make Ray's client send the token where there is one; only later versions do so by themselves."""
    if "RAY_AUTH_TOKEN" in os.environ or token_path().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _client(address: str):
    from ray.job_submission import JobSubmissionClient  # after _take_token: Ray reads its settings once

    try:
        return JobSubmissionClient(address)
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(
            address, _line(error), "see that the cluster is up, and that the token is the cluster's"
        ) from error


def _follow(client, job: str, show: Show):
    """Show the log until the job has ended, and connect again when the connection breaks."""
    shown, away_since = 0, None

    async def tail() -> None:
        nonlocal shown
        seen = 0
        async for part in client.tail_job_logs(job):  # from the log's beginning
            new = part[max(0, shown - seen) :]
            seen += len(part)
            shown = max(shown, seen)
            if new:
                show(new.rstrip("\n"))

    while True:
        try:
            asyncio.run(tail())
            info = client.get_job_info(job)
            if info.status.is_terminal():
                return info
            away_since = None
        except Exception as error:  # aiohttp's, requests' and Ray's own kinds
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > PATIENCE_S:
                hint = "the job may still be running: check with `ray job status`"
                raise ConfigError(job, f"the cluster no longer answers: {_line(error)}", hint) from error
        time.sleep(1)


def _exit_status(info) -> int:
    if info.status.value == "SUCCEEDED":
        return 0
    if info.status.value == "STOPPED":
        return STOPPED
    return info.driver_exit_code or 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
