"""`fer-edge bench scaling`: how far from the arithmetic's floor, and how the cost grows."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.command import Command

if TYPE_CHECKING:
    from fer_edge_bench.plan import PlannedCase
    from fer_edge_bench.scaling.record import ScalingRecord

__all__ = ["SCALING"]


# Of the options that say what is measured.
_DEFAULTS: dict[str, Any] = {"threads": 1, "min_face": 40.0, "frames": 2000, "passes": 10, "rounds": 4}


def _configure(parser: argparse.ArgumentParser) -> None:
    # Options that take several values would take the bundle for one of them.
    parser.usage = "fer-edge bench scaling [BUNDLE] [OPTION ...]"
    parser.add_argument(
        "bundle", nargs="?", type=Path, metavar="BUNDLE", help="folder or .zip (the one installed with fer-edge)"
    )
    parser.add_argument(
        "--engine", nargs="+", default=[], metavar="NAME", help="litert, onnx, openvino (all that are installed)"
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        default=[],
        metavar="NAME",
        help="of the classifier: int8, float32 (the one that the bundle prefers)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="of the engine (1)")
    parser.add_argument("--min-face", type=float, metavar="PX", help="smallest face looked for (40)")
    parser.add_argument(
        "--frames", type=int, metavar="N", help="over which memory is watched (2000; 20000 for the claim)"
    )
    parser.add_argument("--passes", type=int, metavar="N", help="over the pictures in each process (10)")
    parser.add_argument("--rounds", type=int, metavar="N", help="fresh processes for each case, in turns (4)")
    parser.add_argument(
        "--from-record", type=Path, metavar="FILE", help="measure nothing: show this record, or make its page"
    )
    output = parser.add_argument_group("what becomes of it")
    output.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write the record with all samples as JSON, packed where the name ends in .gz",
    )
    output.add_argument("--report", type=Path, metavar="FILE", help="write one HTML page with plots")
    output.add_argument("--force", action="store_true", help="replace the files where they exist")
    output.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.errors import UsageError
    from fer_edge.files import ensure_writable_target, write_bytes, write_text
    from fer_edge.typed_json import to_json_text
    from fer_edge_bench.report.scaling_page import scaling_html
    from fer_edge_bench.report.scaling_tables import format_scaling
    from fer_edge_bench.scaling.record import measuring_command, read_scaling_record

    # All that can be known to be wrong is found before anything is measured.
    for path in (arguments.record, arguments.report):
        if path is not None:
            ensure_writable_target(path, force=arguments.force)
    if arguments.record is not None and arguments.record == arguments.report:
        raise UsageError("--record and --report: expected two files, found one name")
    if arguments.from_record is not None:
        measured = {"bundle": arguments.bundle, "--engine": arguments.engine, "--precision": arguments.precision}
        measured |= {f"--{name.replace('_', '-')}": getattr(arguments, name) for name in _DEFAULTS}
        beside = [name for name, value in {**measured, "--record": arguments.record}.items() if value not in (None, [])]
        if beside:
            raise UsageError(f"--from-record measures nothing: expected no {' or '.join(beside)} beside it")
        record = read_scaling_record(arguments.from_record)
    else:
        record = _measured(arguments)
    if arguments.record is not None:
        text = to_json_text(record)
        write_bytes(arguments.record, _packed(text) if arguments.record.suffix == ".gz" else text.encode())
    if arguments.report is not None:
        write_text(arguments.report, scaling_html(record, command=measuring_command(record)))
    sys.stdout.write(format_scaling(record, markdown=arguments.markdown))
    return 0


def _measured(arguments: argparse.Namespace) -> ScalingRecord:
    from fer_edge.bundle import Bundle
    from fer_edge.errors import UsageError
    from fer_edge_bench.commands.progress import ProgressLine
    from fer_edge_bench.load import write_default_load
    from fer_edge_bench.plan import plan_cases
    from fer_edge_bench.probe import probe_engine
    from fer_edge_bench.scaling.measure import measure_scaling
    from fer_edge_bench.scaling.record import ScalingSettings

    try:
        given = {name: getattr(arguments, name) for name in _DEFAULTS if getattr(arguments, name) is not None}
        values = {**_DEFAULTS, **given}
        settings = ScalingSettings(
            threads=values["threads"],
            passes=values["passes"],
            rounds=values["rounds"],
            frames=values["frames"],
            min_face_px=values["min_face"],
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    bundle = Bundle.open(arguments.bundle)
    cases = plan_cases(
        bundle.manifest, engines=arguments.engine, precisions=arguments.precision, probe=probe_engine, say=_say
    )
    with tempfile.TemporaryDirectory(prefix="fer-edge-bench-") as folder, ProgressLine() as progress:
        load = write_default_load(Path(folder))
        chosen = cases if arguments.precision else _preferred(cases)
        return measure_scaling(bundle, chosen, load, settings, progress=progress)


def _preferred(cases: tuple[PlannedCase, ...]) -> tuple[PlannedCase, ...]:
    """Return the first case of each engine, whose precision is the one that the bundle prefers."""
    first: dict[str, PlannedCase] = {}
    for case in cases:
        first.setdefault(case.engine, case)
    return tuple(first.values())


def _packed(text: str) -> bytes:
    import gzip

    # No time of packing in it: the same record gives the same bytes.
    return gzip.compress(text.encode(), mtime=0)


def _say(message: str) -> None:
    sys.stderr.write(f"fer-edge: {message}\n")


SCALING = Command(summary="how far from the arithmetic's floor, and how the cost grows", configure=_configure, run=_run)
