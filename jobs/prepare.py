"""`flexpose prepare` as a cluster job; takes the same options.

ray job submit --working-dir . -- python jobs/prepare.py --help
"""

import sys

from flexpose_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare", *sys.argv[1:]]))
