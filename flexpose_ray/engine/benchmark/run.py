"""A benchmark: methods x pairs x draws of the shots, every cell a Ray task.

The run's folder is the record of what is done: a killed benchmark loses the cells under way and nothing else, and a
recipe with more methods or draws adds their cells. In the folder:

    recipe.json
    cells/PAIR/ROW-SEED.json      scores, cost and some poses of a cell, or why it failed
    priors/  detectors/           where a pair has a detector as a judge, see engine/benchmark/detectors.py
    benchmark.json  benchmark.md  mean and spread over the draws
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import ray

from flexpose_ray.config.benchmark import BenchmarkRecipe, PairConfig, benchmark_key
from flexpose_ray.engine.benchmark.cell import Cell, PairPoses, failed, generator_of, measure, read_pair
from flexpose_ray.engine.benchmark.detectors import DetectorCell, Gallery, detector_cells, judge, read_gallery
from flexpose_ray.engine.benchmark.table import markdown, summarise
from flexpose_ray.engine.runtime.progress import ProgressLine
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.runtime.tasks import READERS, check_workers, error_line, run_tasks, task_device, task_result
from flexpose_ray.models.generators import Pretrained, load_generator
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import poses_to_bytes, read_poses
from flexpose_ray.storage.base import MissingKeyError, Store, read_json
from flexpose_ray.storage.open import open_store


class Plan(NamedTuple):
    """What a call finds and what it has to do.

    Attributes:
        store: the run's folder.
        done: results of the cells and detectors that are there, by key.
        missing: cells to measure.
        untrained: detectors to train, after the cells.
    """

    store: Store
    done: dict[str, dict]
    missing: list[Cell]
    untrained: list[DetectorCell]

    @property
    def total(self) -> int:
        """Cells and detectors, done or not."""
        return len(self.done) + len(self.missing) + len(self.untrained)


def plan_benchmark(recipe: BenchmarkRecipe, storage: str) -> Plan:
    """Look up which cells are there with the recipe's fingerprint; a cell that failed counts as missing.

    Raises:
        ConfigError: a row needs a StyleGAN, and the pair has none.
        WeightsError: no such generator.
        StorageError: storage that cannot be read.
    """
    store = open_store(storage).child(benchmark_key(recipe))
    load = functools.cache(load_generator)
    cells = []
    for pair in recipe.pairs:
        kind = load(pair.generator).kind
        rows = [(name, row, generator_of(pair, name, row, kind)) for name, row in recipe.methods.items()]
        cells += [
            Cell.of(pair, uri, load(uri).digest, name, row, seed, recipe.count)
            for seed in recipe.seeds
            for name, row, uri in rows
        ]
    detectors = [detector for pair in recipe.pairs for detector in detector_cells(pair, cells)]
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda cell: _present(store, cell), [*cells, *detectors]))
    done = {cell.key: result for cell, result in zip([*cells, *detectors], found, strict=True) if result is not None}
    return Plan(store, done, *([cell for cell in group if cell.key not in done] for group in (cells, detectors)))


def _present(store: Store, cell: Cell | DetectorCell) -> dict | None:
    """The result of a cell, None where it is missing."""
    try:
        found = read_json(store, cell.key)
    except MissingKeyError:
        return None
    return found if found.get("make") == cell.fingerprint and found["error"] is None else None


def check_pairs(recipe: BenchmarkRecipe, plan: Plan) -> dict[str, PairPoses]:
    """Read the poses of every pair that has cells or detectors missing.

    Raises:
        FlexPoseError: data, weights or skeletons that do not fit together.
    """
    wanted = {cell.pair for cell in (*plan.missing, *plan.untrained)}
    pairs = [pair for pair in recipe.pairs if pair.name in wanted]
    return {pair.name: read_pair(pair, recipe, load_generator(pair.generator)) for pair in pairs}


def read_galleries(recipe: BenchmarkRecipe, plan: Plan, poses: dict[str, PairPoses]) -> dict[str, Gallery]:
    """Read the pictures of every pair that has detectors to train.

    Raises:
        FlexPoseError: pictures or annotations that cannot be used.
    """
    wanted = {cell.pair for cell in plan.untrained}
    return {pair.name: read_gallery(pair, poses[pair.name].rest) for pair in recipe.pairs if pair.name in wanted}


def run_benchmark(
    recipe: BenchmarkRecipe,
    storage: str,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Measure the missing cells of a benchmark under ``storage`` and write its table.

    A cell that fails does not end the others: its result holds the error, and the next call tries it again.

    Args:
        recipe: pairs, methods, draws.
        storage: folder or s3://; on a cluster a place that all nodes can reach.
        workers: cells at a time, at most; by default one a CPU, or four a GPU where there are any.
        on_progress: takes (cells done, cells in all); a line on standard error where None.

    Returns:
        The table as of :func:`summarise`, and ``run`` (URI).

    Raises:
        ConfigError: a number of workers that is not possible, or poses of another skeleton than the generator's.
        FlexPoseError: data, weights or storage that cannot be used; raised before anything starts.
    """
    check_workers(workers)
    plan = plan_benchmark(recipe, storage)
    report = on_progress or ProgressLine("cells")
    results = dict(plan.done)
    report(len(results), plan.total)
    if plan.missing or plan.untrained:
        poses = check_pairs(recipe, plan)
        galleries = read_galleries(recipe, plan, poses)
        plan.store.put("recipe.json", json.dumps(recipe.model_dump(mode="json"), indent=1).encode())
        with ray_session(cpus=workers or os.cpu_count()):
            for cell, result in chain(_run(recipe, plan, poses, workers), _train(plan, results, galleries, workers)):
                results[cell.key] = result
                report(len(results), plan.total)
    table = summarise(recipe, list(results.values())) | {"run": plan.store.uri}
    plan.store.put("benchmark.json", json.dumps(table, indent=1).encode())
    plan.store.put("benchmark.md", markdown(table).encode())
    return table


