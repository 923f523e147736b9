"""`fer-edge run`: faces and their apparent expression in a photo, a folder of photos or a video."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from fer_edge.command import Command, tell
from fer_edge.commands.run_board import board_for, start_from, with_wishes
from fer_edge.errors import FerEdgeError

if TYPE_CHECKING:
    from fer_edge.pipeline import EmotionPipeline
    from fer_edge.sinks import FanOut, SinkOptions
    from fer_edge.sources import Frame, LiveOptions, Source
    from fer_edge.tracking import FaceTracker

__all__ = ["COMMAND"]

# `timeout` and shells send a signal to the process and to its group: both of them are one.
_ONE_SIGNAL_S = 0.5


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a photo, a folder of photos, a video file, a camera (0, picamera), a stream (rtsp://…), gst:… or raw:…",
    )
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="start from this board's profile, e.g. raspberry-pi-5, in what no option says (of a camera or stream the "
        "board this is, of a file none); generic for none",
    )
    parser.add_argument("--size", metavar="WxH", help="asked of a camera, e.g. 1280x720 (its own)")
    parser.add_argument("--fps", type=float, metavar="N", help="frames per second asked of a camera (its own)")
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="bundle folder or .zip (the one installed)")
    parser.add_argument("--engine", metavar="NAME", help="litert (or tflite), onnx, openvino (the first installed)")
    parser.add_argument("--precision", metavar="NAME", help="of the classifier: int8, float32 (the bundle's first)")
    parser.add_argument("--detector-precision", metavar="NAME", help="of the detector's networks (the bundle's first)")
    parser.add_argument("--min-face", type=float, metavar="PX", help="smallest face looked for (40)")
    parser.add_argument("--threads", type=int, metavar="N", help="that the engine may use (1)")
    parser.add_argument("--no-tuning", action="store_true", help="leave what fer-edge tune found alone")
    parser.add_argument(
        "--detect-every",
        type=int,
        metavar="N",
        help="of a video: detect in every N-th frame at least, follow faces between (24; 1 follows none)",
    )
    parser.add_argument(
        "--max-latency-ms",
        type=float,
        metavar="MS",
        help="of a video: take no longer than this for a frame on average; detect as often as that allows, skip frames "
        "where not even following does",
    )
    parser.add_argument(
        "--max-cpu",
        type=float,
        metavar="PERCENT",
        help="of a video: the same for what the analysis uses of one processor core in the video's time",
    )
    parser.add_argument(
        "--annotate", type=Path, metavar="PATH", help="write an annotated photo, folder of photos, or video"
    )
    parser.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="SPEC",
        help="where results go, may be repeated: stdout, jsonl:PATH, unix:PATH, mqtt://HOST/TOPIC-PREFIX, "
        "prometheus:HOST:PORT (stdout)",
    )
    parser.add_argument(
        "--preview",
        nargs="?",
        const="127.0.0.1:0",
        metavar="HOST:PORT",
        help="behind SOURCE: show a video or camera live in the browser, on this machine alone if nothing is said",
    )
    parser.add_argument("--text", action="store_true", help="lines for people instead of JSON Lines")
    parser.add_argument("--force", action="store_true", help="replace what --annotate names where it exists")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge._cv2 import import_cv2
    from fer_edge.annotate import open_annotation
    from fer_edge.detector import DetectorOptions
    from fer_edge.frame_record import frame_text
    from fer_edge.pipeline import open_pipeline
    from fer_edge.sinks import FrameResult, open_sinks
    from fer_edge.sources import open_source

    failures: list[FerEdgeError] = []

    def report(error: FerEdgeError) -> None:
        failures.append(error)
        tell(f"error: {error}")

    opened: list[FanOut] = []

    def tell_state(online: bool, reason: str) -> None:
        # Called by the loop below, between two frames: sinks take all calls from one thread.
        tell(f"{'online' if online else 'offline'}: {reason}")
        for sinks in opened:
            sinks.source_state(online, reason)

    sink_options = _sink_options(arguments)
    with ExitStack() as stack:
        board = board_for(arguments.device, arguments.source)
        live = with_wishes(_live_options(arguments, tell_state), board, arguments.source)
        source = stack.enter_context(open_source(arguments.source, report, live=live))
        _check_annotation(source, arguments.annotate)
        annotation = stack.enter_context(
            open_annotation(arguments.annotate, source, source_path=Path(arguments.source), force=arguments.force)
        )
        sinks = stack.enter_context(
            open_sinks(sink_options, is_tracked=source.kind not in ("photo", "folder"), tell=tell)
        )
        _add_preview(sinks, source, arguments.preview)
        opened.append(sinks)
        if board is not None:
            start_from(board, arguments, source)
        # A process of our own may limit OpenCV's workers; a library inside somebody's firmware must not.
        import_cv2().setNumThreads(max(arguments.threads or 1, 1))
        pipeline = open_pipeline(
            arguments.bundle,
            engine=arguments.engine,
            precision=arguments.precision,
            detector_precision=arguments.detector_precision,
            threads=arguments.threads,
            min_face_px=DetectorOptions().min_face_px if arguments.min_face is None else arguments.min_face,
            use_tuning=not arguments.no_tuning,
        )
        tracker = _tracker(pipeline, source, arguments)
        if source.is_live:
            stack.enter_context(_signals_close(source))
        for frame, decode_ms in _timed(source):
            if tracker is None:
                analysis = pipeline.analyse(frame.image_bgr)
            else:
                analysis = tracker.analyse(frame.image_bgr, frame.time_s)
            if arguments.text:
                sys.stdout.write(frame_text(frame, analysis, pipeline.labels) + "\n")
                sys.stdout.flush()  # who reads a pipe wants each frame now
            sinks.write(
                FrameResult(
                    frame=frame,
                    analysis=analysis,
                    labels=pipeline.labels,
                    decode_ms=decode_ms,
                    n_dropped=source.n_dropped,
                    skipped=None if tracker is None else tracker.skipped,
                )
            )
            annotation.write(frame, analysis, pipeline.labels)
        n_dropped = source.n_dropped
    if tracker is not None and tracker.n_skipped:
        tell(f"{tracker.n_skipped} frames were skipped to keep within the bound")
    if n_dropped:
        tell(f"{n_dropped} frames were dropped: newer ones came before they were read")
    if arguments.annotate and arguments.text:
        sys.stdout.write(f"annotated: {arguments.annotate}\n")
    return 1 if failures or any(sinks.n_lost_by_sink().values()) else 0


def _live_options(arguments: argparse.Namespace, on_state: Callable[[bool, str], object]) -> LiveOptions:
    """Return what is asked of a camera.

    Raises:
        UsageError: the size or the rate can be none.
    """
    from fer_edge.errors import UsageError
    from fer_edge.sources import LiveOptions

    size_wh = None
    if arguments.size is not None:
        found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", arguments.size)
        if found is None:
            raise UsageError(f"--size: expected width and height in pixels, e.g. 1280x720, found {arguments.size!r}")
        size_wh = (int(found[1]), int(found[2]))
    try:
        return LiveOptions(size_wh=size_wh, fps=arguments.fps, on_state=on_state)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_annotation(source: Source, target: Path | None) -> None:
    """Refuse a video of frames that come at no rate: its time would not be theirs."""
    from fer_edge.errors import UsageError

    if target is None:
        return
    if source.is_live:
        raise UsageError(
            f"--annotate {target}: expected a photo, folder or video file, found a {source.kind}, whose frames come as "
            "they can; record it and annotate the file, or look at it with --preview"
        )
    if source.kind == "raw" and source.fps is None:
        raise UsageError(f"--annotate {target}: expected frames at a known rate; write it behind SOURCE as @FPS")


def _add_preview(sinks: FanOut, source: Source, address: str | None) -> None:
    """Serve the live page where it is asked for, and say where."""
    from fer_edge.errors import UsageError

    if address is None:
        return
    if source.kind in ("photo", "folder"):
        raise UsageError(f"--preview: expected a video or camera, found a {source.kind}; leave it out")
    from fer_edge.preview import PreviewServer

    preview = PreviewServer(address)
    sinks.add("preview", preview)
    tell(f"preview at {preview.url}")


@contextmanager
def _signals_close(source: Source) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end a live source as a file ends, so that all that was written is kept.

    A second one ends the program as it does elsewhere: a sleeping reader of standard output could hold it up for ever.
    A signal that is ignored stays ignored, as `nohup` and a script's background jobs want it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    began_s: float | None = None

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal began_s
        now_s = time.monotonic()
        if began_s is None:
            began_s = now_s
            source.close()
        elif now_s - began_s > _ONE_SIGNAL_S:
            before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sink_options(arguments: argparse.Namespace) -> list[SinkOptions]:
    """Return the sinks asked for; where nothing was, standard output, which --text takes for itself."""
    from fer_edge.errors import UsageError
    from fer_edge.sinks import parse_sink

    specs = arguments.sink or ([] if arguments.text else ["stdout"])
    options = [parse_sink(spec) for spec in specs]
    if arguments.text and any(each.kind == "stdout" for each in options):
        raise UsageError("--text and --sink stdout would both write to standard output; leave one out")
    return options


def _tracker(pipeline: EmotionPipeline, source: Source, arguments: argparse.Namespace) -> FaceTracker | None:
    """Return what looks at a video; None for pictures, which have nothing in common."""
    from fer_edge.errors import UsageError
    from fer_edge.tracking import FaceTracker, TrackerOptions

    options = {
        "--detect-every": ("detect_every", arguments.detect_every),
        "--max-latency-ms": ("max_latency_ms", arguments.max_latency_ms),
        "--max-cpu": ("max_cpu_percent", arguments.max_cpu),
    }
    given = {word: option for word, option in options.items() if option[1] is not None}
    if source.kind in ("photo", "folder"):
        if given:
            raise UsageError(f"{' and '.join(given)}: expected a video, found a {source.kind}; leave it out")
        return None
    try:
        return FaceTracker(pipeline, TrackerOptions(**dict(given.values())))
    except ValueError as error:
        raise UsageError(str(error)) from error


def _timed(source: Source) -> Iterator[tuple[Frame, float]]:
    """Yield each frame with the milliseconds it took to read and decode it.

    0 of a live source: a thread of its own decodes, and what is waited here is for the world to go on.
    """
    frames = iter(source)
    while True:
        started = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        yield frame, 0.0 if source.is_live else 1000 * (time.perf_counter() - started)


COMMAND = Command(
    summary="find faces and their apparent expression in a photo, folder or video", configure=_configure, run=_run
)
