"""FlexPose on Ray: pose data for the domain you have, from the dozen annotations you can afford."""

__version__ = "0.1.0"