def _run(
    recipe: BenchmarkRecipe, plan: Plan, poses: dict[str, PairPoses], workers: int | None
) -> Iterator[tuple[Cell, dict]]:
    """Cells with their results, one Ray task each."""
    pairs = {pair.name: (pair, ray.put(poses[pair.name])) for pair in recipe.pairs if pair.name in poses}
    jobs = [(cell, (cell, *pairs[cell.pair], recipe.count, plan.store.uri)) for cell in plan.missing]
    with closing(run_tasks(_measure_cell, jobs, workers)) as ended:
        for cell, reference in ended:
            yield cell, _result(reference, cell, plan.store)


def _train(
    plan: Plan, results: dict[str, dict], galleries: dict[str, Gallery], workers: int | None
) -> Iterator[tuple[DetectorCell, dict]]:
    """Detectors with their results, one Ray task each; those of cells that failed have failed."""
    pictures = {name: ray.put(gallery) for name, gallery in galleries.items()}
    jobs = []
    for cell in plan.untrained:
        if cell.draw is not None and (why := results[f"cells/{cell.pair}/{cell.row}-{cell.draw}.json"]["error"]):
            yield cell, failed(cell, f"no poses to learn from: {why}")
        else:
            jobs.append((cell, (cell, pictures[cell.pair], plan.store.uri)))
    with closing(run_tasks(_judge_cell, jobs, workers)) as ended:
        for cell, reference in ended:
            yield cell, _result(reference, cell, plan.store)


def _result(reference: ray.ObjectRef, cell: Cell | DetectorCell, store: Store) -> dict:
    result = task_result(reference, store, cell.key, partial(failed, cell))
    if result["error"] is not None:
        store.put(cell.key, json.dumps(result, indent=1).encode())
    return result


def _measure_cell(cell: Cell, pair: PairConfig, poses: PairPoses, count: int, store_uri: str) -> dict:
    """One cell, in a Ray worker; a success is on storage before the driver receives it."""
    device, store = task_device(), open_store(store_uri)

    def keep_prior(prior_NJ2: np.ndarray) -> None:
        store.put(cell.prior_key, poses_to_bytes(PoseSet(prior_NJ2, poses.rest.skeleton_name)))

    try:
        result = measure(cell, pair, _base(cell.generator), poses, count, device, keep_prior)
        store.put(cell.key, json.dumps(result).encode())
    except Exception as error:  # one cell's failure, out of memory on a device, say, is not the others'
        return failed(cell, error_line(error))
    return result


def _judge_cell(cell: DetectorCell, gallery: Gallery, store_uri: str) -> dict:
    """One detector, in a Ray worker, as :func:`_measure_cell`."""
    device, store = task_device(), open_store(store_uri)
    try:
        prior = read_poses(f"{store.uri}/{cell.prior_key}") if cell.prior_key else None
        result = judge(cell, gallery, prior, device)
        store.put(cell.key, json.dumps(result).encode())
    except Exception as error:  # as above
        return failed(cell, error_line(error))
    return result


@functools.cache
def _base(generator_uri: str) -> Pretrained:
    """The generator of many cells. Not the one of adaptations: cells change the memory layout of its networks."""
    return load_generator(generator_uri)
