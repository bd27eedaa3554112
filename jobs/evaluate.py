"""`flexpose evaluate` as a cluster job; takes the same options.

    ray job submit --working-dir . -- python jobs/evaluate.py --help
    python jobs/evaluate.py ... --address HOST:PORT      # joins a cluster from outside a job

Exit status: 0 done, 1 a check said no, 2 bad input or environment, 143 stopped by SIGTERM. A stopped job leaves what is
committed or in a checkpoint; the same command goes on from there.
"""

import sys

from flexpose_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
