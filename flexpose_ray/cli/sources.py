"""Verbs that read annotations: prepare, fetch, formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flexpose_ray.cli.verb import Outcome, Verbs, add_verb
from flexpose_ray.errors import ConfigError

MANY_FILES = 50  # from which on progress is shown


def add_verbs(verbs: Verbs) -> None:
    """Add these verbs and their options."""
    example = """flexpose prepare --source coco:person_keypoints_train2017.json.gz --out sets/coco.parquet
flexpose prepare --source "table:mine.csv?size=640x480" --out sets/mine.parquet --preview mine.png
flexpose prepare --source "bvh:motion/?cameras=fixed&every=3&up=z" --out sets/motion.parquet"""
    sub = add_verb(
        verbs, prepare, "prepare", "read annotations into a pose set, and look whether they are right", example
    )
    help_text = "annotations: coco:FILE, table:FILE, ...; `flexpose formats` lists all kinds and the options behind a ?"
    sub.add_argument("--source", required=True, metavar="KIND:PATH", help=help_text)
    sub.add_argument("--mapping", metavar="FILE", help="YAML that maps our joints to yours, or to several to average")
    sub.add_argument(
        "--skeleton", metavar="NAME", help="hand_21, coco_17, or a YAML file (default: body_15 or face_68)"
    )
    sub.add_argument("--swap-sides", action="store_true", help="the annotations' left joints are right ones")
    sub.add_argument("--category", metavar="NAME", help="the only category of a COCO file that is read")
    sub.add_argument("--max-bad", type=float, metavar="SHARE", help="unreadable rows that are let pass (default: 0.01)")
    sub.add_argument("--workers", type=int, metavar="K", help="read a folder's files by K workers of Ray (default: 1)")
    sub.add_argument("--preview", metavar="FILE", help="a .png or .jpg to draw 24 of the poses into, left limbs orange")
    sub.add_argument("--pictures", default=".", metavar="FOLDER", help="the annotated pictures, for --preview")
    sub.add_argument("--out", required=True, metavar="URI", help="the .parquet file to write")

    summary = "download annotations whose publisher allows it, or say where to get them"
    sub = add_verb(verbs, fetch, "fetch", summary, "flexpose fetch\nflexpose fetch coco --out data")
    sub.add_argument("name", nargs="?", help="a data set; without it all are listed")
    sub.add_argument("--out", default="data", metavar="FOLDER", help="where files go (default: data)")

    summary = "list the kinds of annotations that can be read, with an example of each"
    add_verb(verbs, formats, "formats", summary, "flexpose formats")


def prepare(args) -> Outcome:
    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.sources.prepare import prepare

    options = {"swap_sides": "yes"} if args.swap_sides else {}
    options |= {
        name: str(value) for name in ("skeleton", "category", "max_bad") if (value := getattr(args, name)) is not None
    }
    drawn = {"preview": args.preview, "pictures": args.pictures}
    told = ProgressLine("files", label="prepare")

    def on_progress(done: int, total: int) -> None:
        if total >= MANY_FILES:
            told(done, total)

    with _reading(args) as read_files:
        more = {"read_files": read_files, "on_progress": on_progress, **drawn, **options}
        report = prepare(args.source, args.out, args.mapping, write=not args.dry_run, **more)
    done = f"{'would be written' if args.dry_run else 'written'} to {args.out}"
    return 0, report.as_dict() | {"out": args.out}, f"{report}\n{done}"


@contextmanager
def _reading(args) -> Iterator:
    """``map``, or what stands for it where several workers are asked for."""
    if args.workers is None or args.workers == 1:
        yield map
        return
    if args.workers < 1:
        raise ConfigError("--workers", f"{args.workers} is no number of workers", "give one or more")
    from flexpose_ray.engine.reading import reading

    with reading(args.workers, args.address) as read_files:
        yield read_files


def fetch(args) -> Outcome:
    from flexpose_ray.engine.runtime.progress import ProgressLine
    from flexpose_ray.sources.fetch import PUBLISHED, fetch, where_to_get

    if args.name is None:
        return 0, sorted(PUBLISHED), "\n".join(where_to_get(name) for name in sorted(PUBLISHED))
    if args.dry_run:
        return 0, where_to_get(args.name), where_to_get(args.name)
    files = fetch(args.name, args.out, ProgressLine("MB", label="fetch"))
    sources = "\n".join(f"coco:{file}" for file in files)
    return 0, [str(file) for file in files], f"fetched, checked and unpacked:\n{sources}"


def formats(args) -> Outcome:
    from flexpose_ray.sources.cameras import CAMERA_OPTIONS, USE
    from flexpose_ray.sources.formats import FORMATS
    from flexpose_ray.sources.options import COMMON
    from flexpose_ray.studio.options import USE as STUDIO

    found, lines = {}, []
    for kind, entry in sorted(FORMATS.items()):
        options = [*entry.options, *(CAMERA_OPTIONS if entry.in_3d else ())]
        found[kind] = {"summary": entry.summary, "example": entry.example, "options": options, "mapping": entry.mapped}
        lines += [f"{kind}: {entry.summary}", f"    {entry.example}"]
        lines += [f"    options: {', '.join(options)}"] if options else []
    lines += ["poses: a pose set that `flexpose prepare` wrote", "    poses:sets/coco.parquet"]
    lines += ["synthetic: people made by the package", "    synthetic:rowing?count=2000&seed=0", f"    {STUDIO}"]
    lines += ["", "options of all kinds that are read from files, behind a ?, joined by &:"]
    lines += [f"    {text}" for text in COMMON.values()]
    lines += [f"motion in 3D needs cameras: {USE}"]
    return 0, found, "\n".join(lines)
