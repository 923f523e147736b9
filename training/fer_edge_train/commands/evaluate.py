"""`fer-edge evaluate`: what a bundle or a trained model does on labelled faces, or on photos with labelled faces."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.command import Command
from fer_edge.errors import InputError, UsageError
from fer_edge_train.labelled_photos import PARTS

if TYPE_CHECKING:
    from fer_edge_train.evaluation_run import ModelChoice, Outcome
    from fer_edge_train.photo_run import PhotoOptions

__all__ = ["COMMAND"]

_LARGEST_MARGIN = 2.0  # a crop three times as wide as the face

# Options that go with one kind of data; their default is None, so that one that was given can be told.
_OF_FACES = ("usage", "mirrored", "reference_kernels")
_OF_PHOTOS = ("part", "detector", "min_face_px", "thresholds", "crop_margin", "skip_bad")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="bundle (folder or .zip), or model folder made by fer-edge train"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data", metavar="[NAME:]PATH", help="cut-out faces: a data set in its published layout, e.g. fer2013.csv.gz"
    )
    source.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="whole photos: a folder in ExpW's layout (label.lst and Images/)"
    )
    parser.add_argument("--against", type=Path, metavar="MODEL", help="compare with this model on the same faces")

    running = parser.add_argument_group("how a bundle runs")
    running.add_argument("--engine", help="litert (or tflite), onnx, openvino (the first that is installed and in it)")
    running.add_argument("--precision", help="of the classifier: int8 or float32 (the bundle's preferred one)")
    running.add_argument("--threads", type=int, metavar="N", help="of the engine (1)")
    running.add_argument("--against-engine", metavar="ENGINE", help="of the model compared with (as --engine)")
    running.add_argument("--against-precision", metavar="PRECISION", help="of that model (as --precision)")

    faces = parser.add_argument_group("with --data")
    faces.add_argument("--usage", metavar="NAME", help="part of the data to measure on (PublicTest, test or all)")
    faces.add_argument(
        "--mirrored",
        action="store_true",
        default=None,
        help="answer with the mean of each face's and its mirror image's probabilities: twice the work",
    )
    faces.add_argument(
        "--reference-kernels",
        action="store_true",
        default=None,
        help="of a bundle: LiteRT's plain kernels, equal on every machine",
    )

    photos = parser.add_argument_group("with --photos")
    photos.add_argument(
        "--part", choices=PARTS, help="half of the photos, by their names; see docs/evaluation.md (all)"
    )
    photos.add_argument(
        "--detector", type=Path, metavar="BUNDLE", help="bundle to take the detector from (MODEL, else the default one)"
    )
    photos.add_argument("--min-face-px", type=float, metavar="PX", help="smallest face looked for (40)")
    photos.add_argument(
        "--thresholds",
        type=float,
        nargs=3,
        metavar=("P", "R", "O"),
        help="smallest probability of a face that passes P-Net, R-Net and O-Net (0.8 0.7 0.7)",
    )
    photos.add_argument(
        "--crop-margin",
        type=float,
        metavar="X",
        help="the classifier sees a square (1 + X) times the longer side of the box (the bundle's)",
    )
    photos.add_argument(
        "--skip-bad", action="store_true", default=None, help="leave out photos that cannot be read, and list them"
    )

    output = parser.add_argument_group("output")
    output.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write a report with pictures: Markdown, HTML and record.json"
    )
    output.add_argument("--confusion-png", type=Path, metavar="FILE", help="draw the confusion matrix into a PNG")
    output.add_argument("--force", action="store_true", help="replace report and picture where they exist")
    output.add_argument("--json", action="store_true", help="print the record as JSON instead of the table")


def _run(arguments: argparse.Namespace) -> int:
    _check_options(arguments)
    report, picture = arguments.report, arguments.confusion_png
    if report is not None and picture is not None and picture.resolve().is_relative_to(report.resolve()):
        raise UsageError("a report has confusion.png already; leave --confusion-png away, or write it elsewhere")
    _check_outputs(report, picture, force=arguments.force)
    outcome = _measure(arguments)
    if arguments.report is not None:
        from fer_edge_train.reports.folder import write_report

        write_report(arguments.report, outcome.record, outcome.report)
    if arguments.confusion_png is not None:
        _write_confusion(arguments.confusion_png, outcome)
    sys.stdout.write(json.dumps(outcome.record, allow_nan=False) + "\n" if arguments.json else outcome.text)
    return 0


def _measure(arguments: argparse.Namespace) -> Outcome:
    model, against = _models(arguments)
    if arguments.data is not None:
        from fer_edge_train.evaluation_run import measure_faces

        return measure_faces(
            model, against, data=arguments.data, usage=arguments.usage, mirrored=bool(arguments.mirrored)
        )
    from fer_edge_train.photo_run import measure_photos

    return measure_photos(model, against, _photo_options(arguments))


def _models(arguments: argparse.Namespace) -> tuple[ModelChoice, ModelChoice | None]:
    """Return the model and the one it is compared with, each with the options that go with it."""
    from fer_edge_train.evaluation_run import ModelChoice
    from fer_edge_train.scorers import EngineChoice, is_bundle

    choice = EngineChoice(
        engine=arguments.engine,
        precision=arguments.precision,
        threads=arguments.threads,
        reference_kernels=bool(arguments.reference_kernels),
    )
    if arguments.against is None:
        return ModelChoice(path=arguments.model, choice=choice), None
    of_other = replace(
        choice,
        engine=arguments.against_engine or choice.engine,
        precision=arguments.against_precision or choice.precision,
    )
    first_is_bundle, second_is_bundle = is_bundle(arguments.model), is_bundle(arguments.against)
    if not second_is_bundle and (arguments.against_precision or (arguments.against_engine and not arguments.photos)):
        raise UsageError(
            f"{arguments.against} is a trained model, which Keras runs; "
            "--against-engine and --against-precision go with a bundle, leave them away"
        )
    # A trained model has no use for the options that are meant for the bundle beside it.
    if second_is_bundle and not first_is_bundle:
        choice = _without_bundle_options(choice, arguments)
    if first_is_bundle and not second_is_bundle:
        of_other = _without_bundle_options(of_other, arguments)
    return ModelChoice(path=arguments.model, choice=choice), ModelChoice(path=arguments.against, choice=of_other)


def _without_bundle_options(choice: Any, arguments: argparse.Namespace) -> Any:
    # On photos a trained model stands behind a bundle's detector, to which engine and threads belong.
    return replace(choice, precision=None) if arguments.photos is not None else type(choice)()


def _photo_options(arguments: argparse.Namespace) -> PhotoOptions:
    from fer_edge.detector import DetectorOptions
    from fer_edge_train.photo_run import PhotoOptions

    given: dict[str, float] = {}
    if arguments.min_face_px is not None:
        given["min_face_px"] = arguments.min_face_px
    if arguments.thresholds is not None:
        names = ("pnet_threshold", "rnet_threshold", "onet_threshold")
        given.update(zip(names, arguments.thresholds, strict=True))
    try:
        detector_options = DetectorOptions(**given)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(f"--photos: {error}") from error
    return PhotoOptions(
        folder=arguments.photos,
        part=arguments.part or "all",
        detector=arguments.detector,
        detector_options=detector_options,
        crop_margin=arguments.crop_margin,
        skip_bad=bool(arguments.skip_bad),
        on_photo=_count_photos if sys.stderr.isatty() else lambda _done, _all: None,
    )


def _check_options(arguments: argparse.Namespace) -> None:
    with_data = arguments.data is not None
    for name in _OF_PHOTOS if with_data else _OF_FACES:
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} goes with {'--photos' if with_data else '--data'}; leave it away")
    for name in ("against_engine", "against_precision"):
        if getattr(arguments, name) is not None and arguments.against is None:
            raise UsageError(f"--{name.replace('_', '-')} goes with --against; name the model to compare with")
    margin = arguments.crop_margin
    if margin is not None and not (math.isfinite(margin) and -1 < margin <= _LARGEST_MARGIN):
        raise UsageError(f"--crop-margin: expected more than -1 and at most {_LARGEST_MARGIN:g}, found {margin:g}")


def _check_outputs(report: Path | None, picture: Path | None, *, force: bool) -> None:
    """Check before any work that report and picture can be drawn and written."""
    from fer_edge.files import ensure_writable_target

    if report is not None:
        from fer_edge_train.reports.folder import check_report_target

        check_report_target(report, force=force)
    if picture is not None:
        ensure_writable_target(picture, force=force)
    if report is not None or picture is not None:
        from fer_edge_train.plots import require_matplotlib

        require_matplotlib()


def _write_confusion(path: Path, outcome: Outcome) -> None:
    from fer_edge_train.plots import plot_confusion

    if outcome.faces is None:
        raise InputError(f"{path}: no labelled face was found, so there is no confusion to draw")
    plot_confusion(outcome.faces.confusion, outcome.faces.labels, outcome.picture_title, path)


def _count_photos(done: int, n_all: int) -> None:
    # The cursor goes back to the line's start, so that an error, or the result, is written over it.
    line = f"photo {done} of {n_all}"
    sys.stderr.write(f"{line}\r" if done < n_all else f"{' ' * len(line)}\r")
    sys.stderr.flush()


COMMAND = Command(summary="measure a model or bundle on a data set or on photos", configure=_configure, run=_run)
