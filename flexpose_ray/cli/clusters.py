"""Verbs for clusters: doctor checks machine and storage, submit runs another verb on a cluster."""

from __future__ import annotations

import argparse
import sys

from flexpose_ray.cli.verb import Outcome, Verbs, add_verb
from flexpose_ray.errors import ConfigError


def add_verbs(verbs: Verbs) -> None:
    """Add these verbs and their options; last of all, since submit takes every verb that is there."""
    summary = "check versions, token, GPUs, disk and a storage; exit 1 if anything is unfit"
    sub = add_verb(verbs, doctor, "doctor", summary, "flexpose doctor --storage s3://bucket/runs")
    sub.add_argument("--storage", metavar="URI", help="folder or s3:// to test with objects that are removed again")

    jobs = list(verbs.choices)
    summary = "run a verb on a cluster, with the files of this folder, and follow its log"
    example = """flexpose submit generate --generator builtin:coco --count 1000000 --out s3://bucket/mine \\
    --cluster clusters/aws-gpu.yaml"""
    sub = add_verb(verbs, submit, "submit", summary, example)
    sub.add_argument("--cluster", metavar="FILE|ADDRESS", help="file for ray up, RayCluster, or http://host:8265")
    sub.add_argument("--working-dir", default=".", metavar="DIR", help="files that the command reads (default: .)")
    sub.add_argument("--no-wait", action="store_true", help="return once the job is submitted")
    sub.add_argument("job", choices=jobs, metavar="VERB", help="verb to run there")
    sub.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="its options, and --cluster if not before")


def doctor(args) -> Outcome:
    from flexpose_ray.engine.cluster.check import format_checks
    from flexpose_ray.engine.cluster.doctor import diagnose

    if args.dry_run:
        return 0, {"storage": args.storage}, f"would check this machine{_and(args.storage)}"
    checks = diagnose(args.storage)
    counts = {status: sum(check.status == status for check in checks) for status in ("ok", "warn", "fail")}
    total = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    text = f"{format_checks(checks)}\n\n{total}"
    return (1 if counts["fail"] else 0), {**counts, "checks": [check._asdict() for check in checks]}, text


def submit(args) -> Outcome:
    from flexpose_ray.engine.cluster.submit import check_folder, check_words, submit

    words = [args.job, *args.words]
    cluster, words = _take_cluster(args.cluster, words)
    if cluster is None:
        hint = "as in: flexpose submit VERB ... --cluster clusters/aws-gpu.yaml"
        raise ConfigError("--cluster", "no cluster named", hint)
    if args.dry_run:
        check_words(words)
        text = f"would pack {check_folder(args.working_dir)} and run on {cluster}: flexpose {' '.join(words)}"
        return 0, {"cluster": cluster, "command": words}, text

    def show(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        done = submit(words, cluster, args.working_dir, wait=not args.no_wait, show=show)
    except KeyboardInterrupt:
        return 130, {"cluster": cluster, "exit": None}, "stopped following; a job that was submitted keeps running"
    return done["exit"] or 0, done, f"job {done['job']}: {done['status'].lower()}"


def _take_cluster(cluster: str | None, words: list[str]) -> tuple[str | None, list[str]]:
    """Take --cluster from among the verb's own options, where it may stand too."""
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
    return f", and write, read and remove objects in {storage}" if storage else ""
