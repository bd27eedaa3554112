"""Curves for TensorBoard, and for tools that may be missing."""

import sys
import types

import numpy as np
import pytest

from flexpose_ray.engine.train.tracking import check_trackers, open_trackers
from flexpose_ray.errors import ConfigError
from flexpose_ray.storage.open import open_store

GRID = np.zeros((8, 16, 3), np.uint8)


def events(uri) -> list:
    """All events below ``uri``, in the order of the files."""
    from tensorboardX.event_file_writer import EventsWriter  # noqa: F401  (the package is there)
    from tensorboardX.proto.event_pb2 import Event

    found, store = [], open_store(uri)
    for key in store.list("tensorboard/"):
        data = store.get(key)
        while data:
            size = int.from_bytes(data[:8], "little")
            found.append(Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return found


def test_tensorboard_files_lie_in_the_run_wherever_that_is(store):
    (board,) = open_trackers(["tensorboard"], store, "run", {}, 0)
    board.row(5, {"kimg": 0.1, "fd": 0.25, "note": "words", "broken": float("nan")})
    board.picture(5, GRID)
    board.close()
    values = [(e.step, v.tag) for e in events(store.uri) for v in e.summary.value]
    assert values == [(5, "kimg"), (5, "fd"), (5, "samples")]


def test_a_resumed_run_takes_back_what_was_shown_beyond(tmp_path):
    store = open_store(tmp_path)
    (board,) = open_trackers(["tensorboard"], store, "run", {}, 40)
    board.close()
    assert [e.step for e in events(tmp_path) if e.session_log.status == 1] == [41]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_is_one_line(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"pretrain\.track: {name} needs the package {name}, .*pip install {name}"):
        check_trackers([name])


class Recorder(types.ModuleType):
    """Stands for a package: notes what is called with which arguments."""

    def __init__(self):
        super().__init__("tool")
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def note(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return note


@pytest.mark.parametrize(("name", "logs"), [("mlflow", "log_metrics"), ("wandb", "log")])
def test_rows_and_pictures_reach_the_tool(name, logs, tmp_path, monkeypatch):
    tool = Recorder()
    monkeypatch.setitem(sys.modules, name, tool)
    (tracker,) = open_trackers([name], open_store(tmp_path), "pretrain-1", {"lr": 1}, 0)
    tracker.row(3, {"fd": 0.5, "note": "words"})
    tracker.picture(3, GRID)
    tracker.close()
    assert (logs, ({"fd": 0.5},), {"step": 3}) in tool.calls
    assert len(tool.calls) >= 4
