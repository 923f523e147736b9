"""What watchers of a run get: the newest frame, its record, and how the run fares.

The thread that analyses leaves each result here and goes on. All else, copying a frame excepted, is done by the threads
of those who watch, and none of it while nobody does.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fer_edge._cv2 import import_cv2
from fer_edge.frame_record import frame_record
from fer_edge.sinks.base import FrameResult
from fer_edge.stage import Pixels

__all__ = ["EVENT_SCHEMA", "PreviewFeed"]

EVENT_SCHEMA = "fer-edge/preview/1"

# Rates and times are means over this long: some detections are in it, and a change shows soon.
_MEAN_OVER_S = 2.0
# As many frames as are looked at for a mean: 2 s of 128 frames a second.
_MAX_RECENT = 256
# A picture's longer side, and its JPEG quality of 0 to 100: a phone shows no more, and some 60 kB go over Wi-Fi.
_MAX_PICTURE_PX = 960
_JPEG_QUALITY = 80
# Frames are copied for this long after somebody last asked for a picture.
_PICTURES_WANTED_S = 2.0
# A reader of events who went away is noticed by writing to him; a picture is waited for as long.
_QUIET_S = 5.0
# A sensor's file takes some 10 us to read, and silicon does not heat up faster than this.
_TEMPERATURE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class _Sample:
    """A frame's times, without the frame."""

    at_s: float
    decode_ms: float
    detect_ms: float
    classify_ms: float
    stages_ms: Mapping[str, float]


@dataclass(slots=True, kw_only=True, eq=False)
class _Snapshot:
    """A result that watchers get, and what was made of it for the first of them."""

    number: int
    at_s: float
    result: FrameResult
    recent: tuple[_Sample, ...]
    image_bgr: Pixels | None
    event: str | None = None
    jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class _SourceState:
    online: bool
    reason: str


