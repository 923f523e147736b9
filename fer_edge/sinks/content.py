"""What a sink writes: each frame, events, or counts; one JSON text for each."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from fer_edge.frame_record import frame_record
from fer_edge.sinks.aggregate import FaceWindows, aggregate_record
from fer_edge.sinks.base import FrameResult, Sink
from fer_edge.sinks.events import FaceEvents
from fer_edge.sinks.options import ContentOptions

__all__ = ["Content", "RecordSink", "make_content"]

Clock = Callable[[], float]


class Content(ABC):
    """Turns results into JSON texts, in the order of the frames."""

    @abstractmethod
    def texts(self, result: FrameResult) -> list[str]:
        """Return what is to be written at this frame.

        Raises:
            UsageError: the content needs tracked faces, and these are not.
        """

    def end_texts(self) -> list[str]:
        """Return what is to be written where the stream ends or pauses."""
        return []


def make_content(options: ContentOptions, clock: Clock = time.time) -> Content:
    """Return the content that was asked for; `clock` tells the seconds since 1970."""
    if options.content == "events":
        return _Events(clock)
    if options.content == "aggregate":
        return _Aggregate(FaceWindows(options.window_or_default_s, options.min_faces_or_default), clock)
    return _Frames()


class _Frames(Content):
    def texts(self, result: FrameResult) -> list[str]:
        record = frame_record(result.frame, result.analysis, result.labels, result.decode_ms)
        if result.skipped is not None:
            record["skipped"] = result.skipped
        return [json.dumps(record)]


class _Events(Content):
    def __init__(self, clock: Clock) -> None:
        self._events = FaceEvents()
        self._clock = clock

    def texts(self, result: FrameResult) -> list[str]:
        return _json_texts(self._events.records(result, self._clock()))

    def end_texts(self) -> list[str]:
        return _json_texts(self._events.end(self._clock()))


class _Aggregate(Content):
    def __init__(self, windows: FaceWindows, clock: Clock) -> None:
        self._windows = windows
        self._clock = clock
        self._source = ""

    def texts(self, result: FrameResult) -> list[str]:
        counts = self._windows.add(result)
        self._source = result.frame.source
        return [] if counts is None else _json_texts([aggregate_record(counts, self._source, self._clock())])

    def end_texts(self) -> list[str]:
        counts = self._windows.end()
        return [] if counts is None else _json_texts([aggregate_record(counts, self._source, self._clock())])


def _json_texts(records: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(record) for record in records]


class RecordSink(Sink):
    """A sink that writes JSON texts somewhere."""

    def __init__(self, content: Content) -> None:
        self._content = content

    @abstractmethod
    def _put(self, texts: list[str]) -> None:
        """Write some texts, at least one.

        Raises:
            OutputError: they are lost.
        """

    def write(self, result: FrameResult) -> None:
        """Write what the content makes of one frame."""
        texts = self._content.texts(result)
        if texts:
            self._put(texts)

    def source_state(self, online: bool, reason: str) -> None:  # noqa: ARG002 - for those that show it
        """Write what the content makes of a source that ceased to deliver."""
        if not online:
            self._put_end()

    def close(self) -> None:
        """Write the content's end."""
        self._put_end()

    def _put_end(self) -> None:
        texts = self._content.end_texts()
        if texts:
            self._put(texts)
