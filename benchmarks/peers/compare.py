"""Compares fer-edge with packages that a user can install today: the same photos, one interleaved run.

    python benchmarks/peers/compare.py --environments FOLDER -o record.json.gz       measures
    python benchmarks/peers/compare.py --record record.json.gz --markdown            prints the tables
    python benchmarks/peers/compare.py --record record.json.gz --picture peers.png   draws them

README.md says what is measured and how. Photos come from $FER_EDGE_DATA or --data.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from peer_cases import CASES, MIN_FACE_PX
from peer_comparison import Plan, compare_packages
from peer_picture import draw_record
from peer_record import PeersRecord, RunSettings, read_record, write_record
from peer_table import format_record

from fer_edge.errors import FerEdgeError, UsageError
from fer_edge.files import ensure_writable_target

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Measure, or show a record; return the exit code."""
    args = _parser().parse_args(arguments)
    try:
        record = read_record(args.record) if args.record is not None else _measure(args)
        if args.picture is not None:
            ensure_writable_target(args.picture, force=args.force)
            draw_record(record, args.picture)
        else:
            print(format_record(record, markdown=args.markdown), end="")
    except FerEdgeError as error:
        print(f"compare.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare fer-edge with packages that can be installed today.")
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--environments", type=Path, help="measure; folder for one virtual environment each")
    work.add_argument("--record", type=Path, help="show this record")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    parser.add_argument("--picture", type=Path, help="draw a PNG instead of tables")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    measure = parser.add_argument_group("measuring")
    measure.add_argument("-o", "--output", type=Path, help="the record to write (.json or .json.gz)")
    measure.add_argument("--data", type=Path, default=os.environ.get("FER_EDGE_DATA"), help="default: $FER_EDGE_DATA")
    measure.add_argument(
        "--python", type=Path, action="append", help="interpreter of the environments (default: this one); repeatable"
    )
    measure.add_argument("--only", action="append", help="only the packages of this folder; repeatable")
    measure.add_argument("--rounds", type=int, default=3, help="fresh processes of each package (default: 3)")
    measure.add_argument("--passes", type=int, default=4, help="timed calls on each photo in a round (default: 4)")
    measure.add_argument("--threads", type=int, default=1, help="that each package may use (default: 1)")
    measure.add_argument("--wider-photos", type=int, default=100, help="labelled photos to search (default: 100)")
    measure.add_argument("--timeout", type=float, default=300.0, help="seconds an answer may take (default: 300)")
    return parser


def _measure(args: argparse.Namespace) -> PeersRecord:
    if args.output is None or args.data is None:
        raise UsageError("to measure, expected --output, and --data or $FER_EDGE_DATA")
    ensure_writable_target(args.output, force=args.force)
    folders = {case.folder for case in CASES}
    if unknown := set(args.only or ()) - folders:
        raise UsageError(f"--only: expected some of {', '.join(sorted(folders))}, found {', '.join(sorted(unknown))}")
    try:
        settings = RunSettings(threads=args.threads, rounds=args.rounds, passes=args.passes, min_face_px=MIN_FACE_PX)
    except ValueError as error:
        raise UsageError(str(error)) from error
    record = compare_packages(
        Plan(
            cases=[case for case in CASES if not args.only or case.folder in args.only],
            settings=settings,
            environments=args.environments,
            pythons=[path.absolute() for path in args.python or [Path(sys.executable)]],
            data=args.data,
            n_wider_photos=args.wider_photos,
            timeout_s=args.timeout,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
    )
    write_record(args.output, record)
    return record


if __name__ == "__main__":
    raise SystemExit(main())
