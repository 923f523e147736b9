"""`fer-edge tune`: what is the fastest for each stage on this machine; `fer-edge run` takes it from then on."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from fer_edge.command import Command

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    # Options that take several values would take the bundle for one of them.
    parser.usage = "fer-edge tune [BUNDLE] [OPTION ...]"
    parser.add_argument(
        "bundle", nargs="?", type=Path, metavar="BUNDLE", help="folder or .zip (the one installed with fer-edge)"
    )
    parser.add_argument(
        "--photo", action="append", type=Path, metavar="PATH", help="a picture or a folder of them, may be repeated"
    )
    parser.add_argument("--engine", nargs="+", default=[], metavar="NAME", help="to choose from (all installed)")
    parser.add_argument(
        "--threads", nargs="+", type=int, metavar="N", help="to choose from (1, and half and all cores)"
    )
    parser.add_argument("--max-memory-mb", type=float, metavar="MB", help="that a process may take at its peak")
    parser.add_argument("--min-face", type=float, default=40.0, metavar="PX", help="smallest face looked for (40)")
    parser.add_argument("--json", action="store_true", help="print the tuning as JSON")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.bundle import Bundle
    from fer_edge.detector import DetectorOptions
    from fer_edge.errors import UsageError
    from fer_edge.machine import available_cores
    from fer_edge.tuning import write_tuning
    from fer_edge.typed_json import to_json_text
    from fer_edge_bench.commands.progress import ProgressLine
    from fer_edge_bench.load import read_load, write_default_load
    from fer_edge_bench.plan import plan_cases
    from fer_edge_bench.probe import probe_engine
    from fer_edge_bench.table import format_columns
    from fer_edge_bench.tune import describe, tune

    cores = available_cores()
    threads = arguments.threads or sorted({1, max(cores // 2, 1), cores})
    if min(threads) < 1:
        raise UsageError(f"--threads: expected 1 or more, found {min(threads)}")
    if arguments.max_memory_mb is not None and not arguments.max_memory_mb > 0:
        raise UsageError(f"--max-memory-mb: expected a number above 0, found {arguments.max_memory_mb:g}")
    try:
        DetectorOptions(min_face_px=arguments.min_face)
    except ValueError as error:
        raise UsageError(str(error)) from error
    given = read_load(arguments.photo) if arguments.photo else None
    bundle = Bundle.open(arguments.bundle)
    versions: dict[str, str] = {}

    def probe(name: str) -> str:
        versions[name] = probe_engine(name)
        return versions[name]

    plan_cases(bundle.manifest, engines=arguments.engine, precisions=[], probe=probe, say=_say)
    with tempfile.TemporaryDirectory(prefix="fer-edge-tune-") as folder, ProgressLine() as progress:
        outcome = tune(
            bundle,
            versions,
            given or write_default_load(Path(folder)),
            threads=threads,
            min_face_px=arguments.min_face,
            max_memory_bytes=None if arguments.max_memory_mb is None else int(1e6 * arguments.max_memory_mb),
            progress=progress,
        )
    path = write_tuning(outcome.tuning)
    if arguments.json:
        sys.stdout.write(to_json_text(outcome.tuning))
    else:
        rows = [
            [
                describe(item.stages) + (" (default)" if number == 0 else ""),
                f"{item.frame_ms:.2f}",
                f"{item.peak_memory_bytes / 1e6:.1f}",
                "chosen" if item.stages == outcome.tuning.stages else "",
            ]
            for number, item in enumerate(outcome.measured)
        ]
        sys.stdout.write(format_columns(["stages", "a frame, ms", "peak MB", ""], rows) + "\n")
    _say(f"remembered in {path}; fer-edge run takes it, --no-tuning leaves it alone")
    return 0


def _say(message: str) -> None:
    sys.stderr.write(f"fer-edge: {message}\n")


COMMAND = Command(summary="find the fastest engine, precision and threads here", configure=_configure, run=_run)
