"""Arrays that others have published as pickles: read by an unpickler that knows arrays and plain containers alone.

A pickle may run any code. Here it can call nothing but what builds a numpy array; whatever else it asks for is refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from flexpose_ray.errors import DataError

MAX_BYTES = 16 << 30
# What may be named: module -> names. Old and new names of numpy's own modules.
ALLOWED = {
    **dict.fromkeys(("numpy.core.multiarray", "numpy._core.multiarray"), ("_reconstruct", "scalar")),
    "numpy": ("ndarray", "dtype"),
    **dict.fromkeys(("numpy.core.numeric", "numpy._core.numeric"), ("_frombuffer",)),
    "_codecs": ("encode",),
    "collections": ("OrderedDict",),
}
NEW_NAMES = {"numpy.core.multiarray": "numpy._core.multiarray", "numpy.core.numeric": "numpy._core.numeric"}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return super().find_class(NEW_NAMES.get(module, module), name)


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no text or number needs")


def plain(content: bytes) -> Any:
    """What a pickle of lists, text and numbers holds.

    Raises:
        pickle.UnpicklingError: it asks for anything else.
    """
    return _Plain(io.BytesIO(content), encoding="utf-8").load()


def names_in(path: Path) -> list[str]:
    """The names of an .npz's arrays; none where it is no .npz."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception:  # a damaged file lets errors of any type out; whoever reads it tells
        return []


def read_object(path: Path, key: str) -> Any:
    """The object (a dict, mostly) that an .npz holds under ``key`` as a pickled array of no axes.

    Raises:
        DataError: no such file or key, a damaged file, or a pickle that asks for more than arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{key}.npy" not in archive.namelist():
                found = ", ".join(name.removesuffix(".npy") for name in archive.namelist()[:8])
                raise DataError(path, f"no array `{key}` there, found {found}", "give another file")
            if archive.getinfo(f"{key}.npy").file_size > MAX_BYTES:
                raise DataError(path, f"unpacks to more than {MAX_BYTES >> 30} GiB", "give a smaller file")
            with archive.open(f"{key}.npy") as member:
                version = npy.read_magic(member)
                read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, kind = read_header(member)
                if kind.hasobject and shape == ():
                    return _ArraysOnly(io.BytesIO(member.read()), encoding="latin1").load()[()]
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[key]
    except DataError:
        raise
    except Exception as e:  # a broken pickle lets errors of any type out
        problem = f"not readable as published arrays: {' '.join(str(e).split())[:120]}"
        raise DataError(path, problem, "download it again") from e
