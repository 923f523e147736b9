"""`fer-edge bench report`: a record shown again, as tables or as one HTML page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["REPORT"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", type=Path, metavar="RECORD.json", help="a record of fer-edge bench")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write one HTML page with plots")
    parser.add_argument(
        "--bundle", type=Path, metavar="BUNDLE", help="the bundle measured, for the accuracy in the page's plot"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.bundle import Bundle
    from fer_edge.errors import UsageError
    from fer_edge.files import ensure_writable_target, sha256_hex
    from fer_edge_bench.accuracies import bundle_accuracies
    from fer_edge_bench.record import measuring_command, read_record
    from fer_edge_bench.report import write_report
    from fer_edge_bench.table import format_record, print_record

    if arguments.output is None and (arguments.bundle is not None or arguments.force):
        raise UsageError("--bundle and --force: expected -o FILE beside them")
    if arguments.output is not None:
        ensure_writable_target(arguments.output, force=arguments.force)
    record = read_record(arguments.record)
    accuracies = None
    if arguments.bundle is not None:
        bundle = Bundle.open(arguments.bundle)
        if sha256_hex(bundle.manifest_bytes) != record.bundle.manifest_sha256:
            raise UsageError(
                f"--bundle: expected the bundle measured, {record.bundle.name} with manifest "
                f"{record.bundle.manifest_sha256[:16]}, found another"
            )
        accuracies = bundle_accuracies(bundle.manifest)
    if arguments.output is not None:
        write_report(record, arguments.output, accuracies=accuracies, command=measuring_command(record))
    elif arguments.markdown:
        sys.stdout.write(format_record(record, markdown=True))
    else:
        print_record(record, sys.stdout)
    return 0


REPORT = Command(summary="show a record as tables or as an HTML page", configure=_configure, run=_run)
