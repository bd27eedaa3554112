"""Options of verbs that work on pictures, and what they name."""

from __future__ import annotations

from flexpose_ray.errors import ConfigError

MANY_PICTURES = 500  # from which on progress is shown
PICTURES = "folder, s3://bucket/prefix, .tar, .parquet, video, or synthetic:studio?part=pictures&count=N"


def add_pictures(sub) -> None:
    """Add the options that name pictures."""
    sub.add_argument("--pictures", required=True, metavar="URI", help=f"{PICTURES}; one subject each")
    sub.add_argument("--masks", metavar="URI", help="folder of masks of the same names: all but the subject is blacked")
    sub.add_argument("--max-bad", type=float, metavar="SHARE", help="unreadable pictures let pass (default: 0.01)")


def add_prior(sub, required: bool = False) -> None:
    """Add the option that names poses to learn from."""
    help_text = "poses as the pictures' are distributed: data set, pose set (.parquet) or KIND:PATH; may be repeated"
    sub.add_argument("--prior", action="append", required=required, metavar="URI", help=help_text)


def add_training(sub) -> None:
    """Add the options of every training on pictures: settings, workers and the model's place."""
    change = "change a setting, as steps=4000 or size=128; may be repeated; --dry-run lists all"
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=change)
    sub.add_argument("--workers", type=int, default=1, metavar="K", help="Ray workers that share a batch (default: 1)")
    sub.add_argument("--out", required=True, metavar="URI", help="folder for the model; repeat the command to resume")


def read_given_pictures(args, size: int):
    """The pictures that ``--pictures`` names; progress is shown where there are many."""
    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.pictures.read import MAX_BAD, read_pictures

    max_bad = MAX_BAD if args.max_bad is None else args.max_bad
    if not 0 <= max_bad < 1:
        raise ConfigError("--max-bad", f"{max_bad} is no share", "give one from 0 to below 1")
    shown = ProgressLine("pictures", label="read")

    def on_progress(done: int, total: int) -> None:
        if total >= MANY_PICTURES:
            shown(done, total)

    return read_pictures(args.pictures, size, args.masks, max_bad, on_progress)


def read_prior(uris: list[str]):
    """The poses of all priors together."""
    import numpy as np

    from flexpose_ray import open_dataset
    from flexpose_ray.cli.inputs import poses_at
    from flexpose_ray.pose.sets import PoseSet
    from flexpose_ray.sources.read import KINDS

    sets = []
    for uri in uris:
        if uri.endswith(".parquet") or uri.partition(":")[0] in KINDS:
            sets.append(poses_at(uri))
        else:
            dataset = open_dataset(uri)
            blocks = [block["keypoints"] for block in dataset.blocks(images=False)]
            sets.append(PoseSet(np.concatenate(blocks), dataset.skeleton.text))
    names = {poses.skeleton_name for poses in sets}
    if len(names) > 1:
        kinds = ", ".join(sorted({poses.skeleton.name for poses in sets}))
        raise ConfigError("--prior", f"poses of several skeletons: {kinds}", "give poses of one")
    return PoseSet(np.concatenate([poses.keypoints_NJ2 for poses in sets]), names.pop())


def settings_of(kind: type, changes: list[str]):
    """Settings of a training with single ones changed.

    Args:
        kind: their class.
        changes: ``KEY=VALUE``.

    Raises:
        ConfigError: an unknown setting, a value of another kind or out of range.
    """
    values = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise ConfigError("--set", f"{change!r} is no setting", "write KEY=VALUE, as steps=4000")
        values[name] = text
    return kind.of(values, "--set")
