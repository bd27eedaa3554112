"""What all formats share: files that appear whole, pictures, progress."""

from __future__ import annotations

import errno
import mmap
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import BinaryIO

from flexpose_ray.dataset.blocks import Block
from flexpose_ray.dataset.pictures import draw_images
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.errors import StorageError
from flexpose_ray.export.options import ExportOptions
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore


@dataclass
class Job:
    """One export in progress.

    Attributes:
        poses: what is exported.
        out: where to.
        options: with all defaults filled in.
        on_progress: takes (poses done, poses in all).
        present: keys that an earlier call has written.
        files, written: files so far, and those of them that this call wrote.
        done: poses so far.
    """

    poses: PoseReader
    out: Store
    options: ExportOptions
    on_progress: Callable[[int, int], None]
    present: set[str] = field(init=False)
    files: int = field(default=0, init=False)
    written: int = field(default=0, init=False)
    done: int = field(default=0, init=False)

    def __post_init__(self):
        self.present = set(self.out.list())

    @contextmanager
    def file(self, key: str) -> Iterator[BinaryIO | None]:
        """A file to fill, which appears under ``key`` when the block ends without an error; None where it exists.

        It grows on disk, in the system's temporary folder.

        Raises:
            StorageError: no space there, or where the export goes.
        """
        self.files += 1
        if key in self.present:
            yield None
            return
        try:
            with tempfile.TemporaryFile(prefix="flexpose-") as file:
                yield file
                file.flush()
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    # A bucket is sent bytes, which can be sent again after a failure; a mapped file is read only once.
                    self.out.put(key, data if isinstance(self.out, LocalStore) else bytes(data))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StorageError(tempfile.gettempdir(), "no space left", "set TMPDIR to a folder with space") from error
        self.written += 1

    def parts(self, name: str) -> Iterator[tuple[str, int, int]]:
        """Key, first and last position of every file of ``per_file`` poses; ``name`` is formatted with its number."""
        size = self.options.per_file
        for number, first in enumerate(range(0, self.poses.count, size)):
            yield name.format(number), first, min(first + size, self.poses.count)

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """The poses at these positions, with stored pictures if any; a block is done when the next is asked for."""
        for block in self.poses.blocks(first, last, images=self.options.images and self.stored):
            yield block
            self.advance(len(block["index"]))

    def advance(self, count: int) -> None:
        """Report ``count`` more poses as done."""
        self.done += count
        self.on_progress(self.done, self.poses.count)

    @cached_property
    def alpha(self) -> Alpha:
        """How pictures of this export are drawn."""
        return replace(self.poses.alpha, size=self.options.size)

    @cached_property
    def stored(self) -> bool:
        """Whether the data set holds pictures of this size."""
        return "image" in self.poses.columns and self.poses.alpha.size == self.options.size

    @property
    def suffix(self) -> str:
        """File name extension of pictures: "png", or "webp" where they are stored so."""
        return self.poses.run.images if self.stored else "png"

    def pictures(self, block: Block) -> list[bytes]:
        """The encoded picture of every pose of a block."""
        return block["image"] if self.stored else draw_images(block["keypoints"], self.alpha, self.suffix)
