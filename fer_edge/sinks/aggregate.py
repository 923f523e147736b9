"""How many faces with which apparent expression, in windows of time, and no number that stands for few people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer_edge.sinks.base import FrameResult
from fer_edge.sinks.events import StreamTime, track_id_of, utc_text

__all__ = ["AGGREGATE_SCHEMA", "MIN_FACES", "MIN_WINDOW_S", "FaceCounts", "FaceWindows", "aggregate_record"]

AGGREGATE_SCHEMA = "fer-edge/aggregate/1"

# No count below it is ever told; more may be asked for, fewer may not.
MIN_FACES = 5
# In a shorter window most faces are those of the window before, and the difference of two counts is about one person.
MIN_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceCounts:
    """The distinct faces of a window.

    Attributes:
        start_s: the window's first moment, in the stream's time.
        end_s: its last.
        n_faces: of all; None where that number, or what is left of it beside `by_emotion`, is below the least.
        by_emotion: by label, the faces that showed it for most of their frames; None where they are fewer than the
            least, none among them.
    """

    start_s: float
    end_s: float
    n_faces: int | None
    by_emotion: Mapping[str, int | None]


class FaceWindows:
    """Counts the faces of a stream in windows that follow one another and never overlap.

    A face is a track: who goes and comes back is another one.

    Args:
        window_s: length of a window, in the stream's time.
        min_faces: the least number that is told.
    """

    def __init__(self, window_s: float, min_faces: int = MIN_FACES) -> None:
        self._window_s = window_s
        self._min_faces = min_faces
        self._time = StreamTime()
        self._start_s: float | None = None
        self._last_s = 0.0
        self._labels: tuple[str, ...] = ()
        self._frames_by_track: dict[int, Counter[str]] = {}

    def add(self, result: FrameResult) -> FaceCounts | None:
        """Count the stream's next frame; return the counts of the window before it where it begins another.

        Raises:
            UsageError: a face has no track_id.
        """
        numbers = [(track_id_of(face), face.emotion) for face in result.analysis.faces]
        now_s = self._time.of(result)
        ended = None
        if self._start_s is None or now_s < self._last_s:  # the first frame, also of a stream that began again
            ended = self.end()
            self._start_s = now_s
        elif now_s >= self._start_s + self._window_s:
            ended = self._take(self._start_s, self._start_s + self._window_s)
            self._start_s += self._window_s * math.floor((now_s - self._start_s) / self._window_s)
        self._last_s = now_s
        self._labels = result.labels
        for number, emotion in numbers:
            self._frames_by_track.setdefault(number, Counter())[emotion] += 1
        return ended

    def end(self) -> FaceCounts | None:
        """Return the counts of the window that the stream's end cut short; None where that made it too short."""
        start_s, self._start_s = self._start_s, None
        if start_s is None or self._last_s - start_s < MIN_WINDOW_S:
            self._frames_by_track.clear()
            return None
        return self._take(start_s, self._last_s)

    def _take(self, start_s: float, end_s: float) -> FaceCounts:
        shown = Counter(frames.most_common(1)[0][0] for frames in self._frames_by_track.values())
        self._frames_by_track.clear()
        told = {label: shown[label] if shown[label] >= self._min_faces else None for label in self._labels}
        n_rest = sum(shown.values()) - sum(count or 0 for count in told.values())
        # Total less what is told is a number too.
        is_told = n_rest >= self._min_faces or None not in told.values()
        return FaceCounts(
            start_s=start_s, end_s=end_s, n_faces=sum(shown.values()) if is_told else None, by_emotion=told
        )


def aggregate_record(counts: FaceCounts, source: str, now_unix_s: float) -> dict[str, Any]:
    """Return a window's record as JSON types; `now_unix_s` is when the window ended, in seconds since 1970."""
    return {
        "schema": AGGREGATE_SCHEMA,
        "source": source,
        "start_s": round(counts.start_s, 6),
        "end_s": round(counts.end_s, 6),
        "utc": utc_text(now_unix_s),
        "n_faces": counts.n_faces,
        "by_emotion": dict(counts.by_emotion),
    }
