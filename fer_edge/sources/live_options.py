"""How a live source is opened and watched, in numbers.

They follow the watchdog of the network video recorder Frigate:

    no frame for OFFLINE_AFTER_S                          the source is offline, and says so
    REOPEN_AFTER_S after a frame was missed               it is opened again,
    but not before REOPEN_GAP_S after it was last opened  so never more than five times in a minute

A camera that returns is tried within REOPEN_GAP_S and has OPEN_TIMEOUT_S to answer: less than 21 s, and the time that a
stream takes to its next key frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "OFFLINE_AFTER_S",
    "OPEN_TIMEOUT_S",
    "READ_TIMEOUT_S",
    "REOPEN_AFTER_S",
    "REOPEN_GAP_S",
    "LiveOptions",
    "OnState",
]

OFFLINE_AFTER_S = 20.0
REOPEN_AFTER_S = 1.0
REOPEN_GAP_S = 12.5  # five gaps are more than a minute
OPEN_TIMEOUT_S = 8.0
READ_TIMEOUT_S = 8.0

OnState = Callable[[bool, str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How a live source is opened and watched.

    Attributes:
        size_wh: width and height to ask a camera for; None takes what it gives.
        nearest_size: whether another size will do where a camera does not have that one; else it is an error.
        fps: frames per second to ask a camera for; None takes what it gives.
        open_timeout_s: how long opening may take.
        read_timeout_s: how long a frame may take to come before the source is opened again.
        offline_after_s: how long no frame came when the source is called offline.
        reopen_after_s: pause before it is opened again.
        reopen_gap_s: least time from one opening to the next.
        on_state: called with False and the reason when the source goes offline, with True when frames come again; by
            the thread that reads the frames, before the next frame is returned.
    """

    size_wh: tuple[int, int] | None = None
    nearest_size: bool = False
    fps: float | None = None
    open_timeout_s: float = OPEN_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    offline_after_s: float = OFFLINE_AFTER_S
    reopen_after_s: float = REOPEN_AFTER_S
    reopen_gap_s: float = REOPEN_GAP_S
    on_state: OnState | None = None

    def __post_init__(self) -> None:
        if self.size_wh is not None and min(self.size_wh) < 1:
            raise ValueError(f"size_wh: expected two numbers of pixels above 0, found {self.size_wh}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"fps: expected a number above 0, found {self.fps}")
        for name in ("open_timeout_s", "read_timeout_s", "offline_after_s", "reopen_after_s", "reopen_gap_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected seconds above 0, found {getattr(self, name)}")
