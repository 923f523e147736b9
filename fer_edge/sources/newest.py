"""Hands the newest frame of one thread to another, in memory that is used again and again."""

from __future__ import annotations

from dataclasses import dataclass

from fer_edge.sources.base import Pixels

__all__ = ["NewestFrame", "TakenFrame"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TakenFrame:
    """A frame as its reader gets it.

    Attributes:
        image_bgr: uint8 (height, width, 3); not written to before the reader takes the next frame.
        index: from 0, how many frames were put before it.
        time_s: seconds from the first frame that was put to this one.
    """

    image_bgr: Pixels
    index: int
    time_s: float


class NewestFrame:
    """A place for one frame between a writer and a reader: what the reader does not take in time is dropped.

    Three pieces of memory go round: one is written, one waits, one is read. Who calls holds a lock that both share.

    Attributes:
        n_put: frames that came.
        n_dropped: frames of those that were replaced before the reader took them.
        first_s, newest_s: when the first and the last one came, on the writer's clock; None before the first.
    """

    def __init__(self) -> None:
        self.n_put = 0
        self.n_dropped = 0
        self.first_s: float | None = None
        self.newest_s: float | None = None
        self._waiting: TakenFrame | None = None
        self._read: Pixels | None = None
        self._spare: Pixels | None = None

    def put(self, image_bgr: Pixels, came_s: float) -> Pixels | None:
        """Let a frame wait in place of the one before; return memory for the next, None where there is none yet."""
        if self._waiting is not None:
            self.n_dropped += 1
            spare: Pixels | None = self._waiting.image_bgr
        else:
            spare, self._spare = self._spare, None
        self.first_s = came_s if self.first_s is None else self.first_s
        self._waiting = TakenFrame(image_bgr=image_bgr, index=self.n_put, time_s=came_s - self.first_s)
        self.n_put += 1
        self.newest_s = came_s
        return spare

    def take(self) -> TakenFrame | None:
        """Return the frame that waits, None where there is none; the memory of the one taken before is free then."""
        taken = self._waiting
        if taken is not None:
            self._waiting = None
            self._spare, self._read = self._read, taken.image_bgr
        return taken
