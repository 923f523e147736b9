"""`fer-edge run`: faces and their apparent expression in a photo, a folder of photos or a video."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.command import Command
from fer_edge.errors import FerEdgeError

if TYPE_CHECKING:
    from fer_edge.pipeline import EmotionPipeline
    from fer_edge.sources import Frame, Source
    from fer_edge.tracking import FaceTracker

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a photo, a folder of photos, or a video file")
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="bundle folder or .zip (the one installed)")
    parser.add_argument("--engine", metavar="NAME", help="litert (or tflite), onnx, openvino (the first installed)")
    parser.add_argument("--precision", metavar="NAME", help="of the classifier: int8, float32 (the bundle's first)")
    parser.add_argument("--detector-precision", metavar="NAME", help="of the detector's networks (the bundle's first)")
    parser.add_argument("--min-face", type=float, default=40.0, metavar="PX", help="smallest face looked for (40)")
    parser.add_argument("--threads", type=int, metavar="N", help="that the engine may use (1)")
    parser.add_argument("--no-tuning", action="store_true", help="leave what fer-edge tune found alone")
    parser.add_argument(
        "--detect-every",
        type=int,
        metavar="N",
        help="of a video: detect in every N-th frame at least, follow faces between (10; 1 follows none)",
    )
    parser.add_argument(
        "--max-latency-ms",
        type=float,
        metavar="MS",
        help="of a video: detect as often as a frame takes no longer than this on average",
    )
    parser.add_argument(
        "--annotate", type=Path, metavar="PATH", help="write an annotated photo, folder of photos, or video"
    )
    parser.add_argument("--text", action="store_true", help="lines for people instead of JSON Lines")
    parser.add_argument("--force", action="store_true", help="replace what --annotate names where it exists")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge._cv2 import import_cv2
    from fer_edge.annotate import open_annotation
    from fer_edge.frame_record import frame_record, frame_text
    from fer_edge.sources import open_source

    # A process of our own may limit OpenCV's workers; a library inside somebody's firmware must not.
    import_cv2().setNumThreads(max(arguments.threads or 1, 1))
    failures: list[FerEdgeError] = []

    def report(error: FerEdgeError) -> None:
        failures.append(error)
        sys.stderr.write(f"fer-edge: error: {error}\n")

    with (
        open_source(arguments.source, report) as source,
        open_annotation(
            arguments.annotate, source, source_path=Path(arguments.source), force=arguments.force
        ) as annotation,
    ):
        pipeline = _pipeline(arguments)
        tracker = _tracker(pipeline, source, arguments)
        for frame, decode_ms in _timed(source):
            if tracker is None:
                analysis = pipeline.analyse(frame.image_bgr)
            else:
                analysis = tracker.analyse(frame.image_bgr, frame.time_s)
            if arguments.text:
                sys.stdout.write(frame_text(frame, analysis, pipeline.labels) + "\n")
            else:
                sys.stdout.write(json.dumps(frame_record(frame, analysis, pipeline.labels, decode_ms)) + "\n")
            sys.stdout.flush()  # who reads a pipe wants each frame now
            annotation.write(frame, analysis, pipeline.labels)
    if arguments.annotate and arguments.text:
        sys.stdout.write(f"annotated: {arguments.annotate}\n")
    return 1 if failures else 0


def _pipeline(arguments: argparse.Namespace) -> EmotionPipeline:
    """Return the pipeline asked for; where nothing was asked for, the one that `fer-edge tune` found the fastest."""
    from fer_edge.bundle import Bundle
    from fer_edge.pipeline import EmotionPipeline
    from fer_edge.tuning import read_tuning

    chosen = (arguments.engine, arguments.precision, arguments.detector_precision, arguments.threads)
    if not arguments.no_tuning and chosen == (None, None, None, None):
        tuning = read_tuning(Bundle.open(arguments.bundle))
        if tuning is not None:
            return EmotionPipeline(arguments.bundle, min_face_px=arguments.min_face, stages=tuning.stages)
    return EmotionPipeline(
        arguments.bundle,
        engine=arguments.engine,
        precision=arguments.precision,
        detector_precision=arguments.detector_precision,
        min_face_px=arguments.min_face,
        threads=1 if arguments.threads is None else arguments.threads,
    )


def _tracker(pipeline: EmotionPipeline, source: Source, arguments: argparse.Namespace) -> FaceTracker | None:
    """Return what looks at a video; None for pictures, which have nothing in common."""
    from fer_edge.errors import UsageError
    from fer_edge.tracking import FaceTracker, TrackerOptions

    given = {
        name: value
        for name, value in (("detect_every", arguments.detect_every), ("max_latency_ms", arguments.max_latency_ms))
        if value is not None
    }
    if source.kind != "video":
        if given:
            options = " and ".join(f"--{name.replace('_', '-')}" for name in given)
            raise UsageError(f"{options}: expected a video, found a {source.kind}; leave it out")
        return None
    try:
        return FaceTracker(pipeline, TrackerOptions(**given))
    except ValueError as error:
        raise UsageError(str(error)) from error


def _timed(source: Source) -> Iterator[tuple[Frame, float]]:
    """Yield each frame with the milliseconds it took to read and decode it."""
    frames = iter(source)
    while True:
        started = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        yield frame, 1000 * (time.perf_counter() - started)


COMMAND = Command(
    summary="find faces and their apparent expression in a photo, folder or video", configure=_configure, run=_run
)
