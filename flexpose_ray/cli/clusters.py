"""Verbs around clusters: doctor looks whether all is fit for work, submit runs another verb there."""

from __future__ import annotations

import sys

from flexpose_ray.cli.outcome import Outcome
from flexpose_ray.errors import ConfigError


def doctor(args) -> Outcome:
    from dataclasses import asdict

    from flexpose_ray.engine.cluster.doctor import diagnose, format_checks

    if args.dry_run:
        return 0, {"storage": args.storage}, f"would look at this machine{_and(args.storage)}"
    checks = diagnose(args.storage)
    counts = {status: sum(check.status == status for check in checks) for status in ("ok", "warn", "fail")}
    told = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    text = f"{format_checks(checks)}\n\n{told}"
    return (1 if counts["fail"] else 0), {**counts, "checks": [asdict(check) for check in checks]}, text


def submit(args) -> Outcome:
    from flexpose_ray.engine.cluster.submit import check_folder, check_words, submit

    words = [args.job, *args.words]
    cluster, words = _taken(args.cluster, words)
    if cluster is None:
        raise ConfigError("--cluster", "no cluster named", "flexpose submit VERB ... --cluster clusters/aws-gpu.yaml")
    if args.dry_run:
        check_words(words)
        text = f"would pack {check_folder(args.working_dir)} and run on {cluster}: flexpose {' '.join(words)}"
        return 0, {"cluster": cluster, "command": words}, text

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        done = submit(words, cluster, args.working_dir, wait=not args.no_wait, tell=tell)
    except KeyboardInterrupt:
        return 130, {"cluster": cluster, "exit": None}, "not followed any more; a job that was submitted goes on"
    return done["exit"] or 0, done, f"job {done['job']}: {done['status'].lower()}"


def _taken(cluster: str | None, words: list[str]) -> tuple[str | None, list[str]]:
    """--cluster may stand behind the verb's own options, too."""
    rest = []
    words = iter(words)
    for word in words:
        if word == "--cluster":
            cluster = next(words, None)
        elif word.startswith("--cluster="):
            cluster = word.partition("=")[2]
        else:
            rest.append(word)
    return cluster, rest


def _and(storage: str | None) -> str:
    return f" and write, read and remove a probe in {storage}" if storage else ""
