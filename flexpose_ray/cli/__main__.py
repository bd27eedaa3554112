"""`python -m flexpose_ray.cli`: how jobs on a cluster call the command line."""

import sys

from flexpose_ray.cli import main

sys.exit(main())