class PreviewFeed:
    """Takes results from one thread and gives them to any number of others.

    Args:
        temperature_c: gives degrees Celsius, None where it cannot; None where nothing measures.
        max_rate_hz: frames a second that watchers get at most; between them frames are left out.
        clock: gives seconds, always rising.
    """

    def __init__(
        self,
        *,
        temperature_c: Callable[[], float | None] | None,
        max_rate_hz: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_temperature_c = temperature_c
        self._period_s = 1 / max_rate_hz
        self._clock = clock
        self._started_s = clock()
        self._run = secrets.token_hex(8)
        self._changed = threading.Condition()  # guards all below, up to the blank line
        self._recent: deque[_Sample] = deque(maxlen=_MAX_RECENT)
        self._snapshot: _Snapshot | None = None
        self._state = _SourceState(True, "")
        self._n_watchers = 0
        self._n_published = 0
        self._next_s = 0.0
        self._pictures_until_s = 0.0
        self._closed = False

        self._making = threading.Lock()  # guards what is made of a snapshot once for all watchers
        self._temperature: float | None = None
        self._temperature_until_s = 0.0

    @property
    def online(self) -> bool:
        """Whether the source delivers frames."""
        return self._state.online

    def publish(self, result: FrameResult) -> None:
        """Take a frame's result; its picture may be overwritten as soon as this returns."""
        now_s = self._clock()
        analysis = result.analysis
        sample = _Sample(now_s, result.decode_ms, analysis.detect_ms, analysis.classify_ms, analysis.stages_ms)
        with self._changed:
            self._recent.append(sample)
            if not self._n_watchers or now_s < self._next_s or self._closed:
                return
            # Counted on from when it was due, so that 14 frames a second become 10, and not every second one.
            self._next_s = max(self._next_s + self._period_s, now_s)
            self._n_published += 1
            image_bgr = result.frame.image_bgr
            self._snapshot = _Snapshot(
                number=self._n_published,
                at_s=now_s,
                result=result,
                recent=tuple(self._recent),
                image_bgr=image_bgr.copy() if now_s < self._pictures_until_s else None,
            )
            self._changed.notify_all()

    def set_source_state(self, online: bool, reason: str) -> None:
        """Tell watchers that the source delivers frames, or why it does not."""
        with self._changed:
            self._state = _SourceState(online, reason)
            self._changed.notify_all()

    def close(self) -> None:
        """End all streams of events and all waiting for pictures."""
        with self._changed:
            self._closed = True
            self._snapshot = None
            self._changed.notify_all()

    def events(self) -> Generator[tuple[str, str], None, None]:
        """Yield names and JSON of events: hello, source, frame, and end; "quiet" where nothing came for some seconds.

        Who takes them slowly gets the newest frame each time, and misses those between.
        """
        with self._watching():
            yield "hello", json.dumps({"schema": EVENT_SCHEMA, "run": self._run})
            number, state = 0, None
            while True:
                with self._changed:
                    self._changed.wait_for(partial(self._is_news, number, state), _QUIET_S)
                    snapshot, new_state, closed = self._snapshot, self._state, self._closed
                if closed:
                    yield "end", "{}"
                    return
                is_quiet = True
                if new_state is not state:
                    state, is_quiet = new_state, False
                    yield "source", json.dumps({"online": state.online, "reason": state.reason})
                if snapshot is not None and snapshot.number > number:
                    number, is_quiet = snapshot.number, False
                    yield "frame", self._event(snapshot)
                if is_quiet:
                    yield "quiet", "{}"

    def picture(self, after: int) -> tuple[int, bytes] | None:
        """Wait for a picture and return its number and JPEG; None where none came for some seconds.

        Args:
            after: number of the picture seen before; 0 for none.
        """

        def newest() -> _Snapshot | None:
            snapshot = self._snapshot
            is_new = snapshot is not None and snapshot.number > after and snapshot.image_bgr is not None
            return snapshot if is_new else None

        with self._watching():
            with self._changed:
                self._pictures_until_s = self._clock() + _QUIET_S + _PICTURES_WANTED_S
                self._changed.wait_for(lambda: self._closed or newest() is not None, _QUIET_S)
                self._pictures_until_s = self._clock() + _PICTURES_WANTED_S
                snapshot = newest()
            if snapshot is None or snapshot.image_bgr is None:
                return None
            with self._making:
                if snapshot.jpeg is None:
                    snapshot.jpeg = _encode(snapshot.image_bgr)
            return snapshot.number, snapshot.jpeg

    @contextmanager
    def _watching(self) -> Iterator[None]:
        with self._changed:
            self._n_watchers += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_watchers -= 1
                if not self._n_watchers:
                    self._snapshot = None  # no frame is kept while nobody watches

    def _is_news(self, number: int, state: _SourceState | None) -> bool:
        is_newer = self._snapshot is not None and self._snapshot.number > number
        return is_newer or self._state is not state or self._closed

    def _event(self, snapshot: _Snapshot) -> str:
        with self._making:
            if snapshot.event is None:
                snapshot.event = json.dumps(self._content(snapshot))
            return snapshot.event

    def _content(self, snapshot: _Snapshot) -> dict[str, Any]:
        result = snapshot.result
        temperature_c = self._temperature_c(snapshot.at_s)
        record = frame_record(result.frame, result.analysis, result.labels, result.decode_ms)
        if result.skipped is not None:
            record["skipped"] = result.skipped
        return {
            "number": snapshot.number,
            "clock_s": round(snapshot.at_s - self._started_s, 3),
            "record": record,
            **_run_figures(snapshot.recent),
            "n_dropped": result.n_dropped,
            "temperature_c": None if temperature_c is None else round(temperature_c, 1),
        }

    def _temperature_c(self, now_s: float) -> float | None:
        if self._read_temperature_c is not None and now_s >= self._temperature_until_s:
            self._temperature = self._read_temperature_c()
            self._temperature_until_s = now_s + _TEMPERATURE_EVERY_S
        return self._temperature


def _run_figures(samples: Sequence[_Sample]) -> dict[str, Any]:
    """Return frames per second and mean times of the last seconds; of the last two frames where those came slower."""
    newest_s = samples[-1].at_s
    recent = [sample for sample in samples if newest_s - sample.at_s <= _MEAN_OVER_S]
    if len(recent) < 2:
        recent = list(samples[-2:])
    n = len(recent)
    elapsed_s = newest_s - recent[0].at_s
    parts_ms: dict[str, float] = {}
    # The frame with the most parts first: its order is the pipeline's.
    for sample in sorted(recent, key=lambda sample: -len(sample.stages_ms)):
        for name, part_ms in sample.stages_ms.items():
            parts_ms[name] = parts_ms.get(name, 0.0) + part_ms
    decode_ms = sum(sample.decode_ms for sample in recent) / n
    detect_ms = sum(sample.detect_ms for sample in recent) / n
    classify_ms = sum(sample.classify_ms for sample in recent) / n
    return {
        "frames_per_s": round((n - 1) / elapsed_s, 2) if elapsed_s > 0 else None,
        "mean_latency_ms": {
            "decode": round(decode_ms, 3),
            "detect": round(detect_ms, 3),
            "classify": round(classify_ms, 3),
            "total": round(decode_ms + detect_ms + classify_ms, 3),
        },
        "mean_stages_ms": {name: round(total_ms / n, 3) for name, total_ms in parts_ms.items()},
    }


def _encode(image_bgr: Pixels) -> bytes:
    cv2 = import_cv2()
    height, width = image_bgr.shape[:2]
    scale = _MAX_PICTURE_PX / max(height, width)
    if scale < 1:
        size_wh = (max(round(width * scale), 1), max(round(height * scale), 1))
        image_bgr = cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image_bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    jpeg: bytes = data.tobytes()
    return jpeg
