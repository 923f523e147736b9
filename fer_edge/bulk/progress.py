"""One line on a terminal that says how far a bulk run is; nothing where nobody watches."""

from __future__ import annotations

import time
from typing import TextIO

from fer_edge.bulk.inputs import Inputs

__all__ = ["Progress"]

_PERIOD_S = 0.5
_TO_LINE_END = "\x1b[K"


class Progress:
    """Writes to a stream, at most twice a second, where that is a terminal."""

    def __init__(self, stream: TextIO, inputs: Inputs, n_before: int) -> None:
        self._stream = stream if stream.isatty() else None
        self._inputs = inputs
        self._n_before = n_before
        self._share_before = inputs.share_read()
        self._started_s = self._shown_s = time.monotonic()

    def show(self, n_done: int) -> None:
        """Show that `n_done` inputs are done, those of earlier runs included."""
        now_s = time.monotonic()
        if self._stream is None or now_s - self._shown_s < _PERIOD_S:
            return
        self._shown_s = now_s
        self._stream.write(f"\r{self._line(n_done, now_s - self._started_s)}{_TO_LINE_END}")
        self._stream.flush()

    def clear(self) -> None:
        """Leave an empty line."""
        if self._stream is not None:
            self._stream.write(f"\r{_TO_LINE_END}")
            self._stream.flush()

    def _line(self, n_done: int, elapsed_s: float) -> str:
        share = self._inputs.share_read()
        total = "" if self._inputs.total is None else f" of {self._inputs.total:,}"
        line = f"{n_done:,}{total} ({100 * share:.0f} %), {(n_done - self._n_before) / elapsed_s:,.0f} images/s"
        gained = share - self._share_before
        return line if gained <= 0 else f"{line}, {_clock((1 - share) / gained * elapsed_s)} left"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}"
