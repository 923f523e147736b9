"""The service itself: frames of one live source through the pipeline to the sinks, watched by systemd.

One thread does it all, so that a watchdog which is fed after a processed frame tells the truth about each part: a
silent source, an engine that hangs and a sink that blocks all leave it hungry.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

from fer_edge._cv2 import import_cv2
from fer_edge.command import tell
from fer_edge.errors import FerEdgeError, InputError
from fer_edge.pipeline import EmotionPipeline, open_pipeline
from fer_edge.sinks import FanOut, FrameResult, open_sinks
from fer_edge.sources import Frame, LiveOptions, LiveSource, open_source
from fer_edge.tracking import FaceTracker, TrackerOptions
from fer_edge_devices.service.config import (
    PipelineTable,
    ServiceConfig,
    SourceTable,
    TrackingTable,
    load_credentials,
    read_config,
    with_values,
)
from fer_edge_devices.service.notify import Notifier
from fer_edge_devices.service.record import ServiceRecord, write_record

__all__ = ["Service", "SourceLostError"]

T = TypeVar("T")

# How soon a signal is noticed where no frame comes.
_WAIT_S = 0.5
# What a reload may take: a camera that does not open takes 16 s, the one before another 16, models some more.
_RELOAD_S = 60.0
# How often it is told how the service fares.
_REPORT_S = 5.0


class SourceLostError(FerEdgeError, RuntimeError):
    """The source was offline for so long that a new process is to try it."""


class _StopRequested(BaseException):
    """SIGTERM or SIGINT came while something was opened that may take long."""


@dataclass(slots=True, eq=False)
class _Counts:
    """What happened since the last report."""

    began_s: float
    n_frames: int = 0
    n_faces: int = 0


class Service:
    """Runs one configuration until SIGTERM or SIGINT; SIGHUP reads the configuration again.

    Must run in the main thread, which gets the signals.
    """

    def __init__(self, path: Path, environment: MutableMapping[str, str] | None = None) -> None:
        """Read the configuration.

        Args:
            path: of its file.
            environment: systemd's variables and the secrets; None for the process's own.

        Raises:
            InputError: the configuration cannot be used.
        """
        self._path = path
        self._environment = os.environ if environment is None else environment
        self._notifier = Notifier(self._environment)
        self._unit_watchdog_s = self._notifier.watchdog_s
        self._config = self._resolved(read_config(path))
        self._stop = self._reload_wanted = self._is_opening = False
        self._source: LiveSource | None = None
        self._sinks: FanOut | None = None
        self._pipeline: EmotionPipeline | None = None
        self._tracker: FaceTracker | None = None
        self._offline_since_s: float | None = None
        self._offline_reason = ""
        self._n_frames = self._n_reloads = 0
        self._n_dropped_before = 0
        self._began_s = time.monotonic()
        self._counts = _Counts(began_s=self._began_s)
        self._is_ready = False

    def run(self) -> None:
        """Analyse frames until told to end.

        Raises:
            SourceLostError: the source was offline for `offline_restart_s`.
            FerEdgeError: something cannot be opened at the start, or the engine fails.
        """
        with self._signals():
            try:
                with self._opening():
                    self._open_all()
                self._loop()
            except _StopRequested:
                pass
            finally:
                self._notifier.stopping()
                self._close_all()

    def _loop(self) -> None:
        while not self._stop:
            if self._reload_wanted:
                self._reload_wanted = False
                self._reload()
            source = _present(self._source)
            frame = source.read(_WAIT_S)
            if frame is not None:
                self._process(frame)
            self._report_now_and_then()
            self._give_up_lost_source()

    def _process(self, frame: Frame) -> None:
        tracker, pipeline = _present(self._tracker), _present(self._pipeline)
        analysis = tracker.analyse(frame.image_bgr, frame.time_s)
        _present(self._sinks).write(
            FrameResult(
                frame=frame,
                analysis=analysis,
                labels=pipeline.labels,
                decode_ms=0.0,  # another thread reads
                n_dropped=self._n_dropped,
                skipped=tracker.skipped,
            )
        )
        self._n_frames += 1
        self._counts.n_frames += 1
        self._counts.n_faces += len(analysis.faces)
        if not self._is_ready:
            self._is_ready = True
            self._notifier.ready("the first frame is processed")
        self._notifier.frame_processed()

    @property
    def _n_dropped(self) -> int:
        return self._n_dropped_before + (0 if self._source is None else self._source.n_dropped)

    # What is opened, at the start and by a reload.

    def _open_all(self) -> None:
        config = self._config
        # A process of our own may limit OpenCV's workers.
        import_cv2().setNumThreads(config.pipeline.threads or 1)
        self._pipeline = _open_pipeline(config.pipeline)
        self._tracker = _tracker(self._pipeline, config.tracking)
        # Sinks first: what goes offline must be told to somebody.
        self._sinks = _open_sinks(config)
        self._source = self._open_source(config.source)

    def _open_source(self, table: SourceTable) -> LiveSource:
        source = open_source(
            table.spec, live=LiveOptions(size_wh=table.size_wh, fps=table.fps, on_state=self._on_state)
        )
        if not isinstance(source, LiveSource):
            source.close()
            raise InputError(f"[source]: expected a camera or stream, found a {source.kind}; fer-edge run takes those")
        return source

    def _close_all(self) -> None:
        """Close the source and the sinks at once: a camera may take two seconds, a broker three, and a stop five."""
        source, self._source = self._source, None
        sinks, self._sinks = self._sinks, None
        closing = None
        if source is not None:
            closing = threading.Thread(target=source.close, name="fer-edge close")
            closing.start()
        try:
            if sinks is not None:
                sinks.close()
        finally:
            if closing is not None:
                closing.join()

    # What comes from outside: signals, a lost camera.

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stop = True
            if self._is_opening:
                raise _StopRequested

        def reload(_number: int, _frame: FrameType | None) -> None:
            self._reload_wanted = True

        handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """Let SIGTERM break off what happens meanwhile: opening a camera may take 16 s."""
        self._is_opening = True
        try:
            if self._stop:
                raise _StopRequested
            yield
        finally:
            self._is_opening = False

    def _on_state(self, online: bool, reason: str) -> None:
        """Note that the source is lost or back; called in our own thread, inside `read`."""
        tell(f"{'online' if online else 'offline'}: {reason}")
        self._offline_since_s = None if online else time.monotonic()
        self._offline_reason = "" if online else reason
        self._set_watchdog()
        if self._sinks is not None:
            self._sinks.source_state(online, reason)
        self._report()

    def _set_watchdog(self, extra_s: float = 0.0) -> None:
        """Ask for the unit's time, and more while the source is away, when no frame can come to feed the watchdog."""
        if self._unit_watchdog_s is not None:
            # What ends the process then is offline_restart_s; the watchdog only where that fails.
            away_s = 0.0 if self._offline_since_s is None else self._config.source.offline_restart_s
            self._notifier.set_watchdog(self._unit_watchdog_s + away_s + extra_s)

    def _give_up_lost_source(self) -> None:
        longest_s = self._config.source.offline_restart_s
        if self._offline_since_s is not None and time.monotonic() - self._offline_since_s >= longest_s:
            raise SourceLostError(
                f"{self._offline_reason}; offline for {longest_s:g} s, so this process ends for a new one to try"
            )

    # A new configuration.

    def _resolved(self, written: ServiceConfig) -> ServiceConfig:
        load_credentials(self._environment)
        try:
            return with_values(written, self._environment)
        except InputError as error:
            raise InputError(f"{self._path}: {error}") from error

    def _reload(self) -> None:
        """Read the configuration again and replace what changed; keep all as it is where it cannot be used."""
        if self._is_ready:  # what has not started cannot reload
            self._notifier.reloading()
        self._set_watchdog(_RELOAD_S)
        before = self._config
        try:
            wanted = self._resolved(read_config(self._path))
            with self._opening():
                changed = self._replace(before, wanted)
        except FerEdgeError as error:
            if self._source is None or self._sinks is None:  # what was open before cannot be had again
                raise
            text = f"the configuration was not reloaded, the one before goes on: {error}"
        else:
            self._config = wanted
            self._n_reloads += 1
            text = f"the configuration was reloaded: {', '.join(changed) or 'nothing'} changed"
            if "service" in changed:
                text += "; for [service], fer-edge service install writes the unit anew"
        tell(text)
        self._set_watchdog()
        if self._is_ready:
            self._notifier.ready(text)

    def _replace(self, before: ServiceConfig, wanted: ServiceConfig) -> list[str]:
        """Open what changed, the models before the old ones are given up; return the names of the tables that changed.

        Sinks are told of a stream whose times and numbers of faces go on, so they begin anew with another one.

        Raises:
            FerEdgeError: something cannot be opened; all is as before, where that could be opened again.
        """
        tables = ("source", "pipeline", "tracking", "preview", "service", "sinks")
        changed = [name for name in tables if getattr(before, name) != getattr(wanted, name)]
        is_other_source = _asked(before.source) != _asked(wanted.source)
        if not is_other_source and not {"pipeline", "tracking", "preview", "sinks"} & set(changed):
            return changed
        pipeline = _present(self._pipeline)
        if "pipeline" in changed:
            pipeline = _open_pipeline(wanted.pipeline)
        tracker = _tracker(pipeline, wanted.tracking)
        # Two cannot listen on one port, nor read one camera: the old ones go first.
        _present(self._sinks).close()
        self._sinks = None
        try:
            if is_other_source:
                self._replace_source(before.source, wanted.source)
            try:
                self._sinks = _open_sinks(wanted)
            except FerEdgeError:
                if is_other_source:
                    self._replace_source(wanted.source, before.source)
                raise
        except FerEdgeError:
            self._sinks = _open_sinks(before)
            raise
        finally:
            if self._sinks is not None and self._offline_since_s is not None:
                self._sinks.source_state(False, self._offline_reason)
        self._pipeline, self._tracker = pipeline, tracker
        import_cv2().setNumThreads(wanted.pipeline.threads or 1)
        return changed

    def _replace_source(self, before: SourceTable, wanted: SourceTable) -> None:
        """Open a source in place of another, which comes back where that fails."""
        source = _present(self._source)
        self._n_dropped_before += source.n_dropped
        source.close()
        self._source = None
        try:
            self._source = self._open_source(wanted)
        except FerEdgeError:
            self._source = self._open_source(before)
            raise
        if self._offline_since_s is not None:
            self._on_state(True, f"{self._source.name}: opened by a new configuration")

    # How it fares.

    def _report_now_and_then(self) -> None:
        if time.monotonic() - self._counts.began_s >= _REPORT_S:
            self._report()

    def _report(self) -> None:
        """Tell systemd in a line, and the status command in a file."""
        now_s, counts = time.monotonic(), self._counts
        self._counts = _Counts(began_s=now_s)
        elapsed_s = max(now_s - counts.began_s, 1e-3)
        offline_s = None if self._offline_since_s is None else now_s - self._offline_since_s
        record = ServiceRecord(
            utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            pid=os.getpid(),
            uptime_s=round(now_s - self._began_s, 1),
            online=offline_s is None,
            offline_s=None if offline_s is None else round(offline_s, 1),
            reason=self._offline_reason,
            n_frames=self._n_frames,
            n_dropped=self._n_dropped,
            n_reloads=self._n_reloads,
            frames_per_s=round(counts.n_frames / elapsed_s, 2),
            mean_faces=round(counts.n_faces / counts.n_frames, 2) if counts.n_frames else None,
            lost_by_sink={} if self._sinks is None else self._sinks.n_lost_by_sink(),
        )
        # systemd gives several folders with colons between them; the unit has one.
        folder = self._environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
        if folder:
            write_record(record, Path(folder))
        self._notifier.status(record.to_line())


