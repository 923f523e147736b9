"""`fer-edge evaluate`: what a bundle or a trained model does on labelled faces."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.command import Command
from fer_edge_train.datasets.fer2013 import FER2013_USAGES

__all__ = ["COMMAND", "RECORD_SCHEMA"]

RECORD_SCHEMA = "fer-edge/evaluation-record/1"
_PACKAGES = ("numpy", "opencv-python-headless")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="bundle (folder or .zip), or model folder made by fer-edge train"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="fer2013.csv or fer2013.csv.gz")
    parser.add_argument(
        "--usage", choices=FER2013_USAGES, default="PublicTest", help="rows of the data to measure on (PublicTest)"
    )
    parser.add_argument(
        "--engine", help="of a bundle: litert (or tflite), onnx, openvino (the first that is installed and in it)"
    )
    parser.add_argument("--precision", help="of a bundle: int8 or float32 (the bundle's preferred one)")
    parser.add_argument("--threads", type=int, metavar="N", help="of a bundle's engine (1)")
    parser.add_argument(
        "--reference-kernels", action="store_true", help="of a bundle: LiteRT's plain kernels, equal on every machine"
    )
    parser.add_argument("--confusion-png", type=Path, metavar="FILE", help="draw the confusion matrix into a PNG")
    parser.add_argument("--force", action="store_true", help="replace the picture where it exists")
    parser.add_argument("--json", action="store_true", help="print a record as JSON instead of the table")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.files import sha256_of_file
    from fer_edge.machine import machine_summary, package_versions
    from fer_edge_train.datasets import read_fer2013
    from fer_edge_train.evaluation import check_labels, evaluate
    from fer_edge_train.scorers import EngineChoice, open_scorer

    picture: Path | None = arguments.confusion_png
    if picture is not None:
        _check_picture(picture, force=arguments.force)
    scorer = open_scorer(
        arguments.model,
        EngineChoice(
            engine=arguments.engine,
            precision=arguments.precision,
            threads=arguments.threads,
            reference_kernels=arguments.reference_kernels,
        ),
    )
    faces = read_fer2013(arguments.data, (arguments.usage,))[arguments.usage]
    check_labels(scorer.labels, faces, str(arguments.model))
    result = evaluate(scorer.probs(faces.images), faces)
    if picture is not None:
        from fer_edge_train.plots import plot_confusion

        plot_confusion(
            result.confusion, result.labels, f"{scorer.title}\n{arguments.usage}, {result.accuracy}", picture
        )

    if arguments.json:
        record: dict[str, Any] = {
            "schema": RECORD_SCHEMA,
            "fer_edge_version": __version__,
            **scorer.to_json(),
            "data": {
                "name": "FER-2013",
                "usage": arguments.usage,
                "file_sha256": sha256_of_file(arguments.data),
                "digest": faces.digest(),
            },
            "labels": list(result.labels),
            "measured": result.to_json(),
            "versions": package_versions(_PACKAGES),
            "machine": machine_summary(),
        }
        sys.stdout.write(json.dumps(record, allow_nan=False) + "\n")
    else:
        sys.stdout.write(f"{scorer.title}\n{arguments.data.name}, {arguments.usage}\n\n{result.to_text()}\n")
    return 0


def _check_picture(path: Path, *, force: bool) -> None:
    """Check before any work that the picture can be drawn and written."""
    from fer_edge.files import ensure_writable_target
    from fer_edge_train.plots import require_matplotlib

    ensure_writable_target(path, force=force)
    require_matplotlib()


COMMAND = Command(summary="measure a model or bundle on a data set", configure=_configure, run=_run)
