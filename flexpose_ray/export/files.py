"""What all formats share: files that appear whole, pictures, progress."""

from __future__ import annotations

import errno
import mmap
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

from flexpose_ray.dataset.blocks import Block
from flexpose_ray.dataset.pictures import draw_images
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.errors import StorageError
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore


@dataclass
class Job:
    """One export on its way.

    Attributes:
        poses: what is exported.
        out: where to.
        size: side of canvas and pictures in pixels.
        images: whether pictures are written.
        per_file: poses a file; None for one file.
        present: keys that an earlier call has written.
        on_progress: takes (poses done, poses in all).
        files, written, done: files so far, those of this call among them, and poses.
    """

    poses: PoseReader
    out: Store
    size: int
    images: bool
    per_file: int | None
    present: set[str]
    on_progress: Callable[[int, int], None]
    files: int = 0
    written: int = 0
    done: int = 0

    @contextmanager
    def file(self, key: str) -> Iterator[BinaryIO | None]:
        """A file to fill, which appears under ``key`` when the block ends without an error; None where it is there.

        It grows on disk, in the system's temporary folder.

        Raises:
            StorageError: no space there, or at the place it goes to.
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
            raise StorageError(tempfile.gettempdir(), "no space left", "let TMPDIR name a folder with space") from error
        self.written += 1

    def parts(self, name: str) -> Iterator[tuple[str, int, int]]:
        """Key, first and last position of every file of ``per_file`` poses; ``name`` takes the file's number."""
        for number, first in enumerate(range(0, self.poses.count, self.per_file)):
            yield name.format(number), first, min(first + self.per_file, self.poses.count)

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """The poses at these positions, and progress when they are done with; pictures are in it if they are stored."""
        for block in self.poses.blocks(first, last, images=self.images and self.stored):
            yield block
            self.tell(len(block["index"]))

    def tell(self, count: int) -> None:
        """So many poses more are done."""
        self.done += count
        self.on_progress(self.done, self.poses.count)

    @cached_property
    def alpha(self) -> Alpha:
        """How pictures of this export are drawn."""
        return replace(self.poses.alpha, size=self.size)

    @cached_property
    def stored(self) -> bool:
        """Whether the data set holds pictures of this size."""
        return "image" in self.poses.columns and self.poses.alpha.size == self.size

    @property
    def suffix(self) -> str:
        """How names of pictures end: "png", or "webp" where they are stored so."""
        return self.poses.run.images if self.stored else "png"

    def pictures(self, block: Block) -> list[bytes]:
        """The encoded picture of every pose of a block."""
        return block["image"] if self.stored else draw_images(block["keypoints"], self.alpha, self.suffix)
