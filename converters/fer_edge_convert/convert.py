"""From a trained network to a bundle: convert, measure each file on held-out faces, pass the gates, write."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge import __version__
from fer_edge.bundle import Bundle, Manifest, StageSpec, Variant
from fer_edge.bundle.store import MANIFEST_NAME
from fer_edge.classifier import softmax
from fer_edge.errors import FerEdgeError, GateError, OutputError
from fer_edge.files import check_folder_target, replace_folder
from fer_edge.golden import check_replays, replay_golden
from fer_edge.machine import package_versions
from fer_edge.preprocess import PixelCoding
from fer_edge_convert.arithmetic import count_arithmetic
from fer_edge_convert.calibration import Calibration, draw_calibration, draw_selection
from fer_edge_convert.conversion_data import ConversionData, read_conversion_data
from fer_edge_convert.detector_accuracy import DetectorFigures, check_detector, measure_detector
from fer_edge_convert.detector_conversion import DetectorConversion
from fer_edge_convert.detector_data import DetectorData, read_detector_data
from fer_edge_convert.fine_tuning import check_can_be_fine_tuned, fine_tuned
from fer_edge_convert.float_model import FloatModel
from fer_edge_convert.gates import Gates
from fer_edge_convert.golden import PHOTO_ATTRIBUTION, add_golden, photo_pixels
from fer_edge_convert.inputs import SourceClassifier, SourceOptions, read_source
from fer_edge_convert.measuring import VariantFigures, measure_latencies, measure_variant
from fer_edge_convert.quantizers import CalibratedModel, quantizer_for
from fer_edge_convert.recipe import QuantizationRecipe
from fer_edge_convert.search import SearchOutcome, search
from fer_edge_convert.source_models import DetectorSource, read_detector
from fer_edge_convert.tensor_errors import TensorError
from fer_edge_convert.trials import Trials, layer_sensitivities
from fer_edge_convert.variants import MadeVariant, make_variants, wanted_variants
from fer_edge_train.datasets import FaceSet
from fer_edge_train.evaluation import Evaluation, check_labels, evaluate

__all__ = ["Conversion", "ConvertOptions", "convert"]

Floats = npt.NDArray[np.float32]

_QUANTIZED = ("int8", "int16", "dynamic-int8")  # precisions in which single layers can stay in float32
_CALIBRATED = ("int8", "int16")  # precisions whose activations have fixed ranges
_N_WORST_LAYERS = 3
_COMPARED_IMAGES = 64  # tensor by tensor
_PACKAGES = (
    "tensorflow", "keras", "litert-quantizer", "tf2onnx", "onnx", "onnxruntime", "openvino", "nncf", "ai-edge-litert",
    "numpy", "opencv-python-headless",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What to make.

    Attributes:
        engines: of "litert", "onnx", "openvino".
        precisions: of the classifier, the preferred one first.
        calibrate: data set whose training part calibrates, as `read_dataset` takes it.
        measure: data set whose test part measures; None for that of `calibrate`.
        recipe: how to quantize.
        search: look for a better recipe first, and use that.
        fine_tune_epochs: of the network, for the engines whose int8 loses too much all the same; 0 for never.
        uint8_edges: LiteRT's int8 classifier takes and gives uint8.
        detector_photos: folder of photos that calibrate an int8 detector; None for one in float32.
        detector_annotations: of the photos that an int8 detector is measured on, in WIDER FACE's format.
        max_ap_drop_points: largest loss of the detector's average precision that is let through.
        gates: what every classifier file must reach.
        compare_activations: tell how much int8 leaves of each activation, for a report.
        source: what the model's file does not say of itself.
        crop_margin: of the classifier's square crop around the detector's box.
        name, version: of the bundle.
        command: what was typed, for the provenance.
    """

    engines: Sequence[str]
    precisions: Sequence[str]
    calibrate: str
    measure: str | None = None
    recipe: QuantizationRecipe
    search: bool = False
    fine_tune_epochs: int = 0
    uint8_edges: bool = False
    detector_photos: Path | None = None
    detector_annotations: Path | None = None
    max_ap_drop_points: float = 1.0
    gates: Gates
    compare_activations: bool = False
    source: SourceOptions = field(default_factory=SourceOptions)
    crop_margin: float
    name: str
    version: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conversion:
    """What a conversion made, for a table or a report.

    Attributes:
        manifest: of the bundle.
        figures: of each classifier file, in the manifest's order.
        latencies_ms: median time of one face with one thread on this machine, in the same order.
        float_model: what the network itself does on the held-out faces.
        data: the faces.
        searches: what was tried, one for each engine that was searched for.
        detector_figures: of each engine's int8 detector; empty where it is float32.
        tensor_errors: of int8's activations, by engine; empty where they were not asked for.
        max_drop_points: what was let through.
    """

    manifest: Manifest
    figures: tuple[VariantFigures, ...]
    latencies_ms: tuple[float, ...]
    float_model: Evaluation
    data: ConversionData
    searches: tuple[SearchOutcome, ...]
    detector_figures: tuple[DetectorFigures, ...]
    tensor_errors: dict[str, tuple[TensorError, ...]]
    max_drop_points: float


