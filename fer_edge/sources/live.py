"""A camera or stream that is read at its own pace, by a thread that keeps the newest frame alone.

What a reader gets is never older than one frame, however long it took with the one before.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import ClassVar

from fer_edge.errors import InputError
from fer_edge.sources.base import Frame, Source, SourceKind
from fer_edge.sources.grabber import Clock, Grabber, MonotonicClock, OpenCapture
from fer_edge.sources.live_options import LiveOptions
from fer_edge.sources.newest import NewestFrame, TakenFrame

__all__ = ["LiveSource"]

# What is waited for a thread that may be inside a driver or a decoder; it ends by itself when it comes back.
_CLOSE_WAIT_S = 2.0


class LiveSource(Source):
    """The newest frame of a camera or stream, for as long as it is not closed.

    Attributes:
        name: of the camera or stream, without anything secret.
        is_online: whether frames came lately, as of the last look at the source.
    """

    is_live: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        kind: SourceKind,
        open_capture: OpenCapture,
        options: LiveOptions | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        """Open the camera and wait for its first frame.

        Raises:
            InputError: it cannot be opened, or no frame comes.
            MissingExtraError: a package that it needs is not installed.
        """
        self.name = name
        self.kind = kind
        self.is_online = True
        self._options = options or LiveOptions()
        self._clock = clock or MonotonicClock()
        self._changed = threading.Condition()
        self._newest = NewestFrame()
        self._grabber = Grabber(open_capture, self._options, self._clock, self._changed, self._newest)
        self._begin()

    def _begin(self) -> None:
        """Start reading and wait for the first frame."""
        options, grabber = self._options, self._grabber
        thread = threading.Thread(target=grabber.run, name=f"fer-edge {self.name}", daemon=True)
        # Also when nobody closes it: Python may not end while a daemon thread comes and goes between C++ and Python,
        # it would abort.
        self._end = weakref.finalize(self, _end, grabber, self._changed, thread)
        started_s = self._clock.now_s()
        thread.start()
        # Timeouts of drivers and libraries are their own; this one holds where they do not.
        deadline_s = started_s + options.open_timeout_s + options.read_timeout_s
        try:
            with self._changed:
                while self._newest.newest_s is None and grabber.failure is None:
                    left_s = deadline_s - self._clock.now_s()
                    if left_s <= 0:
                        raise InputError(
                            f"{self.name}: no frame came within {deadline_s - started_s:g} s; is the camera connected?"
                        )
                    self._clock.wait(self._changed, left_s)
                if self._newest.newest_s is None and grabber.failure is not None:
                    raise grabber.failure
                self.fps, self.size_wh = grabber.fps, grabber.size_wh
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        while not self._grabber.closed:
            frame = self.read()
            if frame is not None:
                yield frame

    def read(self, timeout_s: float | None = None) -> Frame | None:
        """Return the newest frame, waiting for one that was not read yet; None after `timeout_s` or when closed.

        Without a timeout it waits as long as it takes: through an outage of hours, if need be.
        """
        deadline_s = None if timeout_s is None else self._clock.now_s() + timeout_s
        while True:
            with self._changed:
                taken = self._wait(deadline_s)
                state = self._new_state(taken)
            if state is not None:
                self.is_online = state[0]
                if self._options.on_state is not None:
                    self._options.on_state(*state)
            if taken is not None:
                return Frame(
                    image_bgr=taken.image_bgr,
                    source=self.name,
                    index=taken.index,
                    time_s=taken.time_s,
                )
            if self._grabber.closed or (deadline_s is not None and self._clock.now_s() >= deadline_s):
                return None

    def _wait(self, deadline_s: float | None) -> TakenFrame | None:
        """Wait for a frame; None when closed, at the deadline, or when it is time to go offline."""
        grabber = self._grabber
        while not grabber.closed:
            taken = self._newest.take()
            if taken is not None:
                return taken
            if grabber.failure is not None:
                raise grabber.failure
            now_s = self._clock.now_s()
            ends_s = [end_s for end_s in (deadline_s, self._offline_s()) if end_s is not None]
            if ends_s and now_s >= min(ends_s):
                return None
            self._clock.wait(self._changed, min(ends_s) - now_s if ends_s else None)
        return None

    def _offline_s(self) -> float | None:
        """Return when the source goes offline if no frame comes; None where it is."""
        newest_s = self._newest.newest_s
        return newest_s + self._options.offline_after_s if self.is_online and newest_s is not None else None

    def _new_state(self, taken: TakenFrame | None) -> tuple[bool, str] | None:
        """Return whether the source is online now, and why, where that has changed."""
        if taken is not None:
            return None if self.is_online else (True, f"{self.name}: frames come again")
        offline_s = self._offline_s()
        if self._grabber.closed or offline_s is None or self._clock.now_s() < offline_s:
            return None
        error = self._grabber.last_error
        why = "the camera or its driver does not answer" if error is None else str(error).removeprefix(f"{self.name}: ")
        return False, f"{self.name}: no frame for {self._options.offline_after_s:g} s; {why}"

    @property
    def n_dropped(self) -> int:
        """Frames that came and were replaced by newer ones before they were read."""
        return self._newest.n_dropped

    @property
    def n_opened(self) -> int:
        """How often the camera or stream was opened, or tried to: 1 where it was never lost."""
        return self._grabber.n_opened

    def close(self) -> None:
        """End the thread that reads, and with it every loop over the frames; may be called from any thread.

        Returns after two seconds at most: a thread inside a driver that does not answer gives the camera back when it
        does, and holds up nothing before that.
        """
        self._end()


def _end(grabber: Grabber, changed: threading.Condition, thread: threading.Thread) -> None:
    with changed:
        grabber.closed = True
        changed.notify_all()
    if thread is not threading.current_thread():
        thread.join(_CLOSE_WAIT_S)
