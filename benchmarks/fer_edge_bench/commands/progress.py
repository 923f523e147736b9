"""One line on a terminal that says what is being measured and how long the rest may take; elsewhere nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType

__all__ = ["ProgressLine"]

_MINUTE_S = 60.0


class ProgressLine:
    """The line; a context manager that takes it away."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._shown = 0

    def __call__(self, done: float, total: float, what: str) -> None:
        """Show how much of how much is done, in any unit of work, and what is being measured."""
        if not sys.stderr.isatty():
            return
        left = ""
        if done:
            left_s = (time.monotonic() - self._began_s) / done * (total - done)
            left = f", {left_s:.0f} s left" if left_s < 2 * _MINUTE_S else f", {left_s / _MINUTE_S:.0f} min left"
        line = f"fer-edge: {100 * done / total:.0f} % done{left}: {what}"
        sys.stderr.write("\r" + line.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(line)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A terminal that has hung up takes no more, and must not keep the record from being written.
        if self._shown and sys.stderr.isatty():
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
