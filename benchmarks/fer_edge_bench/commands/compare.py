"""`fer-edge bench compare`: is the second measurement better, worse, or can it not be told?"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["COMPARE"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", type=Path, metavar="A.json", help="a record of fer-edge bench")
    parser.add_argument("second", type=Path, metavar="B.json", help="another one")
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    printed.add_argument("--markdown", action="store_true", help="print a Markdown table")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_bench.compare import compare_records, differences, format_comparison
    from fer_edge_bench.record import read_record

    first, second = read_record(arguments.first), read_record(arguments.second)
    made, differing = compare_records(first, second), differences(first, second)
    if arguments.json:
        content = {"differences": differing, "comparisons": [dataclasses.asdict(item) for item in made]}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    else:
        sys.stdout.write(format_comparison(made, differing, markdown=arguments.markdown))
    return 0


COMPARE = Command(summary="compare two records: ratio, interval, better or worse", configure=_configure, run=_run)
