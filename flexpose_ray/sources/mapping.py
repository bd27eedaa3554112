"""Joint maps from YAML: how a source's own joints form a skeleton's."""

from __future__ import annotations

from pathlib import Path

import yaml

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import SKELETONS
from flexpose_ray.sources.raw import JointMap


def read_mapping(path: str | Path) -> JointMap:
    """Read a joint map. Each joint is the name of a source joint, or a list of names, whose mean it is::

        head: nose
        neck: [l_shoulder, r_shoulder]
        pelvis: [l_hip, r_hip]
        left_shoulder: l_shoulder

    Raises:
        ConfigError: missing file, broken YAML, or not exactly one skeleton's joints.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(path, "no such mapping file", "check the path given as --mapping")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as e:  # ValueError: no UTF-8, or a date such as 2020-13-45
        raise ConfigError(path, f"broken YAML: {' '.join(str(e).split())}", "repair the mapping") from e
    if not isinstance(found, dict):
        raise ConfigError(path, "not a mapping of joints", "write one line for each joint, such as `head: nose`")
    skeleton = max(SKELETONS.values(), key=lambda s: len(set(s.joints) & set(found)))
    joint_map = {}
    for joint in skeleton.joints:
        if joint not in found:
            raise ConfigError(path, f"{joint} of {skeleton.name} is not mapped", "add it to the mapping")
        sources = found.pop(joint)
        sources = sources if isinstance(sources, list) else [sources]
        if not sources or not all(isinstance(s, str | int) for s in sources):
            raise ConfigError(f"{path}, {joint}", f"found {sources}, expected a joint's name or a list of names")
        joint_map[joint] = tuple(str(s) for s in sources)
    if found:
        raise ConfigError(path, f"{skeleton.name} has no joint {next(iter(found))!r}", "remove it from the mapping")
    return joint_map
