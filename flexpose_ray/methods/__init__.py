"""FlexPose and what it is compared with: from a few shots to poses like them. RESULTS.md has the tables."""
