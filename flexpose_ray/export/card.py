"""The dataset card in the form of the Hugging Face Hub: what an export is, whose data it comes from, how to read it."""

from __future__ import annotations

import yaml

from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.export.options import ExportOptions

SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B")

READING = {
    "coco": """from pycocotools.coco import COCO

coco = COCO("annotations.json")  # images are {size} x {size}, one person each

# mmpose: CocoDataset(ann_file="annotations.json", data_prefix=dict(img="images/"),
#                     metainfo=dict(from_file="dataset_info.py"))""",
    "webdataset": """import webdataset

for sample in webdataset.WebDataset("{{000000..{last:06d}}}.tar").decode("rgb"):
    keypoints = sample["json"]["keypoints"]  # [[x, y], ...] in crop units""",
    "npz": """import numpy

with numpy.load("poses-00000.npz") as poses:
    keypoints = poses["keypoints"]  # (N, {joints}, 2), crop units""",
}

CARD = """---
{head}---

# {count:,} generated poses ({skeleton})

Keypoints sampled by flexpose_ray, an implementation of FlexPose, which adapts a generator of poses to a domain with a
few annotated examples. They are generated, not annotated: no photographs belong to them.

* {count:,} poses of {n_joints} joints: {joints}.
* Generator `{generator}`, seed {seed}. Together with a pose's `index`, its address, they give every pose again.
* Crop units: a pose stands in a square, [0, 1] from left to right and from top to bottom; multiplied by the picture's
  side they are pixels.
{gate}
## Reading it

```python
{reading}
```

## Licence and attribution

{attribution}
"""


def dataset_card(poses: PoseReader, options: ExportOptions) -> str:
    """The text of ``README.md``; it depends only on the data set and on the options, which are filled in."""
    skeleton, count = poses.skeleton, poses.count
    head = {
        "license": "other",
        "license_name": "see-attribution",
        "task_categories": ["keypoint-detection"],
        "size_categories": [SIZES[max(len(str(count)) - 3, 0)]],
        "tags": ["pose-estimation", "keypoints", "synthetic", options.format],
    }
    last = (count - 1) // options.per_file if options.per_file else 0
    return CARD.format(
        head=yaml.safe_dump(head, sort_keys=False),
        count=count,
        skeleton=skeleton.name,
        n_joints=skeleton.n_joints,
        joints=", ".join(skeleton.joints),
        generator=poses.run.generator,
        seed=poses.run.seed,
        gate=_gate(poses),
        reading=READING[options.format].format(size=options.size, last=last, joints=skeleton.n_joints),
        attribution=_attribution(poses),
    )


def _gate(poses: PoseReader) -> str:
    """A line on what was done about implausible poses; empty where nothing was."""
    mode = poses.run.gate["mode"]
    rejects = sum(poses.manifest.rejects.values())
    outcome = {
        "warn": f"{rejects:,} of them would be rejected and were kept",
        "drop": f"{rejects:,} implausible ones were replaced",
    }
    return f"* {outcome[mode]}.\n" if mode in outcome else ""


def _attribution(poses: PoseReader) -> str:
    if not poses.attributions:
        return "The data set does not say which data its generator was trained on; ask whoever made it."
    sources = "\n".join(f"* {text}" for text in poses.attributions)
    return f"The generator was trained on these data, whose licences ask that derived works name them:\n\n{sources}"
