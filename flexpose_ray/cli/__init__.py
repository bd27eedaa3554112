"""The command line: `flexpose VERB`.

A verb's function takes the parsed options and returns the exit status, the object for ``--json`` and the text for a
person. It imports heavy modules itself, so that help and bad options answer at once.
"""

from flexpose_ray.cli.command import main

__all__ = ["main"]
