"""`flexpose VERB`: parses the command line, calls the verb's function and prints what it returns."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import redirect_stdout

from flexpose_ray.cli.parser import build_parser
from flexpose_ray.engine.runtime.signals import TERMINATED, take_sigterm
from flexpose_ray.errors import FlexPoseError


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 a check failed, 2 bad input or environment."""
    args = build_parser().parse_args(argv)
    # Before torch is loaded: waiting threads should sleep. On a busy machine spinning ones cost three times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if getattr(args, "address", None):
        os.environ["RAY_ADDRESS"] = args.address
    take_sigterm()
    try:
        with redirect_stdout(sys.stderr):  # Ray reports dead workers on standard output
            status, result, text = args.run(args)
        print(text, file=sys.stderr if args.json else sys.stdout)
        if args.json:
            print(json.dumps(result))
        sys.stdout.flush()
        return status
    except FlexPoseError as error:
        return _refuse(args.verb, str(error))
    except BrokenPipeError:  # a reader such as `head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at the end
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _refuse(args.verb, f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        number, by = (signal.SIGTERM, " by SIGTERM") if TERMINATED.is_set() else (signal.SIGINT, "")
        print(f"\nflexpose {args.verb}: stopped{by}; the same command continues from here", file=sys.stderr)
        return 128 + number
    except Exception as error:
        if not _lost_by_ray(error):
            raise
        return _refuse(
            args.verb, f"Ray: {error} (check the cluster's nodes and memory; the same command continues from here)"
        )


def _lost_by_ray(error: Exception) -> bool:
    """Whether Ray lost a process, a node or an object. An error of ours in a task is a bug: it keeps its traceback.

    By name: importing Ray would cost every command half a second.
    """
    kind = type(error)
    return kind.__module__ == "ray.exceptions" and not kind.__name__.startswith("RayTaskError")


def _refuse(verb: str, problem: str) -> int:
    print(f"flexpose {verb}: {' '.join(problem.split())}", file=sys.stderr)
    return 2
