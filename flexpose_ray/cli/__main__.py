"""`python -m flexpose_ray.cli`: how a cluster's jobs call the command line."""

import sys

from flexpose_ray.cli import main

sys.exit(main())
