"""The rows of a sweep on storage: one JSON a finished trial, the only record of what is done. In a sweep's folder:

sweep.json               the recipe
trials/000012.json       put if absent, when the trial has ended, in whatever way
runs/000012/             of a trial over pretraining: its run
trials.parquet  report.html  summary.json    made from the rows, and made again whenever there are more
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flexpose_ray.config import parse
from flexpose_ray.config.sweep import value_text
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.errors import ConfigError
from flexpose_ray.storage.base import Store, read_json

RECIPE, TABLE, SUMMARY = "sweep.json", "trials.parquet", "summary.json"
PREFIX = "trials/"
READERS = 16  # threads; they wait for storage, mostly

Row = dict[str, Any]


def save_recipe(store: Store, recipe: SweepRecipe) -> None:
    """Keep the recipe beside the rows; it may differ from an earlier call's in the number of trials."""
    store.put(RECIPE, json.dumps(recipe.model_dump(mode="json"), indent=1).encode())


def saved_recipe(store: Store) -> SweepRecipe:
    """The recipe of the sweep in ``store``.

    Raises:
        ConfigError: no sweep there.
    """
    if not store.exists(RECIPE):
        raise ConfigError(store.uri, f"no sweep here (no {RECIPE})", "give the folder that `flexpose sweep` made")
    return parse(SweepRecipe, read_json(store, RECIPE), f"{store.uri}/{RECIPE}")


def row_key(trial: int) -> str:
    """Key of a trial's row."""
    return f"{PREFIX}{trial:06d}.json"


def write_row(store: Store, row: Row) -> bool:
    """Write a finished trial's row; returns False if there is one already."""
    return store.put_if_absent(row_key(row["trial"]), json.dumps(row, allow_nan=False).encode())


def ended_trials(store: Store) -> set[int]:
    """Numbers of the trials that have a row."""
    keys = (key.removeprefix(PREFIX).removesuffix(".json") for key in store.iter_keys(PREFIX))
    return {int(key) for key in keys if key.isdigit()}


def read_rows(store: Store) -> list[Row]:
    """The rows of all finished trials, by number.

    Raises:
        StorageError: a row is not valid JSON.
    """
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda trial: read_json(store, row_key(trial)), sorted(ended_trials(store))))


def write_table(store: Store, rows: list[Row]) -> None:
    """Write ``trials.parquet``: numbers as numbers, layer sets and mixed columns as text, curves as lists."""
    columns: dict[str, list] = {name: [row.get(name) for row in rows] for name in ("trial", "status", "step", "error")}
    for key in dict.fromkeys(key for row in rows for key in row["point"]):
        columns[key] = _column([row["point"].get(key) for row in rows])
    for name in dict.fromkeys(name for row in rows for name in row["scores"]):
        columns[name] = [row["scores"].get(name) for row in rows]
    columns |= {name: [row.get(name) for row in rows] for name in ("started", "ended", "worker")}
    for name in ("step", "fd"):
        columns[f"curve_{name}"] = [[float(look[name]) for look in row["curve"] if name in look] for row in rows]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer)
    store.put(TABLE, buffer.getvalue().to_pybytes())


def _column(values: list) -> list:
    present = [v for v in values if v is not None]
    if all(isinstance(v, bool) for v in present):
        return values
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in present):
        whole = all(isinstance(v, int) for v in present)
        return values if whole else [None if v is None else float(v) for v in values]
    return [None if v is None else value_text(v) for v in values]
