"""The command line: `flexpose VERB`.

A verb's options stand beside its function, which takes them parsed and returns the exit status, the object for
``--json`` and the text for a person. It imports heavy modules itself, so that help and bad options answer at once.
"""

from flexpose_ray.cli.command import main

__all__ = ["main"]
