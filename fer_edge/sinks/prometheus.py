"""Metrics for Prometheus over HTTP, in its text format 0.0.4.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit

from fer_edge.errors import OutputError
from fer_edge.sinks.aggregate import FaceCounts, FaceWindows
from fer_edge.sinks.base import FrameResult, Sink
from fer_edge.sinks.options import PrometheusOptions

__all__ = ["CONTENT_TYPE", "PrometheusEndpoint"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Upper bounds in seconds: a workstation takes some milliseconds for a frame, the slowest boards about one second.
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_STAGES = ("decode", "detect", "classify", "total")
_SKIPPED = "Frames that were read and not looked at, to keep a bound on time or processor."
_DROPPED = "Frames that the source dropped, because a newer one had come."
# Who does not finish a request by then is disconnected, and no more are served at a time.
_REQUEST_S = 5.0
_MAX_CONNECTIONS = 8


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS_S) + 1)
        self.sum_s = 0.0

    def observe(self, value_s: float) -> None:
        self.counts[bisect_left(_BUCKETS_S, value_s)] += 1
        self.sum_s += value_s


class PrometheusEndpoint(Sink):
    """Serves `/metrics` until it is closed.

    Attributes:
        port: that it listens on.

    Args:
        options: where, and whether faces are counted in each frame or as distinct faces of windows.
        n_lost_by_sink: tells what each sink did not deliver.

    Raises:
        OutputError: it cannot listen there.
    """

    def __init__(
        self, options: PrometheusOptions, n_lost_by_sink: Callable[[], Mapping[str, int]] = dict[str, int]
    ) -> None:
        self._windows: FaceWindows | None = None
        if options.content == "aggregate":
            self._windows = FaceWindows(options.window_or_default_s, options.min_faces_or_default)
        self._n_lost_by_sink = n_lost_by_sink
        self._lock = threading.Lock()
        self._n_frames = self._n_skipped = self._n_dropped = 0
        self._is_online = False
        self._faces: Counter[str] = Counter()
        self._latency = {stage: _Histogram() for stage in _STAGES}
        self._server = _listen(options, self.text)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="fer-edge-prometheus", daemon=True)
        self._thread.start()

    def write(self, result: FrameResult) -> None:
        """Count one frame."""
        ended = self._windows.add(result) if self._windows is not None else None
        analysis = result.analysis
        times_ms = (result.decode_ms, analysis.detect_ms, analysis.classify_ms)
        with self._lock:
            self._is_online = True
            self._n_frames += 1
            self._n_dropped = result.n_dropped
            self._add_window(ended)
            for label in result.labels:
                self._faces[label] += 0  # a series begins at 0, so that its first increase is seen
            if result.skipped:
                self._n_skipped += 1
                return
            if self._windows is None:
                for face in analysis.faces:
                    self._faces[face.emotion] += 1
            for stage, time_ms in zip(_STAGES, (*times_ms, sum(times_ms)), strict=True):
                self._latency[stage].observe(time_ms / 1000)

    def source_state(self, online: bool, reason: str) -> None:  # noqa: ARG002 - for those that show it
        """Remember it; a source that has ceased ends a window."""
        with self._lock:
            self._is_online = online
            if not online and self._windows is not None:
                self._add_window(self._windows.end())

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def text(self) -> str:
        """Return all metrics."""
        name = "fer_edge_faces_total" if self._windows is None else "fer_edge_distinct_faces_total"
        what = "in a frame" if self._windows is None else "of a window, of those expressions that enough faces showed"
        with self._lock:
            faces = [({"apparent_emotion": label}, count) for label, count in sorted(self._faces.items())]
            latency = {stage: (list(item.counts), item.sum_s) for stage, item in self._latency.items()}
            n_frames, n_skipped, n_dropped = self._n_frames, self._n_skipped, self._n_dropped
            is_online = self._is_online
        lost = [({"sink": sink}, count) for sink, count in self._n_lost_by_sink().items()]
        return "".join(
            [
                _metric("fer_edge_frames_total", "counter", "Frames that were read.", [({}, n_frames)]),
                _metric("fer_edge_frames_skipped_total", "counter", _SKIPPED, [({}, n_skipped)]),
                _metric("fer_edge_frames_dropped_total", "counter", _DROPPED, [({}, n_dropped)]),
                _metric(name, "counter", f"Faces {what}, by apparent emotion.", faces),
                _metric("fer_edge_sink_lost_total", "counter", "What a sink did not deliver.", lost),
                _metric(
                    "fer_edge_source_online", "gauge", "1 while the source delivers frames.", [({}, int(is_online))]
                ),
                _histograms(
                    "fer_edge_latency_seconds", "Time that a frame that was looked at took, by stage.", latency
                ),
            ]
        )

    def _add_window(self, counts: FaceCounts | None) -> None:
        if counts is not None:
            self._faces.update({label: count for label, count in counts.by_emotion.items() if count is not None})


def _metric(name: str, kind: str, what: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> str:
    return _head(name, kind, what) + "".join(_sample(name, labels, value) for labels, value in samples)


def _histograms(name: str, what: str, by_stage: Mapping[str, tuple[list[int], float]]) -> str:
    lines = [_head(name, "histogram", what)]
    for stage, (counts, sum_s) in by_stage.items():
        n_below = 0
        for bound, count in zip((*(f"{bound:g}" for bound in _BUCKETS_S), "+Inf"), counts, strict=True):
            n_below += count
            lines.append(_sample(f"{name}_bucket", {"stage": stage, "le": bound}, n_below))
        lines.append(_sample(f"{name}_sum", {"stage": stage}, sum_s))
        lines.append(_sample(f"{name}_count", {"stage": stage}, n_below))
    return "".join(lines)


def _head(name: str, kind: str, what: str) -> str:
    return f"# HELP {name} {what}\n# TYPE {name} {kind}\n"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value!r}\n" if inside else f"{name} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], family: int, text: Callable[[], str]) -> None:
        self.address_family = family
        self.text = text
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask the name service what this address is called.
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.is_local = ipaddress.ip_address(self.server_name.partition("%")[0]).is_loopback

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # A reader that sends a byte now and then would keep any shorter timeout from ending it.
        deadline = threading.Timer(_REQUEST_S, _hang_up, [request])
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a reader that went is no fault of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        if self.server.is_local and not _is_local_name(self.headers.get("Host")):
            self.send_error(403, "these metrics are for this machine; ask by its address or as localhost")
            return
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "the metrics are at /metrics")
            return
        body = self.server.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def version_string(self) -> str:
        return "fer-edge"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing: each scrape would be a line."""


def _is_local_name(header: str | None) -> bool:
    """Tell whether a Host header is an IP address or localhost; a page's own name may have been led here to read."""
    if header is None:  # HTTP/1.0, which no browser speaks
        return True
    try:
        name = urlsplit(f"//{header}").hostname or ""
        if name != "localhost":
            ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone by itself


def _listen(options: PrometheusOptions, text: Callable[[], str]) -> _Server:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _Server((str(address[0]), int(address[1])), family, text)
    except (OSError, UnicodeError) as error:  # the latter: a part of a name has 63 letters at most
        raise OutputError(
            f"cannot listen on {options.name.partition(':')[2]}: {getattr(error, 'strerror', None) or error}; "
            "choose another port or address"
        ) from error
