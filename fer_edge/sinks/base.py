"""What is written of each analysed frame, and what every place that takes it has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from fer_edge.results import FrameAnalysis
from fer_edge.sources import Frame

__all__ = ["FrameResult", "Sink"]

SinkT = TypeVar("SinkT", bound="Sink")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameResult:
    """What a sink gets for each analysed frame.

    Attributes:
        frame: what was analysed.
        analysis: what was found.
        labels: names of the classes, in the order of `Face.probs`.
        decode_ms: time it took to read and decode the frame.
        n_dropped: frames that the source has dropped so far.
        skipped: whether the frame was not looked at, to keep a bound (`FaceTracker.skipped`); None where all are.
    """

    frame: Frame
    analysis: FrameAnalysis
    labels: tuple[str, ...]
    decode_ms: float
    n_dropped: int = 0
    skipped: bool | None = None


class Sink(ABC):
    """A place for results; a context manager. All calls come from one thread, and none waits for a reader.

    Attributes:
        n_lost: records that `write` took and that were not delivered.
        trouble: why what `write` takes is not delivered at present; None where it is.
    """

    n_lost: int = 0
    trouble: str | None = None

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Take the result of one frame.

        Raises:
            OutputError: this result is lost; the next one may be written.
        """

    def source_state(self, online: bool, reason: str) -> None:  # noqa: B027 - most do not care
        """Learn that the source delivers frames, or has ceased to and why."""

    def close(self) -> None:  # noqa: B027 - some hold nothing
        """Deliver what can be delivered and release what is held; nothing can be written after that.

        Raises:
            OutputError: the end could not be written.
        """

    def __enter__(self: SinkT) -> SinkT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
