"""A Ray cluster of several nodes on this machine, whose nodes may be killed.

It lives in a process of its own, so that its environment (which S3 server its workers talk to) and its Ray never meet
those of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import psutil

ENV = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
    "LOG_NAME_UPDATE_INTERVAL_S": "1e9",  # nobody reads the logs, for which every node would look on and on
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "RAY_raylet_start_wait_time_s": "180",  # on a machine that is busy with other things
    "RAY_health_check_initial_delay_ms": "500",  # a dead node shall be noticed in seconds
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",  # a killed node refuses at once; one on a busy machine may be slow
}


class Nodes:
    """A head without CPUs, for drivers that outlive the nodes on which the work is done.

    Args:
        folder: short path for what Ray writes.
        env: further environment of all nodes and so of their workers.
        cpus: of every node that works.

    Attributes:
        env: what a driver needs in its environment to join.
    """

    def __init__(self, folder: str, env: dict[str, str], cpus: int = 2):
        self.env = os.environ | ENV | env | {"RAY_TMPDIR": folder}
        self.env.pop("RAY_ADDRESS", None)
        self.keeper = psutil.Popen(
            [sys.executable, __file__, str(cpus)],
            env=self.env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.env["RAY_ADDRESS"] = self._answer()
        (self.head,) = self._all()

    def raylets(self, count: int) -> list[psutil.Process]:
        """The nodes that work, after starting as many as are missing."""
        for _ in range(count - len(self._working())):
            self.keeper.stdin.write("one more\n")
            self.keeper.stdin.flush()
            self._answer()
        return self._working()

    def end(self) -> None:
        """End all nodes, unless they have ended already."""
        if not self.keeper.is_running():
            return
        processes = self.keeper.children(recursive=True)
        self.keeper.stdin.close()
        self.keeper.wait(30)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _working(self) -> list[psutil.Process]:
        return [raylet for raylet in self._all() if raylet != self.head]

    def _all(self) -> list[psutil.Process]:
        children = self.keeper.children()
        return [p for p in children if p.name() == "raylet" and p.status() != psutil.STATUS_ZOMBIE]

    def _answer(self) -> str:
        answer = self.keeper.stdout.readline().strip()
        if not answer:
            raise RuntimeError("no Ray node: see the standard error of this test")
        return answer


def _keep() -> None:
    """Tell the address, then start a node a line, until there are no more lines."""
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    memory = {"object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
    print(cluster.address, file=answers, flush=True)
    for _ in sys.stdin:
        cluster.add_node(num_cpus=int(sys.argv[1]), **memory)
        print("there", file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _keep()
