"""`fer-edge bench`: what a bundle costs on this device."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle", nargs="?", type=Path, metavar="BUNDLE", help="folder or .zip (the one installed with fer-edge)"
    )
    parser.add_argument(
        "--photo", action="append", type=Path, metavar="PATH", help="what to measure on, may be repeated (a demo photo)"
    )
    parser.add_argument(
        "--engine", nargs="+", default=[], metavar="NAME", help="litert, onnx, openvino (all that are installed)"
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        default=[],
        metavar="NAME",
        help="of the classifier: int8, float32 (all in the bundle)",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="that each case may use (1)")
    parser.add_argument("--runs", type=int, default=50, metavar="N", help="samples of each series in a round (50)")
    parser.add_argument(
        "--rounds", type=int, default=2, metavar="N", help="fresh processes for each case, in turns (2)"
    )
    parser.add_argument("--min-face", type=float, default=40.0, metavar="PX", help="smallest face looked for (40)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the record with all samples as JSON")
    parser.add_argument("--force", action="store_true", help="replace the record where it exists")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the record instead of tables")
    output.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.assets import demo_photo_path
    from fer_edge.bundle import Bundle
    from fer_edge.detector import DetectorOptions
    from fer_edge.errors import UsageError
    from fer_edge.files import ensure_writable_target, write_text
    from fer_edge_bench.harness import identify_photo, measure_cases
    from fer_edge_bench.plan import plan_cases
    from fer_edge_bench.probe import probe_engine
    from fer_edge_bench.record import Settings
    from fer_edge_bench.table import format_record
    from fer_edge_bench.typed_json import to_json_text

    # All that can be known to be wrong is found before anything is measured.
    try:
        settings = Settings(
            threads=arguments.threads, runs=arguments.runs, rounds=arguments.rounds, min_face_px=arguments.min_face
        )
        DetectorOptions(min_face_px=settings.min_face_px)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if arguments.record is not None:
        ensure_writable_target(arguments.record, force=arguments.force)
    photos = arguments.photo or [demo_photo_path()]
    for photo in photos:
        identify_photo(photo)
    bundle = Bundle.open(arguments.bundle)
    cases = plan_cases(
        bundle.manifest, engines=arguments.engine, precisions=arguments.precision, probe=probe_engine, say=_say
    )
    record = measure_cases(bundle, cases, photos, settings, progress=_progress)
    text = to_json_text(record)
    if arguments.record is not None:
        write_text(arguments.record, text)
    sys.stdout.write(text if arguments.json else format_record(record, markdown=arguments.markdown))
    return 0


def _say(message: str) -> None:
    sys.stderr.write(f"fer-edge: {message}\n")


def _progress(message: str) -> None:
    if sys.stderr.isatty():
        _say(message)


COMMAND = Command(summary="measure latency, memory and size on this device", configure=_configure, run=_run)
