"""The manifest of a bundle: its fields, read strictly.

The format is described in docs/bundle.md. An unknown key is an error, because a misspelt one would silently change what
the device does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fer_edge.bundle.golden_entries import (
    MAX_GOLDEN_BYTES,
    GoldenOutputs,
    GoldenPixels,
    check_golden,
    read_golden_outputs,
    read_golden_pixels,
)
from fer_edge.bundle.strict_json import Node, parse_object
from fer_edge.engines.base import TensorSpec
from fer_edge.errors import IntegrityError
from fer_edge.preprocess import PixelCoding

__all__ = ["SCHEMA", "STAGE_NAMES", "FileEntry", "Manifest", "StageSpec", "Variant"]

SCHEMA = "fer-edge/bundle/1"
STAGE_NAMES = ("pnet", "rnet", "onet", "classifier")
COLOURS = {"gray": 1, "bgr": 3}
_MAX_FILE_BYTES = 256 * 1024 * 1024
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A crop of less than a tenth of the box or more than ten times its side is no picture of a face.
_MIN_CROP_MARGIN, _MAX_CROP_MARGIN = -0.9, 9.0
# Far beyond any network's pixel coding; outside them the input would be no number or all the same one.
_MIN_PIXEL_STD, _MAX_PIXEL_STD = 1e-3, 1e6
_MAX_PIXEL_MEAN = 1e6
_MAX_CLASSIFIER_SIDE = 1024
# Height, width and channels of the input of the detector's stages, None where it must be free.
_INPUT_SHAPES: dict[str, tuple[int | None, ...]] = {
    "pnet": (None, None, 3),
    "rnet": (24, 24, 3),
    "onet": (48, 48, 3),
}
# The last axis of each output of the detector's stages; the classifier's one output has a logit for each label.
_OUTPUT_WIDTHS: dict[str, tuple[int, ...]] = {"pnet": (1, 4), "rnet": (1, 4), "onet": (1, 4, 10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of the bundle: its name (no folders), length in bytes, and SHA-256 digest."""

    file: str
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"file": self.file, "bytes": self.bytes, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One stage's model for one engine in one precision.

    Attributes:
        engine: "litert", "onnx" or "openvino" (or a third party's).
        precision: "float32", "int8" …
        model: the file.
        weights: the second file of OpenVINO's format, else None.
        inputs, outputs: tensors as the file holds them.
        tested_with: name and version of the engine that gave the figures, e.g. "onnxruntime 1.31.1".
        recipe: how it was quantized, e.g. "static_wi8_ai8"; None for float32.
        measured: figures of this variant, e.g. top-1 on a test set.
        golden: what it gives for its stage's golden pixels; None where the bundle has no golden vectors.
    """

    engine: str
    precision: str
    model: FileEntry
    weights: FileEntry | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tested_with: str
    recipe: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    golden: GoldenOutputs | None = None

    def files(self) -> tuple[FileEntry, ...]:
        """Return the variant's one or two files."""
        return (self.model,) if self.weights is None else (self.model, self.weights)

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "engine": self.engine,
            "precision": self.precision,
            "model": self.model.to_json(),
            "weights": self.weights.to_json() if self.weights else None,
            "inputs": [_tensor_json(spec) for spec in self.inputs],
            "outputs": [_tensor_json(spec) for spec in self.outputs],
            "tested_with": self.tested_with,
            "recipe": self.recipe,
            "measured": dict(self.measured),
            "golden": self.golden.to_json() if self.golden else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """A stage of the pipeline and its variants, the preferred one of each engine first.

    Attributes:
        name: one of STAGE_NAMES.
        colour: "gray" or "bgr".
        pixel_mean, pixel_std: the network takes (pixel - mean) / std.
        layout: order of the input's axes, "NHWC".
        variants: at least one.
        crop_margin: of the classifier: the square crop's side is the box's longer side times (1 + this); else None.
        golden: pixels whose outputs every variant states; None where the bundle has no golden vectors.
    """

    name: str
    colour: str
    pixel_mean: float
    pixel_std: float
    layout: str
    variants: tuple[Variant, ...]
    crop_margin: float | None = None
    golden: GoldenPixels | None = None

    def coding(self, variant: Variant) -> PixelCoding:
        """Return how pixels become the input of one of the variants."""
        spec = variant.inputs[0]
        return PixelCoding(
            mean=self.pixel_mean,
            std=self.pixel_std,
            dtype=spec.dtype,
            scale=spec.scale,
            zero_point=spec.zero_point,
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "colour": self.colour,
            "pixel_mean": self.pixel_mean,
            "pixel_std": self.pixel_std,
            "layout": self.layout,
            "crop_margin": self.crop_margin,
            "golden": self.golden.to_json() if self.golden else None,
            "variants": [variant.to_json() for variant in self.variants],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is known of a bundle.

    Attributes:
        name, version, licence: of the bundle.
        labels: the classifier's classes, in the order of its outputs.
        stages: by name, each of STAGE_NAMES.
        provenance: how the models came about: training record, source of the detector, versions, command.
        calibration: data, size, digest and method; empty where nothing was quantized.
        attribution: one line for each work of others inside.
        golden: the file with the golden vectors of all stages, or None.
    """

    name: str
    version: str
    licence: str
    labels: tuple[str, ...]
    stages: Mapping[str, StageSpec]
    provenance: Mapping[str, Any]
    calibration: Mapping[str, Any]
    attribution: tuple[str, ...]
    golden: FileEntry | None = None

    def files(self) -> tuple[FileEntry, ...]:
        """Return every file of the bundle once."""
        entries = [entry for stage in self.stages.values() for variant in stage.variants for entry in variant.files()]
        if self.golden:
            entries.append(self.golden)
        return tuple(dict.fromkeys(entries))

    def to_json(self) -> str:
        """Return the manifest's text: JSON, keys in a fixed order, a line end at the end."""
        content = {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "labels": list(self.labels),
            "stages": {name: self.stages[name].to_json() for name in STAGE_NAMES if name in self.stages},
            "provenance": dict(self.provenance),
            "calibration": dict(self.calibration),
            "attribution": list(self.attribution),
            "golden": self.golden.to_json() if self.golden else None,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest's text.

        Raises:
            IntegrityError: the text is no JSON, or a key or value is not as the format says; the message names it.
        """
        root = parse_object(text, "manifest.json")
        schema = root.value("schema", str)
        if schema != SCHEMA:
            raise IntegrityError(f"manifest.json: expected the schema {SCHEMA}, found {schema[:60]!r}")
        stages_node = root.node("stages")
        stages = {name: _read_stage(name, stages_node.node(name)) for name in STAGE_NAMES if name in stages_node}
        stages_node.finish()
        if not stages:
            raise IntegrityError(
                f"manifest.json, stages: expected at least one of {', '.join(STAGE_NAMES)}, found none"
            )
        manifest = cls(
            name=root.value("name", str),
            version=root.value("version", str),
            licence=root.value("licence", str),
            labels=tuple(root.items("labels", str)),
            stages=stages,
            provenance=root.free("provenance"),
            calibration=root.free("calibration"),
            attribution=tuple(root.items("attribution", str)),
            golden=_read_golden_file(root),
        )
        root.finish()
        if "classifier" in stages and not manifest.labels:
            raise IntegrityError("manifest.json, labels: expected the classifier's classes, found none")
        _check_labels(manifest.labels)
        for stage in stages.values():
            _check_tensors(stage, _OUTPUT_WIDTHS.get(stage.name, (len(manifest.labels),)))
            check_golden(stage, manifest.golden)
        return manifest


def _check_labels(labels: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for label in labels:
        if label in seen:
            raise IntegrityError(f"manifest.json, labels: expected each class once, found {label[:60]!r} twice")
        seen.add(label)


def _check_tensors(stage: StageSpec, output_widths: tuple[int, ...]) -> None:
    for variant in stage.variants:
        where = f"manifest.json, stages, {stage.name}, {variant.engine} {variant.precision}"
        channels = variant.inputs[0].shape[-1]
        if channels != COLOURS[stage.colour]:
            raise IntegrityError(
                f"{where}, inputs: expected {COLOURS[stage.colour]} channels ({stage.colour}), found {channels}"
            )
        _check_input_shape(stage.name, variant.inputs[0].shape[1:], where)
        found = tuple(spec.shape[-1] if spec.shape else None for spec in variant.outputs)
        if found != output_widths:
            raise IntegrityError(
                f"{where}, outputs: expected lengths of the last axes {list(output_widths)}, found {list(found)}"
            )


def _check_input_shape(stage_name: str, shape: tuple[int | None, ...], where: str) -> None:
    found = _axes_text(shape)
    if stage_name in _INPUT_SHAPES:
        expected = _INPUT_SHAPES[stage_name]
        if shape != expected:
            raise IntegrityError(f"{where}, inputs: expected {_axes_text(expected)} after the batch, found {found}")
    elif any(length is not None and length > _MAX_CLASSIFIER_SIDE for length in shape):
        raise IntegrityError(
            f"{where}, inputs: expected a height and width of 1 to {_MAX_CLASSIFIER_SIDE}, found {found}"
        )


def _axes_text(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if length is None else str(length)[:20] for length in shape)


def _read_stage(name: str, node: Node) -> StageSpec:
    colour = node.value("colour", str)
    if colour not in COLOURS:
        raise node.fail(f"colour: expected one of {', '.join(COLOURS)}, found {colour[:20]!r}")
    layout = node.value("layout", str)
    if layout != "NHWC":
        raise node.fail(f"layout: expected NHWC, found {layout[:20]!r}")
    spec = StageSpec(
        name=name,
        colour=colour,
        pixel_mean=node.value("pixel_mean", float),
        pixel_std=node.value("pixel_std", float),
        layout=layout,
        crop_margin=node.optional("crop_margin", float),
        golden=read_golden_pixels(node.optional_node("golden")),
        variants=tuple(_read_variant(item) for item in node.nodes("variants")),
    )
    node.finish()
    if not spec.variants:
        raise node.fail("variants: expected at least one, found none")
    if not _MIN_PIXEL_STD <= spec.pixel_std <= _MAX_PIXEL_STD:
        raise node.fail(
            f"pixel_std: expected {_MIN_PIXEL_STD:.12g} to {_MAX_PIXEL_STD:.12g}, found {spec.pixel_std:.12g}"
        )
    if abs(spec.pixel_mean) > _MAX_PIXEL_MEAN:
        raise node.fail(
            f"pixel_mean: expected {-_MAX_PIXEL_MEAN:.12g} to {_MAX_PIXEL_MEAN:.12g}, found {spec.pixel_mean:.12g}"
        )
    if spec.crop_margin is not None and not _MIN_CROP_MARGIN <= spec.crop_margin <= _MAX_CROP_MARGIN:
        raise node.fail(
            f"crop_margin: expected {_MIN_CROP_MARGIN:g} to {_MAX_CROP_MARGIN:g}, found {spec.crop_margin:g}"
        )
    for variant in spec.variants:
        try:
            spec.coding(variant)
        except ValueError as error:
            raise node.fail(f"variant {variant.engine} {variant.precision}: {error}") from error
    return spec


def _read_variant(node: Node) -> Variant:
    weights = node.optional_node("weights")
    variant = Variant(
        engine=node.value("engine", str),
        precision=node.value("precision", str),
        model=_read_file(node.node("model")),
        weights=_read_file(weights) if weights else None,
        inputs=tuple(_read_tensor(item) for item in node.nodes("inputs")),
        outputs=tuple(_read_tensor(item) for item in node.nodes("outputs")),
        tested_with=node.value("tested_with", str),
        recipe=node.optional("recipe", str),
        measured=node.free("measured"),
        golden=read_golden_outputs(node.optional_node("golden")),
    )
    node.finish()
    if len(variant.inputs) != 1 or len(variant.inputs[0].shape) != 4:
        raise node.fail("inputs: expected one tensor of four axes")
    if not variant.outputs:
        raise node.fail("outputs: expected at least one tensor, found none")
    return variant


def _read_file(node: Node) -> FileEntry:
    entry = FileEntry(
        file=node.value("file", str),
        bytes=node.value("bytes", int),
        sha256=node.value("sha256", str),
    )
    node.finish()
    if not _FILE_NAME.fullmatch(entry.file):
        raise node.fail(f"file: expected a plain name without folders, found {entry.file[:60]!r}")
    if not 0 < entry.bytes <= _MAX_FILE_BYTES:
        raise node.fail(f"bytes: expected 1 to {_MAX_FILE_BYTES}, found {entry.bytes}")
    if not _SHA256.fullmatch(entry.sha256):
        raise node.fail("sha256: expected 64 lower-case hexadecimal digits")
    return entry


def _read_golden_file(root: Node) -> FileEntry | None:
    node = root.optional_node("golden")
    if node is None:
        return None
    entry = _read_file(node)
    if entry.bytes > MAX_GOLDEN_BYTES:
        raise node.fail(f"bytes: expected 1 to {MAX_GOLDEN_BYTES}, found {entry.bytes}")
    return entry


def _read_tensor(node: Node) -> TensorSpec:
    shape = node.value("shape", list)
    for length in shape:
        if length is not None and (not isinstance(length, int) or isinstance(length, bool) or length < 1):
            raise node.fail(f"shape: expected positive lengths or null, found {str(length)[:20]}")
    spec = TensorSpec(
        name=node.value("name", str),
        shape=tuple(shape),
        dtype=node.value("dtype", str),
        scale=node.optional("scale", float),
        zero_point=node.optional("zero_point", int),
    )
    node.finish()
    if (spec.scale is None) != (spec.zero_point is None):
        raise node.fail("scale and zero_point: expected both or neither")
    if spec.scale is not None and not spec.scale > 0:
        raise node.fail(f"scale: expected a positive number, found {spec.scale:g}")
    # The widest quantized type is int16.
    if spec.zero_point is not None and not -32768 <= spec.zero_point <= 32767:
        raise node.fail(f"zero_point: expected -32768 to 32767, found {spec.zero_point}")
    return spec


def _tensor_json(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "shape": list(spec.shape),
        "dtype": spec.dtype,
        "scale": spec.scale,
        "zero_point": spec.zero_point,
    }