def _open_pipeline(table: PipelineTable) -> EmotionPipeline:
    return open_pipeline(
        table.bundle,
        engine=table.engine,
        precision=table.precision,
        detector_precision=table.detector_precision,
        threads=table.threads,
        min_face_px=table.min_face_px,
    )


def _tracker(pipeline: EmotionPipeline, table: TrackingTable) -> FaceTracker:
    return FaceTracker(
        pipeline,
        TrackerOptions(
            detect_every=table.detect_every,
            max_latency_ms=table.max_latency_ms,
            max_cpu_percent=table.max_cpu_percent,
        ),
    )


def _open_sinks(config: ServiceConfig) -> FanOut:
    sinks = open_sinks(config.sinks, is_tracked=True, tell=tell)
    if config.preview.address is None:
        return sinks
    from fer_edge.preview import PreviewServer

    try:
        preview = PreviewServer(config.preview.address)
        sinks.add("preview", preview)
    except BaseException:
        sinks.close()
        raise
    tell(f"preview at {preview.url}")
    return sinks


def _asked(table: SourceTable) -> tuple[object, ...]:
    """Return what a source is opened with."""
    return table.spec, table.size_wh, table.fps


def _present(part: T | None) -> T:
    """Return what is there while frames are processed."""
    if part is None:
        raise RuntimeError("a part of the service is used before it was opened")
    return part
