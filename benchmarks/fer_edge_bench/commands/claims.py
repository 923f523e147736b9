"""`fer-edge bench claims`: what the papers claim, and what was measured."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["CLAIMS"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "record", nargs="?", type=Path, metavar="RECORD.json", help="a record of fer-edge bench (accuracies alone)"
    )
    parser.add_argument(
        "--evaluation",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a record of fer-edge evaluate, a model folder, folds or a bundle, may be repeated",
    )
    parser.add_argument(
        "--zoo", action="store_true", help="also count the zoo's networks, which needs fer-edge[train] and a minute"
    )
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_bench.claims import check_claims, format_claims
    from fer_edge_bench.claims_data import read_claims
    from fer_edge_bench.claims_evaluations import read_evaluations
    from fer_edge_bench.claims_networks import network_figures
    from fer_edge_bench.record import read_record

    record = None if arguments.record is None else read_record(arguments.record)
    evaluations = [found for path in arguments.evaluation for found in read_evaluations(path)]
    claims = read_claims()
    networks = network_figures(sorted(claims.networks)) if arguments.zoo else ()
    results = check_claims(claims, record, evaluations, networks)
    sys.stdout.write(format_claims(results, markdown=arguments.markdown))
    return 0


CLAIMS = Command(summary="compare records with what the papers claim", configure=_configure, run=_run)
