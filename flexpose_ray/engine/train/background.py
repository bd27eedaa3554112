"""Writing to storage while training goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundWriter:
    """Runs pieces of work on a thread, one at a time and in order, while training goes on."""

    def __init__(self):
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def submit(self, work: Callable[[], None]) -> None:
        """Begin ``work`` once the work before has ended; raises what made that fail."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), name="writer", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until all work has ended; raises what made it fail."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = error
