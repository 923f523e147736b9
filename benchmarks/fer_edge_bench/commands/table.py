"""`fer-edge bench table`: the records of several devices as one Markdown table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["TABLE"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", nargs="+", type=Path, metavar="RECORD.json", help="records of fer-edge bench")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_bench.device_table import device_table
    from fer_edge_bench.record import read_record

    sys.stdout.write(device_table([(path.as_posix(), read_record(path)) for path in arguments.records]))
    return 0


TABLE = Command(summary="make one Markdown table of the records of several devices", configure=_configure, run=_run)
