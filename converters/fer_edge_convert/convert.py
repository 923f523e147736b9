"""From model folders to a bundle: convert, measure each file on held-out images, pass the gate, write."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge import __version__
from fer_edge.bundle import Bundle, Manifest, StageSpec
from fer_edge.bundle.store import MANIFEST_NAME
from fer_edge.classifier import softmax
from fer_edge.engines import load_engine
from fer_edge.errors import GateError
from fer_edge.files import check_folder_target, replace_folder, sha256_of_file
from fer_edge.machine import package_versions
from fer_edge.preprocess import PixelCoding
from fer_edge.stage import Stage
from fer_edge_convert.calibration import Calibration, draw_calibration
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_convert.source_models import DetectorSource, read_detector
from fer_edge_convert.variants import MadeVariant, make_variants
from fer_edge_train.datasets import FaceSet, read_fer2013
from fer_edge_train.evaluation import Evaluation, check_labels, evaluate
from fer_edge_train.model_folder import ClassifierSource, read_classifier

__all__ = ["ConvertOptions", "convert"]

_TRAINING, _TEST = "Training", "PublicTest"
_MTCNN_OUTPUT_LENGTHS = {"pnet": (1, 4), "rnet": (1, 4), "onet": (1, 4, 10)}
_PACKAGES = (
    "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "openvino", "nncf", "ai-edge-litert", "numpy",
    "opencv-python-headless",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What to make.

    Attributes:
        engines: of "litert", "onnx", "openvino".
        precisions: of the classifier, the preferred one first.
        data: FER-2013's csv: its Training rows calibrate, its PublicTest rows measure.
        images_per_class: of the calibration set.
        seed: of the calibration set.
        max_drop_points: largest loss of top-1 against the float model, in points, that is let through.
        crop_margin: of the classifier's square crop around the detector's box.
        name, version: of the bundle.
        command: what was typed, for the provenance.
    """

    engines: Sequence[str]
    precisions: Sequence[str]
    data: Path
    images_per_class: int
    seed: int
    max_drop_points: float
    crop_margin: float
    name: str
    version: str
    command: str


