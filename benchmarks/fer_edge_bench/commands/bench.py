"""`fer-edge bench`: what a bundle costs on this device; and what is done with its records."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.command import Command
from fer_edge_bench.commands.claims import CLAIMS
from fer_edge_bench.commands.compare import COMPARE
from fer_edge_bench.commands.report import REPORT
from fer_edge_bench.commands.scaling import SCALING
from fer_edge_bench.commands.table import TABLE

if TYPE_CHECKING:
    from fer_edge.bundle import Bundle
    from fer_edge_bench.claims_evaluations import Evaluation
    from fer_edge_bench.commands.progress import ProgressLine
    from fer_edge_bench.load import LoadFrame
    from fer_edge_bench.record import BenchRecord, Settings

__all__ = ["COMMAND"]

_MINUTE_S = 60.0


def _configure(parser: argparse.ArgumentParser) -> None:
    # Options that take several values would take the bundle for one of them.
    parser.usage = "fer-edge bench [BUNDLE] [OPTION ...]"
    parser.add_argument(
        "bundle", nargs="?", type=Path, metavar="BUNDLE", help="folder or .zip (the one installed with fer-edge)"
    )
    what = parser.add_argument_group("what is measured")
    what.add_argument(
        "--photo",
        action="append",
        type=Path,
        metavar="PATH",
        help="a picture or a folder of them, may be repeated (eight views of a demo photo, 640 x 480)",
    )
    what.add_argument(
        "--engine", nargs="+", default=[], metavar="NAME", help="litert, onnx, openvino (all that are installed)"
    )
    what.add_argument(
        "--precision",
        nargs="+",
        default=[],
        metavar="NAME",
        help="of the classifier: int8, float32 (all in the bundle)",
    )
    what.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N", help="a case for each number (1)")
    what.add_argument("--min-face", type=float, default=40.0, metavar="PX", help="smallest face looked for (40)")
    what.add_argument("--runs", type=int, default=40, metavar="N", help="samples of a series in each process (40)")
    what.add_argument("--rounds", type=int, default=4, metavar="N", help="fresh processes for each case, in turns (4)")
    what.add_argument(
        "--scenario",
        nargs="+",
        default=[],
        metavar="NAME",
        help="also: offline (pictures in bulk), multi-stream (cameras at once), sustained (minutes)",
    )
    what.add_argument("--frame-rate", type=float, metavar="FPS", help="of each camera of multi-stream (15)")
    what.add_argument("--minutes", type=float, metavar="M", help="measure sustained work of one case, for so long (30)")
    what.add_argument(
        "--training",
        nargs="+",
        default=[],
        metavar="ARCH",
        help="also steps of training these networks on this machine",
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
    output.add_argument("--claims", action="store_true", help="also compare with what the papers claim")
    output.add_argument(
        "--evaluation",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="with --claims: a record of fer-edge evaluate, a model folder or a bundle, may be repeated",
    )
    printed = output.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print the record instead of tables")
    printed.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.bundle import Bundle
    from fer_edge.errors import UsageError
    from fer_edge.files import ensure_writable_target
    from fer_edge_bench.claims_evaluations import read_evaluations
    from fer_edge_bench.commands.progress import ProgressLine
    from fer_edge_bench.harness import Interrupted, measure_cases
    from fer_edge_bench.load import read_load
    from fer_edge_bench.plan import plan_cases
    from fer_edge_bench.probe import probe_engine
    from fer_edge_bench.training import check_architectures

    # All that can be known to be wrong is found before anything is measured.
    settings = _settings(arguments)
    for path in (arguments.record, arguments.report):
        if path is not None:
            ensure_writable_target(path, force=arguments.force)
    if arguments.record is not None and arguments.record == arguments.report:
        raise UsageError("--record and --report: expected two files, found one name")
    if arguments.evaluation and not arguments.claims:
        raise UsageError("--evaluation: expected --claims beside it")
    evaluations = [found for path in arguments.evaluation for found in read_evaluations(path)]
    check_architectures(arguments.training)
    if arguments.photo:
        read_load(arguments.photo)
    bundle = Bundle.open(arguments.bundle)
    cases = plan_cases(
        bundle.manifest, engines=arguments.engine, precisions=arguments.precision, probe=probe_engine, say=_say
    )
    n_cases = len(cases) * len(settings.threads)
    if "sustained" in settings.scenarios and n_cases > 1:
        raise UsageError(
            f"sustained work: expected one case, found {n_cases}, each of which would heat the board for the next; "
            "name one with --engine, --precision and --threads"
        )
    interruption: KeyboardInterrupt | None = None
    with _load(arguments.photo) as load, ProgressLine() as progress:
        try:
            record = measure_cases(bundle, cases, load, settings, progress=progress)
            if arguments.training:
                record = _with_training(record, arguments.training, progress)
        except Interrupted as error:
            if error.record is None:
                raise error.__cause__ or error from None
            record, interruption = error.record, error
    try:
        _give_out(record, bundle, evaluations, arguments)
    finally:
        if interruption is not None:
            _say(f"interrupted: what had been measured is {'kept' if arguments.record else 'shown'}, marked as partial")
    if interruption is not None:
        raise interruption.__cause__ or interruption
    for failure in record.failures:
        _say(f"{failure.case}, {failure.step}, failed: {failure.error}")
    return 1 if record.failures else 0


@contextmanager
def _load(photos: Sequence[Path] | None) -> Iterator[tuple[LoadFrame, ...]]:
    """Yield the pictures given, or the default ones, which are files for as long as they are needed.

    Raises:
        InputError: a picture cannot be used.
        OutputError: there is no folder for temporary files.
    """
    from fer_edge.errors import OutputError
    from fer_edge_bench.load import read_load, write_default_load

    if photos:
        yield read_load(photos)
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="fer-edge-bench-")
    except OSError as error:
        raise OutputError(
            f"cannot make a temporary folder: {error.strerror or error}; name one in TMPDIR, or give --photo"
        ) from error
    with folder as name:
        yield write_default_load(Path(name))


def _with_training(record: BenchRecord, architectures: Sequence[str], progress: ProgressLine) -> BenchRecord:
    """Add steps of training; what goes wrong with one network loses neither the record nor the others."""
    from fer_edge.errors import FerEdgeError
    from fer_edge_bench.harness import Interrupted
    from fer_edge_bench.record import CaseFailure
    from fer_edge_bench.training import measure_training

    for number, architecture in enumerate(architectures):
        progress(number, len(architectures), f"training {architecture}")
        try:
            (measured,) = measure_training([architecture], progress=lambda *_: None)
            record = dataclasses.replace(record, training=(*record.training, measured))
        except FerEdgeError as error:
            failure = CaseFailure(case=architecture, step="training", error=str(error))
            record = dataclasses.replace(record, failures=(*record.failures, failure))
        except KeyboardInterrupt as error:
            raise Interrupted(dataclasses.replace(record, partial=True)) from error
    return record


def _settings(arguments: argparse.Namespace) -> Settings:
    from fer_edge.detector import DetectorOptions
    from fer_edge.errors import UsageError
    from fer_edge_bench.record import Settings

    scenarios = list(dict.fromkeys(arguments.scenario))
    if arguments.minutes is not None and "sustained" not in scenarios:
        scenarios.append("sustained")
    if arguments.frame_rate is not None and "multi-stream" not in scenarios:
        raise UsageError("--frame-rate: expected --scenario multi-stream beside it")
    changed = {}
    if arguments.frame_rate is not None:
        changed["frame_rate"] = arguments.frame_rate
    if arguments.minutes is not None:
        changed["sustained_s"] = _MINUTE_S * arguments.minutes
    try:
        settings = Settings(
            threads=tuple(dict.fromkeys(arguments.threads)),
            runs=arguments.runs,
            rounds=arguments.rounds,
            min_face_px=arguments.min_face,
            scenarios=tuple(scenarios),
            **changed,
        )
        DetectorOptions(min_face_px=settings.min_face_px)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return settings


def _give_out(
    record: BenchRecord, bundle: Bundle, evaluations: Sequence[Evaluation], arguments: argparse.Namespace
) -> None:
    from fer_edge.errors import OutputError
    from fer_edge.files import write_bytes
    from fer_edge.typed_json import to_json_text
    from fer_edge_bench.accuracies import bundle_accuracies
    from fer_edge_bench.claims import check_claims, format_claims
    from fer_edge_bench.claims_data import read_claims
    from fer_edge_bench.claims_evaluations import accuracy_of_bundle
    from fer_edge_bench.record import measuring_command
    from fer_edge_bench.report import write_report
    from fer_edge_bench.table import format_record, print_record

    text = to_json_text(record)
    failed: list[OutputError] = []
    # The record first: what comes after can be made from it again. Where it cannot be written the tables still come.
    if arguments.record is not None:
        try:
            write_bytes(arguments.record, _packed(text) if arguments.record.suffix == ".gz" else text.encode())
        except OutputError as error:
            failed.append(error)
    if arguments.report is not None:
        accuracies, command = bundle_accuracies(bundle.manifest), measuring_command(record)
        try:
            write_report(record, arguments.report, accuracies=accuracies, command=command)
        except OutputError as error:
            failed.append(error)
    if arguments.json:
        sys.stdout.write(text)
    elif arguments.markdown:
        sys.stdout.write(format_record(record, markdown=True))
    else:
        print_record(record, sys.stdout)
    if arguments.claims:
        results = check_claims(read_claims(), record, [*accuracy_of_bundle(bundle.manifest), *evaluations])
        claims = format_claims(results, markdown=arguments.markdown)
        # The record on standard output is for programs; there the claims are talk.
        (sys.stderr if arguments.json else sys.stdout).write(f"\n{claims}")
    if failed:
        raise failed[0]


def _packed(text: str) -> bytes:
    import gzip

    # No time of packing in it: the same record gives the same bytes.
    return gzip.compress(text.encode(), mtime=0)


def _say(message: str) -> None:
    sys.stderr.write(f"fer-edge: {message}\n")


COMMAND = Command(
    summary="measure latency, memory and size on this device",
    configure=_configure,
    run=_run,
    actions={"compare": COMPARE, "report": REPORT, "table": TABLE, "claims": CLAIMS, "scaling": SCALING},
)
