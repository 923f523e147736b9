"""`fer-edge convert`: from a trained model to a bundle."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from pathlib import Path

from fer_edge.command import Command
from fer_edge.errors import UsageError

__all__ = ["COMMAND"]

# What a manifest may state.
_MIN_CROP_MARGIN, _MAX_CROP_MARGIN = -0.9, 9.0


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder made by fer-edge train")
    parser.add_argument(
        "--detector", type=Path, metavar="FOLDER", help="folder made by fer-edge import-mtcnn; without it, no detector"
    )
    parser.add_argument("--to", nargs="+", required=True, metavar="ENGINE", help="litert (or tflite), onnx, openvino")
    parser.add_argument("--int8", action="store_true", help="full int8, calibrated")
    parser.add_argument("--float32", action="store_true", help="float32 (what is made without --int8)")
    parser.add_argument(
        "--calibrate",
        type=Path,
        required=True,
        metavar="CSV",
        help="fer2013.csv[.gz]: Training rows calibrate, PublicTest rows measure",
    )
    parser.add_argument("--images-per-class", type=int, default=100, metavar="N", help="of the calibration set (100)")
    parser.add_argument("--seed", type=int, default=2013, help="of the calibration set (2013)")
    parser.add_argument(
        "--max-drop", type=float, default=1.0, metavar="POINTS", help="largest loss of top-1 let through (1.0)"
    )
    parser.add_argument(
        "--crop-margin",
        type=float,
        default=0.0,  # the best of benchmarks/studies/crop_margin.py that does not cut into the face
        metavar="X",
        help="the classifier sees a square (1 + X) times the longer side of the box (0)",
    )
    parser.add_argument("--name", help="of the bundle (the output's name)")
    parser.add_argument("--version", default="1", help="of the bundle (1)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="bundle folder to make")
    parser.add_argument("--force", action="store_true", help="replace the bundle where it exists")
    parser.add_argument("--json", action="store_true", help="print the measured figures as JSON")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.engines import engine_name
    from fer_edge_convert.quiet import require_converters

    if arguments.images_per_class < 1:
        raise UsageError(f"--images-per-class: expected 1 or more, found {arguments.images_per_class}")
    if not math.isfinite(arguments.max_drop):
        raise UsageError(f"--max-drop: expected a number of points, found {arguments.max_drop}")
    if not _MIN_CROP_MARGIN <= arguments.crop_margin <= _MAX_CROP_MARGIN:
        raise UsageError(
            f"--crop-margin: expected {_MIN_CROP_MARGIN:g} to {_MAX_CROP_MARGIN:g}, found {arguments.crop_margin}"
        )
    precisions = ["int8"] if arguments.int8 else []
    if arguments.float32 or not precisions:
        precisions.append("float32")
    engines = list(dict.fromkeys(engine_name(name) for name in arguments.to))
    require_converters()
    from fer_edge_convert.convert import ConvertOptions, convert
    from fer_edge_train.typed_command import typed_command

    options = ConvertOptions(
        engines=engines,
        precisions=precisions,
        data=arguments.calibrate,
        images_per_class=arguments.images_per_class,
        seed=arguments.seed,
        max_drop_points=arguments.max_drop,
        crop_margin=arguments.crop_margin,
        name=arguments.name or arguments.output.resolve().name,
        version=arguments.version,
        command=typed_command(),
    )
    # Converters print their progress on standard output, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        manifest = convert(arguments.model, arguments.detector, arguments.output, options, force=arguments.force)

    variants = manifest.stages["classifier"].variants
    if arguments.json:
        rows = [
            {
                "engine": variant.engine,
                "precision": variant.precision,
                "bytes": sum(entry.bytes for entry in variant.files()),
                "measured": variant.measured,
            }
            for variant in variants
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.write(f"{arguments.output}\n")
        for variant in variants:
            figures = variant.measured["PublicTest"]
            low, high = figures["interval95"]
            sys.stdout.write(
                f"  {variant.engine:<9} {variant.precision:<8} "
                f"{sum(entry.bytes for entry in variant.files()):>8} bytes  PublicTest {100 * figures['top1']:.2f} % "
                f"({100 * low:.2f} to {100 * high:.2f}, n = {figures['n']}), "
                f"drop {figures['drop_points']:+.2f} points\n"
            )
    return 0


COMMAND = Command(summary="turn a trained model into a bundle of quantized files", configure=_configure, run=_run)
