"""Who came, who went, and whose apparent expression became another: what a stream of frames says in few words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from fer_edge.errors import UsageError
from fer_edge.results import Face
from fer_edge.sinks.base import FrameResult

__all__ = ["EVENT_SCHEMA", "EVENT_TYPES", "FaceEvents", "StreamTime", "track_id_of", "utc_text"]

EVENT_SCHEMA = "fer-edge/event/1"
EVENT_TYPES = ("face_appeared", "face_left", "apparent_emotion_changed")

# As long as the tracker keeps a lost face's number (`TrackerOptions.forget_after_s`): a face that is found again
# with its number has not left.
LEFT_AFTER_S: Final = 1.0
# Of frames without a time, as the tracker takes them.
_DEFAULT_PERIOD_S = 1 / 25


def track_id_of(face: Face) -> int:
    """Return the number of a face.

    Raises:
        UsageError: it has none.
    """
    if face.track_id is None:
        raise UsageError(
            "events and aggregates need faces with a track_id, found one without; "
            "use a video or a camera, or content=frames"
        )
    return face.track_id


def utc_text(seconds: float) -> str:
    """Return seconds since 1970 as UTC in ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class StreamTime:
    """The time of each frame of a stream, also of those that state none."""

    def __init__(self) -> None:
        self._last_s: float | None = None

    def of(self, result: FrameResult) -> float:
        """Return the frame's time in seconds; where it states none, 1/25 s after the frame before."""
        time_s = result.frame.time_s
        if time_s is None:
            time_s = 0.0 if self._last_s is None else self._last_s + _DEFAULT_PERIOD_S
        self._last_s = time_s
        return time_s


@dataclass(slots=True, eq=False)
class _Present:
    emotion: str
    seen_s: float


class FaceEvents:
    """Compares each frame of a stream with those before it.

    A face has left when it was not seen for LEFT_AFTER_S; the event comes then, not when it was seen last.
    """

    def __init__(self) -> None:
        self._present: dict[int, _Present] = {}
        self._time = StreamTime()
        self._where: tuple[str, int, float] = ("", 0, 0.0)

    def records(self, result: FrameResult, now_unix_s: float) -> list[dict[str, Any]]:
        """Return the events of the stream's next frame as JSON types: who left, then the others in order of number.

        Args:
            result: of the frame.
            now_unix_s: seconds since 1970, for the events' `utc`.

        Raises:
            UsageError: a face has no track_id.
        """
        now_s = self._time.of(result)
        self._where = result.frame.source, result.frame.index, now_s
        # A stream that began again may count its time from 0 again.
        gone = [number for number, face in self._present.items() if abs(now_s - face.seen_s) >= LEFT_AFTER_S]
        seen = {track_id_of(face): face.emotion for face in result.analysis.faces}
        events = [self._left(number, now_unix_s) for number in sorted(gone) if number not in seen]
        for number, emotion in sorted(seen.items()):
            before = self._present.get(number)
            self._present[number] = _Present(emotion, now_s)
            if before is None:
                events.append(self._record("face_appeared", number, emotion, None, now_unix_s))
            elif before.emotion != emotion:
                events.append(self._record("apparent_emotion_changed", number, emotion, before.emotion, now_unix_s))
        return events

    def end(self, now_unix_s: float) -> list[dict[str, Any]]:
        """Return the events of a stream that has ended: everyone left."""
        return [self._left(number, now_unix_s) for number in sorted(self._present)]

    def _left(self, number: int, now_unix_s: float) -> dict[str, Any]:
        return self._record("face_left", number, self._present.pop(number).emotion, None, now_unix_s)

    def _record(
        self, event_type: str, number: int, emotion: str, previous: str | None, now_unix_s: float
    ) -> dict[str, Any]:
        source, frame, time_s = self._where
        return {
            "schema": EVENT_SCHEMA,
            "event_type": event_type,
            "source": source,
            "frame": frame,
            "time_s": round(time_s, 6),
            "utc": utc_text(now_unix_s),
            "track_id": number,
            "emotion": emotion,
            "previous_emotion": previous,
        }
