"""The options of every verb, and what help says of them."""

from __future__ import annotations

import argparse

from flexpose_ray import __version__
from flexpose_ray.cli import benchmark, clusters, data_sets, runs, sweeps

DESCRIPTION = """Pose data for the domain you have, from the dozen annotations you can afford.

Start with:        flexpose pipeline quickstart
Your own domain:   flexpose prepare --source table:mine.csv --out sets/mine.parquet
                   flexpose adapt --generator builtin:coco --shots sets/mine.parquet --out models/mine
                   flexpose generate --generator models/mine --count 100000 --out data/mine
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("flexpose", description=DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"flexpose-ray {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run, summary: str, example: str, settings: bool = True) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(
            name, help=summary, description=summary, epilog=f"example:\n  {example}", formatter_class=raw
        )
        if settings:
            sub.add_argument("--config", metavar="FILE", help="recipe whose settings count (YAML, or a shipped name)")
            sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one; repeatable")
        sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
        sub.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, stop")
        if name != "submit":
            sub.add_argument("--address", metavar="HOST:PORT", help="Ray cluster to join (default: RAY_ADDRESS)")
        sub.set_defaults(run=run)
        return sub

    def whole(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("recipe", nargs="?", help="YAML file or shipped recipe; or give it as --config")
        sub.add_argument("--storage", default="runs", metavar="URI", help="folder or s3:// for runs (default: runs)")

    sub = verb(
        "prepare", runs.prepare, "read annotations into a pose set",
        "flexpose prepare --source coco:person_keypoints_train2017.json.gz --out sets/coco.parquet", settings=False,
    )  # fmt: skip
    sub.add_argument("--source", required=True, metavar="KIND:PATH", help="coco, penn, table, poses or synthetic")
    sub.add_argument("--mapping", metavar="FILE", help="YAML: a joint of ours -> yours, or several to average")
    sub.add_argument("--out", required=True, metavar="URI", help="the .parquet file to write")

    sub = verb(
        "pretrain", runs.pretrain, "train a generator and its beta on a source",
        "flexpose pretrain coco --set pretrain.kimg=300 --storage runs",
    )  # fmt: skip
    whole(sub)
    sub.add_argument("--price", type=float, metavar="X", help="of all machines an hour, for the plan of --dry-run")

    sub = verb(
        "adapt", runs.adapt, "adapt a generator to a few shots",
        "flexpose adapt --generator builtin:coco --shots sets/mine.parquet --out models/mine",
    )  # fmt: skip
    sub.add_argument("--generator", required=True, metavar="URI", help="trained generator, or builtin:coco")
    shots = sub.add_mutually_exclusive_group(required=True)
    shots.add_argument("--shots", metavar="URI", help="pose set (.parquet) or KIND:PATH; at least two")
    shots.add_argument("--shots-each", metavar="URI", help="many targets: a folder of pose sets NAME.parquet")
    shots.add_argument("--shots-by-label", metavar="URI", help="many targets: one for every label of a pose set")
    sub.add_argument("--workers", type=int, metavar="K", help="of many targets, adaptations at a time")
    sub.add_argument("--layers", metavar="L,L", help="style layers to adapt, from 1, or all, or w")
    sub.add_argument("--paper", action="store_true", help="the paper's literal setting")
    sub.add_argument("--out", required=True, metavar="URI", help="folder of the adapted model")

    sub = verb(
        "import", runs.import_, "make a model of state dicts of a training elsewhere, without running their code",
        "flexpose import mine.pth --networks mine.yaml --source poses:sets/coco.parquet --out models/mine",
        settings=False,
    )  # fmt: skip
    sub.add_argument("weights", metavar="FILE", help=".safetensors or .pth with generator, discriminator and beta")
    sub.add_argument("--networks", required=True, metavar="FILE", help="YAML or JSON: arguments of networks and alpha")
    sub.add_argument("--source", required=True, metavar="KIND:PATH", help="the poses that it was trained on")
    sub.add_argument("--attribution", metavar="TEXT", help="owner and licence of the source's data")
    sub.add_argument("--out", required=True, metavar="URI", help="folder of the model")

    sub = verb(
        "generate", data_sets.generate, "sample any number of poses to storage",
        "flexpose generate --generator models/mine --count 1000000 --seed 0 --out s3://bucket/mine",
    )  # fmt: skip
    sub.add_argument(
        "--generator", metavar="URI", help="adapted or trained generator, or builtin:coco; a data set keeps it"
    )
    sub.add_argument("--count", type=int, metavar="N", help="poses in all (default: 20000); more than before: it grows")
    sub.add_argument("--seed", type=int, metavar="S", help="with its index, a pose's address (default: 0)")
    sub.add_argument("--out", required=True, metavar="URI", help="folder or s3:// of the data set")
    sub.add_argument(
        "--gate", choices=("off", "warn", "drop"), help="implausible poses: kept, counted, replaced (warn)"
    )
    sub.add_argument(
        "--images", nargs="?", const="png", choices=("png", "webp"), help="store every skeleton image too (png)"
    )
    sub.add_argument("--actors", type=int, metavar="K", help="samplers at work, at most (default: one a CPU or GPU)")

    sub = verb(
        "evaluate", runs.evaluate, "score a data set beside the simple methods",
        "flexpose evaluate --samples data/mine --target sets/held_out.parquet --shots sets/mine.parquet",
    )  # fmt: skip
    sub.add_argument("--samples", required=True, metavar="URI", help="generated data set, or pose set (.parquet)")
    sub.add_argument("--target", required=True, metavar="URI", help="held-out target poses")
    sub.add_argument("--source", metavar="URI", help="source poses; mean shift and CORAL need them")
    sub.add_argument("--shots", metavar="URI", help="the shots that the data set grew from")

    def on_data_set(name: str, run, summary: str, example: str) -> argparse.ArgumentParser:
        sub = verb(name, run, summary, example, settings=False)
        sub.add_argument("samples", metavar="URI", help="generated data set")
        return sub

    on_data_set(
        "show",
        data_sets.show,
        "say what a data set holds, what it cost, what the gate found",
        "flexpose show data/mine",
    )
    sub = on_data_set(
        "verify", data_sets.verify, "hash a data set again; status 1 if it differs",
        "flexpose verify s3://bucket/mine --regenerate 3",
    )  # fmt: skip
    sub.add_argument("--regenerate", type=int, default=0, metavar="K", help="also render K random shards again")
    on_data_set(
        "repair", data_sets.repair, "restore damaged or missing shards, byte for byte", "flexpose repair data/mine"
    )
    sub = verb(
        "export", data_sets.export, "write a data set, or a model's networks, for programs of others",
        "flexpose export s3://bucket/mine --format coco --out exports/mine", settings=False,
    )  # fmt: skip
    sub.add_argument("samples", metavar="URI", help="data set; for onnx and torchscript a model, or builtin:coco")
    formats = ("coco", "webdataset", "npz", "onnx", "torchscript")
    sub.add_argument("--format", required=True, choices=formats, help="what to write")
    sub.add_argument("--out", required=True, metavar="URI", help="folder or s3://; a repeated command goes on")
    sub.add_argument("--size", type=int, metavar="PX", help="side of canvas and pictures (default: the stored, or 256)")
    sub.add_argument(
        "--images", action=argparse.BooleanOptionalAction, help="write pictures, drawn where none are stored"
    )
    sub.add_argument("--per-file", type=int, metavar="N", help="poses a tar (10,000) or npz file (1,000,000)")
    on_data_set(
        "gc", data_sets.gc, "remove what no manifest names; only while nothing writes there",
        "flexpose gc data/mine --dry-run",
    )  # fmt: skip

    sub = verb(
        "report", runs.report, "write the page of a run again",
        "flexpose report runs/quickstart-1a2b3c4d", settings=False,
    )  # fmt: skip
    sub.add_argument("uri", metavar="URI", help="run's folder")

    sub = verb(
        "pipeline", runs.pipeline, "all of a recipe: generator, adaptation, data set, scores, report",
        "flexpose pipeline quickstart",
    )  # fmt: skip
    whole(sub)

    sub = verb(
        "sweep", sweeps.sweep, "try a recipe at many points: layer sets, shots, any setting; and take the best",
        "flexpose sweep sweep_quick --storage runs\n  flexpose sweep show runs/sweep-NAME-1a2b3c4d\n"
        "  flexpose sweep best runs/sweep-NAME-1a2b3c4d --out best",
    )  # fmt: skip
    whole(sub)
    sub.add_argument("uri", nargs="?", metavar="URI", help="after show or best in the recipe's place: a sweep's folder")
    sub.add_argument("--out", metavar="URI", help="of best: where recipe and model go (default: best in the folder)")

    sub = verb(
        "benchmark", benchmark.benchmark, "compare methods on pairs of source and target, over draws of the shots",
        "flexpose benchmark benchmark_quick --workers 2",
    )  # fmt: skip
    whole(sub)
    sub.add_argument("--workers", type=int, metavar="K", help="cells at a time, at most (default: one a CPU)")

    sub = verb(
        "doctor", clusters.doctor, "look at versions, token, GPUs, disk, and a storage; status 1 if anything is unfit",
        "flexpose doctor --storage s3://bucket/runs", settings=False,
    )  # fmt: skip
    sub.add_argument("--storage", metavar="URI", help="folder or s3:// to write a probe to, which is removed again")

    jobs = [name for name in subparsers.choices if name != "submit"]
    sub = verb(
        "submit", clusters.submit, "run a verb on a cluster, with the files of this folder, and follow its log",
        "flexpose submit generate --generator builtin:coco --count 1000000 --out s3://bucket/mine \\\n"
        "    --cluster clusters/aws-gpu.yaml", settings=False,
    )  # fmt: skip
    sub.add_argument("--cluster", metavar="FILE|ADDRESS", help="file for ray up, RayCluster, or http://host:8265")
    sub.add_argument("--working-dir", default=".", metavar="DIR", help="files that the command reads (default: .)")
    sub.add_argument("--no-wait", action="store_true", help="leave the job to itself")
    sub.add_argument("job", choices=jobs, metavar="VERB", help="verb to run there")
    sub.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="its options; --cluster may stand here too")
    return parser
