"""`flexpose pipeline` as a cluster job; takes the same options.

ray job submit --working-dir . -- python jobs/pipeline.py --help
"""

import sys

from flexpose_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["pipeline", *sys.argv[1:]]))