def convert(
    model_folder: Path, detector_folder: Path | None, out: Path, options: ConvertOptions, *, force: bool
) -> Manifest:
    """Make a bundle; `out` is written only when every file passed the gate.

    Raises:
        InputError, IntegrityError: a model folder or the data cannot be used.
        UsageError: `out` exists without `force`, or is no bundle.
        GateError: a file loses more than `max_drop_points` of top-1.
    """
    check_folder_target(out, force=force, marker=MANIFEST_NAME)
    source = read_classifier(model_folder)
    detector = read_detector(detector_folder) if detector_folder else None
    sets = read_fer2013(options.data, (_TRAINING, _TEST))
    test = sets[_TEST]
    check_labels(source.labels, test, str(model_folder))
    calibration = (
        draw_calibration(sets[_TRAINING], test, per_class=options.images_per_class, seed=options.seed)
        if "int8" in options.precisions
        else None
    )

    staging = out.with_name(f".{out.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        stages = _convert_detector(detector, options, staging) if detector else {}
        classifier, float_model = _convert_classifier(source, calibration, test, options, staging)
        stages["classifier"] = classifier
        manifest = _manifest(source, detector, stages, calibration, options)
        (staging / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        measured = _measure(staging, manifest, test, float_model)
        _check_gate(measured, options.max_drop_points)
        (staging / MANIFEST_NAME).write_text(measured.to_json(), encoding="utf-8")
        Bundle.open(staging).verify()
        replace_folder(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return measured


def _convert_detector(source: DetectorSource, options: ConvertOptions, folder: Path) -> dict[str, StageSpec]:
    import keras

    stages = {}
    for name in NETWORKS:
        _say(f"{name}: converting for {', '.join(options.engines)}")
        made = make_variants(
            name,
            keras.saving.load_model(source.paths[name], compile=False),
            output_lengths=_MTCNN_OUTPUT_LENGTHS[name],
            engines=options.engines,
            precisions=("float32",),
            calibration=None,
        )
        stages[name] = StageSpec(
            name=name,
            colour="bgr",
            pixel_mean=0.0,
            pixel_std=1.0,
            layout="NHWC",
            variants=tuple(_write(item, folder) for item in made),
        )
    return stages


def _convert_classifier(
    source: ClassifierSource,
    calibration: Calibration | None,
    test: FaceSet,
    options: ConvertOptions,
    folder: Path,
) -> tuple[StageSpec, Evaluation]:
    """Convert the classifier; return its stage and what the Keras model itself does on the test images."""
    import keras

    model = keras.saving.load_model(source.path, compile=False)
    coding = PixelCoding(mean=source.pixel_mean, std=source.pixel_std)
    _say(f"classifier: converting to {', '.join(options.precisions)} for {', '.join(options.engines)}")
    made = make_variants(
        "classifier",
        model,
        output_lengths=(len(source.labels),),
        engines=options.engines,
        precisions=options.precisions,
        calibration=coding.encode(calibration.faces.images) if calibration else None,
    )
    logits: npt.NDArray[np.float32] = model.predict(coding.encode(test.images), batch_size=256, verbose=0)
    stage = StageSpec(
        name="classifier",
        colour="gray" if source.input_shape_hwc[2] == 1 else "bgr",
        pixel_mean=source.pixel_mean,
        pixel_std=source.pixel_std,
        layout="NHWC",
        crop_margin=options.crop_margin,
        variants=tuple(_write(item, folder) for item in made),
    )
    return stage, evaluate(softmax(logits), test)


def _write(made: MadeVariant, folder: Path) -> Any:
    for entry, data in zip(made.variant.files(), made.contents, strict=True):
        (folder / entry.file).write_bytes(data)
    return made.variant


def _measure(folder: Path, manifest: Manifest, test: FaceSet, float_model: Evaluation) -> Manifest:
    """Run every classifier file as the device will, and put its figures into the manifest."""
    bundle = Bundle.open(folder)
    stage_spec = manifest.stages["classifier"]
    measured = []
    for variant in stage_spec.variants:
        stage = Stage(
            bundle,
            "classifier",
            load_engine(variant.engine),
            precision=variant.precision,
            batch_sizes=(64, 1),
        )
        result = evaluate(softmax(stage.run(test.images)[0]), test)
        drop_points = 100 * (float_model.accuracy.top1 - result.accuracy.top1)
        _say(f"classifier {variant.engine} {variant.precision}: {result.accuracy}, drop {drop_points:+.2f} points")
        figures = {**result.to_json(), "drop_points": round(drop_points, 4)}
        measured.append(replace(variant, measured={_TEST: figures}))
    stages = {**manifest.stages, "classifier": replace(stage_spec, variants=tuple(measured))}
    provenance = {**manifest.provenance, "keras_model_measured": {_TEST: float_model.to_json()}}
    return replace(manifest, stages=stages, provenance=provenance)


def _check_gate(manifest: Manifest, max_drop_points: float) -> None:
    for variant in manifest.stages["classifier"].variants:
        drop = variant.measured[_TEST]["drop_points"]
        if drop > max_drop_points:
            raise GateError(
                f"classifier {variant.engine} {variant.precision} loses {drop:.2f} points of top-1 on {_TEST}, "
                f"at most {max_drop_points:g} are let through; nothing was written; "
                "try more --images-per-class or another --seed"
            )


def _manifest(
    source: ClassifierSource,
    detector: DetectorSource | None,
    stages: dict[str, StageSpec],
    calibration: Calibration | None,
    options: ConvertOptions,
) -> Manifest:
    attribution = []
    provenance: dict[str, Any] = {
        "command": options.command,
        "fer_edge_version": __version__,
        "versions": package_versions(_PACKAGES),
        "classifier": {key: source.record[key] for key in ("command", "model", "data", "recipe", "measured")},
    }
    if detector:
        provenance["detector"] = detector.record
        origin = detector.record["source"]
        attribution.append(
            f"MTCNN weights: {origin['distribution']} {origin['version']}, {origin['copyright']}, "
            f"{origin['licence']} licence, {origin['home']}; networks by Zhang et al., 2016"
        )
    return Manifest(
        name=options.name,
        version=options.version,
        licence="Apache-2.0 AND MIT" if detector else "Apache-2.0",
        labels=source.labels,
        stages=stages,
        provenance=provenance,
        calibration=calibration.to_json(sha256_of_file(options.data)) if calibration else {},
        attribution=tuple(attribution),
    )


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
