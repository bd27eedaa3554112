"""`flexpose evaluate` as a cluster job; takes the same options.

ray job submit --working-dir . -- python jobs/evaluate.py --help
"""

import sys

from flexpose_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
