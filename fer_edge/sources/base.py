"""What every source gives: frames, and the few facts that are known before the first one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError

__all__ = ["Frame", "OnError", "Pixels", "Source", "SourceKind"]

Pixels = npt.NDArray[np.uint8]
OnError = Callable[[InputError], object]
SourceKind = Literal["photo", "folder", "video", "camera", "stream", "raw"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture and where it came from.

    Attributes:
        image_bgr: uint8 (height, width, 3) in B, G, R; the frame's own memory, but of a live source only until the next
            frame is asked for, when it is used again: copy what is kept longer.
        source: the file's path as it was given, for a folder the folder's path and the file's name, for a camera or
            stream its name without user, password and query.
        index: from 0, the frame's number in a video or since a live source began (those that were dropped count), the
            picture's number in a folder.
        time_s: position in a video in seconds; of a live source the time between the arrival of its first frame and
            of this one, on a clock that never goes back; None for a photo.
    """

    image_bgr: Pixels
    source: str
    index: int
    time_s: float | None


class Source(ABC):
    """Frames to be read once, in order; a context manager that releases what it holds.

    Attributes:
        kind: what the frames come from.
        is_live: whether frames come at their own pace: those that nobody takes in time are dropped.
        fps: a video's average frames per second, what a camera states; None for pictures and where it is not known.
        size_wh: width and height in pixels as delivered, after any rotation; None for pictures.
        n_dropped: frames that came and were replaced by newer ones before they were read; 0 where nothing is live.
    """

    kind: SourceKind
    is_live: ClassVar[bool] = False
    fps: float | None = None
    size_wh: tuple[int, int] | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @property
    def n_dropped(self) -> int:
        """Frames that came and were never read."""
        return 0

    def close(self) -> None:  # noqa: B027 - pictures hold nothing open
        """Release the file or camera; nothing can be read after that."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
