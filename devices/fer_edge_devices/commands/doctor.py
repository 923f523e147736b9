"""`fer-edge doctor`: what this machine is, what is missing or slows it down, and what to do about it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="bundle to look at (the one installed)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_devices.doctor.examination import examine
    from fer_edge_devices.doctor.host import Subject, this_host
    from fer_edge_devices.system_tree import SystemTree

    examination = examine(Subject(tree=SystemTree(), host=this_host()), arguments.bundle)
    sys.stdout.write((json.dumps(examination.to_json()) if arguments.json else examination.to_text()) + "\n")
    return examination.exit_code


COMMAND = Command(summary="tell what this machine has and what is missing", configure=_configure, run=_run)