def convert(
    model: Path, detector_folder: Path | None, out: Path, options: ConvertOptions, *, force: bool
) -> Conversion:
    """Make a bundle; `out` is written only when every file passed the gates.

    Args:
        model: what `read_source` takes.
        detector_folder: made by `fer-edge import-mtcnn`; None for a bundle without a detector.
        out: the bundle's folder.
        options: what to make.
        force: replace the bundle where it exists.

    Raises:
        InputError, IntegrityError: the model, the detector or the data cannot be used.
        UsageError: `out` exists without `force` or is no bundle, or the options do not go together.
        GateError: a file misses a bound; the message names the layers that lose most.
    """
    check_folder_target(out, force=force, marker=MANIFEST_NAME)
    wanted = wanted_variants(options.engines, options.precisions)
    source = read_source(model, options.source)
    if options.fine_tune_epochs:
        check_can_be_fine_tuned(source)
    detector = read_detector(detector_folder) if detector_folder else None
    detector_data = _detector_data(options)
    data = read_conversion_data(options.calibrate, options.measure, source.input_shape_hwc)
    check_labels(source.labels, data.held_out.faces, str(model))
    options.gates.check_images(len(data.held_out.faces), data.held_out.title)
    job = _Job(source, data, options)

    staging = out.with_name(f".{out.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    float_detector = staging / "float-detector"
    try:
        searches, recipe = job.search(out) if options.search else ((), options.recipe)
        stages: dict[str, StageSpec] = {}
        if detector:
            float_detector.mkdir()
            detectors = DetectorConversion(detector, float_detector, detector_data, seed=recipe.seed, say=_say)
            stages = detectors.convert(options.engines, with_float32="float32" in options.precisions, folder=staging)
        stages["classifier"] = job.convert(wanted, recipe, staging)
        manifest = _manifest(source, detector, stages, job, recipe, options)
        manifest = _finish(manifest, staging)
        figures, latencies_ms = job.measure(Bundle.open(staging), wanted)
        missed = job.int8_that_loses_too_much(figures)
        if options.fine_tune_epochs and missed and not job.misses_beside_drops_of_int8(figures, latencies_ms):
            recipe = job.fine_tune(missed, recipe)
            stages["classifier"] = job.convert(wanted, recipe, staging)
            manifest = _finish(_manifest(source, detector, stages, job, recipe, options), staging)
            figures, latencies_ms = job.measure(Bundle.open(staging), wanted)
        try:
            hint = "see docs/quantization.md" if options.search else "run it with --search, or see docs/quantization.md"
            options.gates.check(figures, latencies_ms, hint)
        except GateError as error:
            blame = job.worst_layers(figures, recipe)
            raise GateError(f"{error}; {blame}" if blame else str(error)) from error
        manifest = _finish(_with_figures(manifest, figures, job), staging)
        detector_figures: tuple[DetectorFigures, ...] = ()
        if detector and detector_data:
            detector_figures = measure_detector(
                Bundle.open(staging), detectors.float_bundle, tuple(options.engines), detector_data, _say
            )
            for item in detector_figures:
                _say(item.to_text())
            check_detector(detector_figures, options.max_ap_drop_points)
            _finish(_with_detector(manifest, detectors, detector_data, detector_figures), staging)
        shutil.rmtree(float_detector, ignore_errors=True)
        pixels = photo_pixels(Bundle.open(staging))
        manifest = _finish(add_golden(staging, pixels, attribution=PHOTO_ATTRIBUTION), staging)
        bundle = Bundle.open(staging)
        bundle.verify()
        check_replays(bundle, list(replay_golden(bundle)))
        tensor_errors = job.tensor_errors(wanted, recipe) if options.compare_activations else {}
        replace_folder(staging, out)
    except FerEdgeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; nothing was written") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    job.forget_search(out)
    return Conversion(
        manifest=manifest,
        figures=figures,
        latencies_ms=latencies_ms,
        float_model=job.float_model,
        data=data,
        searches=searches,
        detector_figures=detector_figures,
        tensor_errors=tensor_errors,
        max_drop_points=options.gates.max_drop_points,
    )


class _Job:
    """The classifier of one conversion, with what its steps share."""

    def __init__(self, source: SourceClassifier, data: ConversionData, options: ConvertOptions) -> None:
        self._source = source
        self.data = data
        self._options = options
        self.coding = PixelCoding(mean=source.pixel_mean, std=source.pixel_std)
        recipe = options.recipe
        self.calibration: Calibration | None = (
            draw_calibration(data.pool, per_class=recipe.images_per_class, seed=recipe.seed)
            if set(options.precisions) & set(_CALIBRATED)
            else None
        )
        self._model = self._calibrated(source.model)
        self._fine_tuned: dict[tuple[str, str], CalibratedModel] = {}
        self._written: dict[tuple[str, str], Variant] = {}
        self.fine_tunings: list[dict[str, Any]] = []
        faces = data.held_out.faces
        self._float_probs: Floats = softmax(source.model.predict(self.coding.encode(faces.images))[0])
        self.float_model = evaluate(self._float_probs, faces)

    def search(self, out: Path) -> tuple[tuple[SearchOutcome, ...], QuantizationRecipe]:
        """Search for each engine's int8; return what was found and the recipe with it."""
        trials = self._trials(self._memory(out), self._model)
        gates = self._options.gates
        outcomes = tuple(
            search(trials, engine, "int8", max_drop_points=gates.max_drop_points, max_bytes=gates.max_bytes)
            for engine in self._options.engines
            if "int8" in self._options.precisions
        )
        found = {(item.engine, item.precision): item.chosen.recipe for item in outcomes}
        return outcomes, replace(self._options.recipe, variants={**self._options.recipe.variants, **found})

    def forget_search(self, out: Path) -> None:
        """Remove what an interrupted search would need."""
        if self._options.search:
            self._memory(out).unlink(missing_ok=True)

    def convert(self, wanted: Sequence[tuple[str, str]], recipe: QuantizationRecipe, folder: Path) -> StageSpec:
        """Write those of the classifier's files that are not written yet; return its stage."""
        for engine, precision in wanted:
            if (engine, precision) in self._written:
                continue
            _say(f"classifier: converting to {precision} for {engine}")
            (made,) = make_variants(
                "classifier",
                self._network(engine, precision),
                output_lengths=(len(self._source.labels),),
                variants=[(engine, precision)],
                recipe=recipe,
                uint8_edges=self._options.uint8_edges,
            )
            variant = _write(made, folder)
            if (engine, precision) in self._fine_tuned:
                variant = replace(variant, recipe=f"{variant.recipe}_fine_tuned")
            self._written[engine, precision] = variant
        return StageSpec(
            name="classifier",
            colour="gray" if self._source.input_shape_hwc[2] == 1 else "bgr",
            pixel_mean=self._source.pixel_mean,
            pixel_std=self._source.pixel_std,
            layout="NHWC",
            crop_margin=self._options.crop_margin,
            variants=tuple(self._written[pair] for pair in wanted),
        )

    def int8_that_loses_too_much(self, figures: Sequence[VariantFigures]) -> list[VariantFigures]:
        """Return the int8 files that lose more top-1 than is let through."""
        limit = self._options.gates.max_drop_points
        return [item for item in figures if item.precision == "int8" and item.drop_points > limit]

    def misses_beside_drops_of_int8(self, figures: Sequence[VariantFigures], latencies_ms: Sequence[float]) -> bool:
        """Whether a file misses a bound that fine-tuning cannot help it to keep."""
        gates = self._options.gates
        of_int8 = replace(gates, max_drop_points=math.inf)
        return any(
            (of_int8 if item.precision == "int8" else gates).misses(item, latency_ms)
            for item, latency_ms in zip(figures, latencies_ms, strict=True)
        )

    def fine_tune(self, missed: Sequence[VariantFigures], recipe: QuantizationRecipe) -> QuantizationRecipe:
        """Fine-tune the network for the engines of these int8 files; return the recipe with theirs.

        The next `convert` makes the files again. No layer of theirs stays in float32 and no bias is corrected: all were
        trained to be rounded as they are.
        """
        faces = self.data.pool.without_images_of(self._selection())
        variants = dict(recipe.variants)
        for item in missed:
            pair = (item.engine, item.precision)
            found = fine_tuned(
                self._source,
                item.engine,
                epochs=self._options.fine_tune_epochs,
                seed=recipe.seed,
                method=recipe.variant(*pair).method,
                calibration=self._model.calibration,
                faces=faces,
                say=_say,
            )
            self._fine_tuned[pair] = self._calibrated(found.model)
            variants[pair] = replace(recipe.variant(*pair), float_layers=(), bias_correction=False)
            del self._written[pair]
            before = {item.engine: round(item.drop_points, 4)}
            self.fine_tunings.append({**found.record, "data": self.data.pool_title, "drop_points_before": before})
        return replace(recipe, variants=variants)

    def measure(
        self, bundle: Bundle, wanted: Sequence[tuple[str, str]]
    ) -> tuple[tuple[VariantFigures, ...], tuple[float, ...]]:
        """Run every classifier file as the device will."""
        figures = []
        for engine, precision in wanted:
            found = measure_variant(bundle, engine, precision, self.data.held_out, self._float_probs)
            _say(found.to_text())
            figures.append(found)
        return tuple(figures), tuple(measure_latencies(bundle, wanted, self.data.held_out.faces.images))

    def tensor_errors(
        self, wanted: Sequence[tuple[str, str]], recipe: QuantizationRecipe
    ) -> dict[str, tuple[TensorError, ...]]:
        """Compare int8's activations with the float files', on some of the calibration images."""
        found = {
            engine: quantizer_for(engine, self._network(engine, precision)).int8_errors(
                recipe.variant(engine, precision), self._model.calibration[:_COMPARED_IMAGES]
            )
            for engine, precision in wanted
            if precision == "int8"
        }
        return {engine: errors for engine, errors in found.items() if errors}

    def worst_layers(self, figures: Sequence[VariantFigures], recipe: QuantizationRecipe) -> str:
        """Say which layers cost the worst file most, of those that lose too much and have layers to blame; else ""."""
        limit = self._options.gates.max_drop_points
        blamed = [item for item in figures if item.precision in _QUANTIZED and item.drop_points > limit]
        if not blamed:
            return ""
        worst = max(blamed, key=lambda found: found.drop_points)
        try:
            sensitivities = layer_sensitivities(
                self._trials(None, self._network(worst.engine, worst.precision)),
                worst.engine,
                worst.precision,
                recipe.variant(worst.engine, worst.precision),
            )
        except FerEdgeError as error:
            return f"which layers cost most is not known: {error}"
        named = ", ".join(
            f"{item.layer.label} ({item.gain:+.4f} nats)" for item in sensitivities[:_N_WORST_LAYERS] if item.gain > 0
        )
        return f"layers that cost {worst.engine} {worst.precision} most: {named or 'none alone'}"

    def _calibrated(self, model: FloatModel) -> CalibratedModel:
        images = self.coding.encode(self.calibration.faces.images) if self.calibration else None
        table = self.coding.table()
        return CalibratedModel(model, images, (float(table[0]), float(table[-1])))

    def _network(self, engine: str, precision: str) -> CalibratedModel:
        """Return what a file is made from: the network itself, or what fine-tuning made of it."""
        return self._fine_tuned.get((engine, precision), self._model)

    def _trials(self, memory: Path | None, model: CalibratedModel) -> Trials:
        return Trials(model, self.coding, self._selection(), memory=memory, say=_say)

    def _selection(self) -> FaceSet:
        return draw_selection(self.data.pool, self.calibration, seed=self._options.recipe.seed)

    def _memory(self, out: Path) -> Path:
        """What a search remembers belongs to one network, one calibration and the versions that quantize."""
        source = self._source
        parts = [
            source.sha256,
            *source.labels,
            repr((source.pixel_mean, source.pixel_std, source.input_shape_hwc, self._options.source.layout)),
            self.calibration.faces.digest() if self.calibration else "",
            self._selection().digest(),
            __version__,
            json.dumps(package_versions(_PACKAGES), sort_keys=True),
        ]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        return out.with_name(f".{out.name}.search-{key}.json")


def _detector_data(options: ConvertOptions) -> DetectorData | None:
    if options.detector_photos is None or options.detector_annotations is None:
        return None
    return read_detector_data(options.detector_photos, options.detector_annotations, seed=options.recipe.seed)


def _write(made: MadeVariant, folder: Path) -> Variant:
    for entry, data in zip(made.variant.files(), made.contents, strict=True):
        (folder / entry.file).write_bytes(data)
    return made.variant


def _finish(manifest: Manifest, folder: Path) -> Manifest:
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _with_figures(manifest: Manifest, figures: Sequence[VariantFigures], job: _Job) -> Manifest:
    spec = manifest.stages["classifier"]
    name = job.data.held_out.name
    variants = tuple(
        replace(variant, measured={name: found.to_json()})
        for variant, found in zip(spec.variants, figures, strict=True)
    )
    return replace(
        manifest,
        stages={**manifest.stages, "classifier": replace(spec, variants=variants)},
        provenance={**manifest.provenance, "float_model_measured": {name: job.float_model.to_json()}},
    )


def _with_detector(
    manifest: Manifest, detectors: DetectorConversion, data: DetectorData, figures: Sequence[DetectorFigures]
) -> Manifest:
    """Return a manifest that says how the int8 detector was made, and what it loses."""
    engines = [item.engine for item in figures]
    return replace(
        manifest,
        provenance={
            **manifest.provenance,
            "detector_data": data.to_json(),
            "detector_measured": {item.engine: item.to_json() for item in figures},
            "detector_quantization": detectors.recipes_json(engines),
        },
        calibration={**manifest.calibration, "detector": detectors.calibration_json(engines)},
    )


def _manifest(
    source: SourceClassifier,
    detector: DetectorSource | None,
    stages: dict[str, StageSpec],
    job: _Job,
    recipe: QuantizationRecipe,
    options: ConvertOptions,
) -> Manifest:
    attribution = []
    provenance: dict[str, Any] = {
        "command": options.command,
        "fer_edge_version": __version__,
        "versions": package_versions(_PACKAGES),
        "classifier": source.provenance,
        "arithmetic": count_arithmetic(source.model.onnx).to_json(),
        "quantization": recipe.to_json(),
        "data": job.data.to_json(),
    }
    if job.fine_tunings:
        provenance["fine_tuning"] = job.fine_tunings
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
        calibration=job.calibration.to_json(job.data) if job.calibration else {},
        attribution=tuple(attribution),
    )


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
