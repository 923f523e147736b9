"""`fer-edge bulk`: faces and their apparent expression in a folder tree or a csv list of up to millions of pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.command import Command

if TYPE_CHECKING:
    from fer_edge.bulk.job import BulkSummary
    from fer_edge.bulk.results import Format

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="a folder of pictures and folders, or a csv (or csv.gz) with the column path, or pixels as in FER-2013",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RESULTS", help="RESULTS.jsonl or RESULTS.parquet")
    parser.add_argument("--format", choices=("jsonl", "parquet"), help="of the result (by the name of --out)")
    parser.add_argument("--faces", action="store_true", help="the pictures are faces that are cut already")
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="bundle folder or .zip (the one installed)")
    parser.add_argument("--engine", metavar="NAME", help="litert (or tflite), onnx, openvino (the first installed)")
    parser.add_argument("--precision", metavar="NAME", help="of the classifier: int8, float32 (the bundle's first)")
    parser.add_argument("--min-face", type=float, metavar="PX", help="smallest face looked for in a photo (40)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="faces that the classifier runs at once (32)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (as many as there are cores)")
    parser.add_argument("--force", action="store_true", help="replace RESULTS; start over what was interrupted")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.bulk.job import run_bulk
    from fer_edge.bulk.predictor import BulkPredictor
    from fer_edge.bulk.results import partial_result_path
    from fer_edge.errors import UsageError
    from fer_edge.machine import available_cores

    if arguments.faces and arguments.min_face is not None:
        raise UsageError("--min-face: expected photos, but --faces says that faces are cut already; leave one out")
    if not arguments.faces and arguments.batch_size is not None:
        raise UsageError("--batch-size: expected --faces; a photo's faces are classified one by one")
    predictor = BulkPredictor(
        faces=arguments.faces,
        bundle=arguments.bundle,
        engine=arguments.engine,
        precision=arguments.precision,
        **_given(min_face_px=arguments.min_face, batch_size=arguments.batch_size),
    )
    try:
        summary = run_bulk(
            arguments.source,
            arguments.out,
            predictor,
            kind=arguments.format or _format_of(arguments.out),
            n_workers=available_cores() if arguments.workers is None else arguments.workers,
            progress_stream=sys.stderr,
            force=arguments.force,
        )
    except KeyboardInterrupt:
        if partial_result_path(arguments.out).exists():
            sys.stderr.write(
                f"fer-edge: interrupted; {partial_result_path(arguments.out)} keeps what is done, "
                "the same command goes on from there\n"
            )
        raise
    sys.stdout.write(_summary_text(arguments.out, summary) + "\n")
    if summary.n_errors:
        sys.stderr.write(
            f"fer-edge: error: {summary.n_errors} of {summary.n_rows} inputs could not be read; "
            "their rows in the result say why under error\n"
        )
    return 1 if summary.n_errors else 0


def _given(**values: Any) -> dict[str, Any]:
    """Return the options that were given; the others keep their defaults where these are defined."""
    return {name: value for name, value in values.items() if value is not None}


def _format_of(out: Path) -> Format:
    from fer_edge.errors import UsageError

    suffix = out.suffix.lower()
    if suffix == ".jsonl":
        return "jsonl"
    if suffix == ".parquet":
        return "parquet"
    raise UsageError(f"--out {out}: expected a name that ends in .jsonl or .parquet; or say which with --format")


def _summary_text(out: Path, summary: BulkSummary) -> str:
    n_here = summary.n_rows - summary.n_rows_before
    before = f", {summary.n_rows_before} of them before" if summary.n_rows_before else ""
    rate = f"{n_here / summary.elapsed_s:.0f} a second" if n_here else "nothing was left to do"
    return f"{out}: {summary.n_rows} rows{before}; {rate}"


COMMAND = Command(
    summary="analyse a folder tree or a csv of up to millions of pictures", configure=_configure, run=_run
)
