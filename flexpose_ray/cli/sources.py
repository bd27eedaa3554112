"""Verbs that read annotations: prepare, formats."""

from __future__ import annotations

from flexpose_ray.cli.verb import Outcome, Verbs, add_verb


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
    sub.add_argument("--preview", metavar="FILE", help="a .png or .jpg to draw 24 of the poses into, left limbs orange")
    sub.add_argument("--pictures", default=".", metavar="FOLDER", help="the annotated pictures, for --preview")
    sub.add_argument("--out", required=True, metavar="URI", help="the .parquet file to write")

    summary = "list the kinds of annotations that can be read, with an example of each"
    add_verb(verbs, formats, "formats", summary, "flexpose formats")


def prepare(args) -> Outcome:
    from flexpose_ray.sources.prepare import prepare

    options = {"swap_sides": "yes"} if args.swap_sides else {}
    options |= {
        name: str(value) for name in ("skeleton", "category", "max_bad") if (value := getattr(args, name)) is not None
    }
    drawn = {"preview": args.preview, "pictures": args.pictures}
    report = prepare(args.source, args.out, args.mapping, write=not args.dry_run, **drawn, **options)
    done = f"{'would be written' if args.dry_run else 'written'} to {args.out}"
    return 0, report.as_dict() | {"out": args.out}, f"{report}\n{done}"


def formats(args) -> Outcome:
    from flexpose_ray.sources.cameras import CAMERA_OPTIONS, USE
    from flexpose_ray.sources.formats import FORMATS
    from flexpose_ray.sources.options import COMMON

    found, lines = {}, []
    for kind, entry in sorted(FORMATS.items()):
        options = [*entry.options, *(CAMERA_OPTIONS if entry.in_3d else ())]
        found[kind] = {"summary": entry.summary, "example": entry.example, "options": options, "mapping": entry.mapped}
        lines += [f"{kind}: {entry.summary}", f"    {entry.example}"]
        lines += [f"    options: {', '.join(options)}"] if options else []
    lines += ["poses: a pose set that `flexpose prepare` wrote", "    poses:sets/coco.parquet"]
    lines += ["synthetic: people made by the package", "    synthetic:rowing?count=2000&seed=0"]
    lines += ["", "options of all kinds that are read from files, behind a ?, joined by &:"]
    lines += [f"    {text}" for text in COMMON.values()]
    lines += [f"motion in 3D needs cameras: {USE}"]
    return 0, found, "\n".join(lines)
