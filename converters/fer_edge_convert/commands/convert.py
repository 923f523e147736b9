"""`fer-edge convert`: from a trained model to a bundle."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.command import Command
from fer_edge.errors import UsageError

if TYPE_CHECKING:
    from fer_edge_convert.convert import Conversion
    from fer_edge_convert.recipe import QuantizationRecipe

__all__ = ["COMMAND"]

# What a manifest may state.
_MIN_CROP_MARGIN, _MAX_CROP_MARGIN = -0.9, 9.0
_PRECISIONS = {
    "int8": "weights, activations, input and output in int8, calibrated",
    "int16": "weights in int8, activations in int16, calibrated (litert)",
    "dynamic-int8": "weights in int8, activations quantized on the fly (litert)",
    "float16": "weights in float16",
    "float32": "as trained (what is made when no other is asked for)",
}
_MAX_EPOCHS = 1000  # of fine-tuning; a handful does
# What a recipe states.
_OF_RECIPE = ("images-per-class", "seed", "method", "search")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="model folder made by fer-edge train, .keras, .onnx or .h5 file, or SavedModel",
    )
    parser.add_argument(
        "--detector", type=Path, metavar="FOLDER", help="folder made by fer-edge import-mtcnn; without it, no detector"
    )
    parser.add_argument(
        "--detector-photos",
        type=Path,
        metavar="FOLDER",
        help="quantize the detector too, calibrated on these photos of faces; without it, it stays float32",
    )
    parser.add_argument(
        "--measure-detector",
        type=Path,
        metavar="PATH",
        help="labelled photos that an int8 detector is measured on: WIDER FACE's ..._bbx_gt.txt, beside images/",
    )
    parser.add_argument("--to", nargs="+", required=True, metavar="ENGINE", help="litert (or tflite), onnx, openvino")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="bundle folder to make")
    parser.add_argument("--force", action="store_true", help="replace bundle and report where they exist")
    parser.add_argument("--name", help="of the bundle (the output's name)")
    parser.add_argument("--version", default="1", help="of the bundle (1)")
    parser.add_argument(
        "--crop-margin",
        type=float,
        default=-0.1,  # the best of benchmarks/studies/crop_margin.py: FER-2013 cuts its faces as close
        metavar="X",
        help="the classifier sees a square (1 + X) times the longer side of the box (-0.1)",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write a report with pictures: Markdown, HTML and record.json"
    )
    parser.add_argument("--json", action="store_true", help="print the measured figures as JSON")

    precisions = parser.add_argument_group("precisions of the classifier, in this order of preference")
    for name, summary in _PRECISIONS.items():
        precisions.add_argument(f"--{name}", action="store_true", help=summary)

    precisions.add_argument(
        "--uint8-edges", action="store_true", help="LiteRT's int8 file takes and gives uint8, as ONNX Runtime's does"
    )

    source = parser.add_argument_group("what a model folder says of itself, and other files do not")
    source.add_argument("--labels", nargs="+", metavar="NAME", help="the classes in the order of the outputs")
    source.add_argument(
        "--pixel-mean",
        type=float,
        metavar="X",
        help="the network takes (pixel - mean) / std: often 0 and 255, or 127.5 twice",
    )
    source.add_argument("--pixel-std", type=float, metavar="X", help="of the same")
    source.add_argument("--layout", metavar="AXES", help="of an ONNX input that can be read as NCHW and NHWC")
    source.add_argument("--trust", action="store_true", help="load files that can run code of whoever made them")

    quantizing = parser.add_argument_group("quantizing")
    quantizing.add_argument(
        "--calibrate",
        required=True,
        metavar="[NAME:]PATH",
        help="data set whose training part calibrates and whose test part measures, e.g. fer2013.csv.gz",
    )
    quantizing.add_argument(
        "--measure", metavar="[NAME:]PATH", help="measure on the test part of this data set instead"
    )
    quantizing.add_argument("--images-per-class", type=int, metavar="N", help="of the calibration set (100)")
    quantizing.add_argument("--seed", type=int, metavar="N", help="of the calibration set (2013)")
    quantizing.add_argument(
        "--method", metavar="NAME", help="that sets the ranges of activations: min-max, percentile, mse, entropy (mse)"
    )
    quantizing.add_argument(
        "--search",
        action="store_true",
        help="find the method, and the layers that stay in float32, for int8; an interrupted search goes on",
    )
    quantizing.add_argument(
        "--recipe", type=Path, metavar="PATH", help="quantize as this recipe or bundle says, instead of the four above"
    )
    quantizing.add_argument(
        "--fine-tune",
        type=int,
        default=0,
        metavar="EPOCHS",
        help="where an engine's int8 loses too much all the same: train the network so long with rounded weights and "
        "activations, and convert again; of networks that Keras saved alone (0: never)",
    )

    gates = parser.add_argument_group("gates: a file that misses one ends the command with code 5, nothing written")
    gates.add_argument(
        "--max-drop", type=float, default=1.0, metavar="POINTS", help="largest loss of top-1 let through (1.0)"
    )
    gates.add_argument(
        "--max-ap-drop",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="largest loss of an int8 detector's average precision let through (1.0)",
    )
    gates.add_argument("--max-bytes", type=int, metavar="N", help="largest size of a variant's files (any)")
    gates.add_argument(
        "--max-latency-ms", type=float, metavar="MS", help="longest time of one face here, median, one thread (any)"
    )


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.engines import engine_name
    from fer_edge_convert.quiet import require_converters
    from fer_edge_train.plots import require_matplotlib
    from fer_edge_train.reports.folder import check_report_target

    _check_numbers(arguments)
    name = arguments.name or arguments.output.resolve().name
    if not name.isprintable() or not arguments.version.isprintable():
        raise UsageError(f"--name, --version: expected text that can be read, found {name!r}, {arguments.version!r}")
    recipe = _recipe(arguments)
    precisions = [name for name in _PRECISIONS if getattr(arguments, name.replace("-", "_"))] or ["float32"]
    if arguments.search and "int8" not in precisions:
        raise UsageError("--search looks for the best int8; add --int8")
    if arguments.method is not None and "int8" not in precisions:
        raise UsageError("--method sets the ranges of int8; add --int8")
    if arguments.fine_tune and "int8" not in precisions:
        raise UsageError("--fine-tune trains the network for int8; add --int8")
    _check_detector(arguments, precisions)
    engines = list(dict.fromkeys(engine_name(name) for name in arguments.to))
    if arguments.uint8_edges and not ("litert" in engines and "int8" in precisions):
        raise UsageError("--uint8-edges is for LiteRT's int8 file; add --int8 and --to litert")
    if arguments.report is not None:
        report, output = arguments.report.resolve(), arguments.output.resolve()
        if report.is_relative_to(output) or output.is_relative_to(report):
            raise UsageError(
                f"--report: expected a folder beside the bundle {arguments.output}, found {arguments.report}: "
                "one of the two would replace the other"
            )
        check_report_target(arguments.report, force=arguments.force)
        require_matplotlib()
    require_converters()
    from fer_edge_convert.convert import ConvertOptions, convert
    from fer_edge_convert.gates import Gates
    from fer_edge_convert.inputs import SourceOptions
    from fer_edge_train.typed_command import typed_command

    options = ConvertOptions(
        engines=engines,
        precisions=precisions,
        calibrate=arguments.calibrate,
        measure=arguments.measure,
        recipe=recipe,
        search=arguments.search,
        fine_tune_epochs=arguments.fine_tune,
        uint8_edges=arguments.uint8_edges,
        detector_photos=arguments.detector_photos,
        detector_annotations=arguments.measure_detector,
        max_ap_drop_points=arguments.max_ap_drop,
        gates=Gates(
            max_drop_points=arguments.max_drop,
            max_bytes=arguments.max_bytes,
            max_latency_ms=arguments.max_latency_ms,
        ),
        compare_activations=arguments.report is not None,
        source=SourceOptions(
            labels=tuple(arguments.labels) if arguments.labels else None,
            pixel_mean=arguments.pixel_mean,
            pixel_std=arguments.pixel_std,
            layout=arguments.layout,
            trust=arguments.trust,
        ),
        crop_margin=arguments.crop_margin,
        name=name,
        version=arguments.version,
        command=typed_command(),
    )
    # Converters print their progress on standard output, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        made = convert(arguments.model, arguments.detector, arguments.output, options, force=arguments.force)
    if arguments.report is not None:
        _write_report(arguments.report, made, options.command)

    if arguments.json:
        rows: list[dict[str, Any]] = [
            {
                "stage": "classifier",
                "engine": figures.engine,
                "precision": figures.precision,
                "bytes": figures.n_bytes,
                "latency_ms": round(latency_ms, 4),
                "measured": {made.data.held_out.name: figures.to_json()},
            }
            for figures, latency_ms in zip(made.figures, made.latencies_ms, strict=True)
        ]
        rows += [
            {"stage": "detector", "engine": item.engine, "measured": item.to_json()} for item in made.detector_figures
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.write(f"{arguments.output}\n")
        for figures, latency_ms in zip(made.figures, made.latencies_ms, strict=True):
            sys.stdout.write(
                f"  {figures.engine:<9} {figures.precision:<12} {figures.n_bytes:>9} bytes  {latency_ms:>7.3f} ms  "
                f"{made.data.held_out.name} {figures.evaluation.accuracy}, drop {figures.drop_points:+.2f} points\n"
            )
        for item in made.detector_figures:
            sys.stdout.write(f"  {item.to_text()}\n")
    return 0


def _write_report(folder: Path, made: Conversion, command: str) -> None:
    from fer_edge_convert.conversion_report import conversion_record, conversion_sections
    from fer_edge_train.reports.folder import write_report

    record = conversion_record(made, command)
    title = f"Conversion of {record['classifier']['model']['name']}"
    write_report(folder, record, lambda place: (title, conversion_sections(place, made, record)))


def _check_numbers(arguments: argparse.Namespace) -> None:
    if arguments.images_per_class is not None and arguments.images_per_class < 1:
        raise UsageError(f"--images-per-class: expected 1 or more, found {arguments.images_per_class}")
    if arguments.seed is not None and arguments.seed < 0:
        raise UsageError(f"--seed: expected 0 or more, found {arguments.seed}")
    if not 0 <= arguments.fine_tune <= _MAX_EPOCHS:
        raise UsageError(f"--fine-tune: expected 0 to {_MAX_EPOCHS} epochs, found {arguments.fine_tune}")
    if not math.isfinite(arguments.max_drop):
        raise UsageError(f"--max-drop: expected a number of points, found {arguments.max_drop}")
    if not math.isfinite(arguments.max_ap_drop):
        raise UsageError(f"--max-ap-drop: expected a number of points, found {arguments.max_ap_drop}")
    if arguments.max_bytes is not None and arguments.max_bytes < 1:
        raise UsageError(f"--max-bytes: expected 1 or more, found {arguments.max_bytes}")
    if arguments.max_latency_ms is not None and not arguments.max_latency_ms > 0:
        raise UsageError(f"--max-latency-ms: expected a positive number, found {arguments.max_latency_ms}")
    if not _MIN_CROP_MARGIN <= arguments.crop_margin <= _MAX_CROP_MARGIN:
        raise UsageError(
            f"--crop-margin: expected {_MIN_CROP_MARGIN:g} to {_MAX_CROP_MARGIN:g}, found {arguments.crop_margin}"
        )


def _check_detector(arguments: argparse.Namespace, precisions: list[str]) -> None:
    if (arguments.detector_photos is None) != (arguments.measure_detector is None):
        raise UsageError(
            "--detector-photos and --measure-detector go together: no int8 detector is written that was not measured"
        )
    if arguments.detector_photos is None:
        return
    if arguments.detector is None:
        raise UsageError("--detector-photos quantizes the detector; name one with --detector")
    if "int8" not in precisions:
        raise UsageError("--detector-photos is for an int8 detector; add --int8")


def _recipe(arguments: argparse.Namespace) -> QuantizationRecipe:
    """Return the recipe that was given, or the default one with what was asked for."""
    from fer_edge_convert.ranges import METHODS
    from fer_edge_convert.recipe import QuantizationRecipe, read_recipe

    if arguments.recipe is not None:
        given = [name for name in _OF_RECIPE if getattr(arguments, name.replace("-", "_")) not in (None, False)]
        if given:
            raise UsageError(f"--{given[0]} and --recipe contradict each other: the recipe says it; give one of them")
        return read_recipe(arguments.recipe)
    asked = {
        name: value
        for name, value in (("images_per_class", arguments.images_per_class), ("seed", arguments.seed))
        if value is not None
    }
    if arguments.method is None:
        return QuantizationRecipe(**asked)
    if arguments.method not in METHODS:
        raise UsageError(f"--method: expected one of {', '.join(METHODS)}, found {arguments.method!r}")
    if arguments.search:
        raise UsageError("--method and --search contradict each other: the search tries every method; give one of them")
    return QuantizationRecipe(**asked, default=replace(QuantizationRecipe().default, method=arguments.method))


COMMAND = Command(summary="turn a trained model into a bundle of quantized files", configure=_configure, run=_run)
