"""Reads a camera or stream frame after frame, and opens it again when it is lost (live_options.py has the numbers)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from fer_edge.errors import InputError
from fer_edge.sources.base import Pixels
from fer_edge.sources.live_options import LiveOptions
from fer_edge.sources.newest import NewestFrame

__all__ = ["Capture", "Clock", "Grabber", "MonotonicClock", "OpenCapture"]


class Capture(Protocol):
    """An opened camera or stream.

    Attributes:
        fps: frames per second as it states them, None where it does not.
    """

    fps: float | None

    def read(self, into: Pixels | None) -> Pixels:
        """Wait for the next frame and return it, in the memory of `into` where it fits.

        Raises:
            InputError: none came in time, or what came is no picture in B, G, R.
        """
        ...

    def close(self) -> None:
        """Give the camera or connection back."""
        ...


OpenCapture = Callable[[], Capture]


class Clock(Protocol):
    """Time, and waiting for it; replaced in tests."""

    def now_s(self) -> float:
        """Return seconds that never go back."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait until the condition is notified or the time is over, or less long; the caller holds its lock."""
        ...


class MonotonicClock:
    """The clock of this machine that never goes back."""

    def now_s(self) -> float:
        """See Clock.now_s."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """See Clock.wait."""
        # A handler of a signal may close the source between the look at it and the waiting, and is not heard then.
        condition.wait(1.0 if timeout_s is None else min(timeout_s, 1.0))


class Grabber:
    """Puts frames, one after the other, into the place for the newest one; opens the capture again when it fails.

    One thread runs it; it shares a condition with the thread that takes the frames.

    Attributes:
        closed: set to end it.
        failure: what ended it: no first frame, or an error that is no outage.
        last_error: why the last frame or opening was missed; None while frames come.
        n_opened: openings, those that failed too.
        fps, size_wh: of the capture, known with the first frame.
    """

    def __init__(
        self,
        open_capture: OpenCapture,
        options: LiveOptions,
        clock: Clock,
        changed: threading.Condition,
        newest: NewestFrame,
    ) -> None:
        self.closed = False
        self.failure: Exception | None = None
        self.last_error: InputError | None = None
        self.n_opened = 0
        self.fps: float | None = None
        self.size_wh: tuple[int, int] | None = None
        self._open_capture = open_capture
        self._options = options
        self._clock = clock
        self._changed = changed
        self._newest = newest
        self._memory: Pixels | None = None

    def run(self) -> None:
        """Read until closed, or until there never was a frame; what ends it is in `failure`."""
        try:
            self._open_again_and_again()
        except Exception as error:  # noqa: BLE001 - raised where the frames are read
            with self._changed:
                self.failure = error
                self._changed.notify_all()

    def _open_again_and_again(self) -> None:
        while not self.closed:
            opened_s = self._clock.now_s()
            self.n_opened += 1
            try:
                self._read_until_it_fails()
            except InputError as error:
                if self._newest.newest_s is None:
                    raise
                self.last_error = error
            now_s = self._clock.now_s()
            self._sleep_until(max(now_s + self._options.reopen_after_s, opened_s + self._options.reopen_gap_s))

    def _read_until_it_fails(self) -> None:
        capture = self._open_capture()
        try:
            self.fps = capture.fps
            while not self.closed:
                image_bgr = capture.read(self._memory)
                with self._changed:
                    self.size_wh = (image_bgr.shape[1], image_bgr.shape[0])
                    self.last_error = None
                    self._memory = self._newest.put(image_bgr, self._clock.now_s())
                    self._changed.notify_all()
        finally:
            capture.close()

    def _sleep_until(self, end_s: float) -> None:
        with self._changed:
            while not self.closed and (left_s := end_s - self._clock.now_s()) > 0:
                self._clock.wait(self._changed, left_s)
