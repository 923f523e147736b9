"""Golden vectors for a bundle: a few pictures, and what each of its files makes of them where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.assets import demo_photo_path
from fer_edge.bundle import Bundle, FileEntry, GoldenOutputs, GoldenPixels, Manifest, StageSpec, Variant
from fer_edge.bundle.manifest import COLOURS
from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.engines import load_engine
from fer_edge.errors import GateError, IntegrityError
from fer_edge.files import sha256_hex, write_bytes
from fer_edge.golden import run_images
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square, face_pixels
from fer_edge.stage import Stage
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_convert.onnx_graph import is_exact
from fer_edge_convert.recording import RecordingStage

__all__ = ["PHOTO_ATTRIBUTION", "add_golden", "photo_pixels"]

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]

PHOTO_ATTRIBUTION = "Golden vectors: parts of a portrait of Eileen Collins by NASA, in the public domain"

_FILE_NAME = "golden.bin"

# The classifier's recipe that computes in integers throughout, and the engines that then give the same bytes on every
# machine: with their own kernels, or with their reference kernels alone (tests/devices/test_int8_agreement.py).
_INTEGER_RECIPE = "static_wi8_ai8"
_NEEDS_REFERENCE_KERNELS = {"onnx": False, "litert": True}
# Largest differences that are let through elsewhere, as shares of the output's range; docs/exactness.md says what was
# measured.
_TOLERANCES = {"float32": 1e-4, "float16": 0.05}
_QUANTIZED_TOLERANCE = 0.2

# The face in the demo photo, as the default bundle's detector finds it.
_FACE_XYXY = (178, 62, 266, 172)
# How the classifier sees it: shift right and down in widths and heights of the box, crop margin, mirrored, gain.
_FACES = (
    (0.0, 0.0, 0.0, False, 1.0),
    (0.0, 0.0, 0.0, True, 1.0),
    (0.05, -0.03, 0.2, False, 0.7),
    (-0.06, 0.04, -0.1, True, 1.2),
    (0.02, 0.08, 0.3, False, 0.4),
    (-0.03, -0.05, 0.1, True, 0.9),
)
_NOISE_SEED = 48
# The detector sees a square of two faces' width, and looks for faces from a third of it on: its canvas stays small.
_REGION_MARGIN = 1.0
# Thresholds this low let through to R- and O-Net what is no face.
_DETECTOR_OPTIONS = DetectorOptions(min_face_px=66.0, pnet_threshold=0.1, rnet_threshold=0.001)
_MAX_CROPS = 8
# Large faces are fewer: a golden file may have 4 MiB for all stages.
_MAX_FACES_BYTES = 2 << 20


def add_golden(folder: Path, pixels: Mapping[str, Pixels], *, attribution: str) -> Manifest:
    """Run every variant of a finished bundle, write its golden file, and return the manifest that names it.

    The manifest is left to the caller to write, who then replays the vectors as a device does:

        manifest = add_golden(folder, photo_pixels(Bundle.open(folder)), attribution=PHOTO_ATTRIBUTION)
        (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        bundle = Bundle.open(folder)
        check_replays(bundle, list(replay_golden(bundle)))

    Args:
        folder: with manifest.json and every file that it names.
        pixels: for each of the bundle's stages, uint8 (n, height, width, channels).
        attribution: a line for the manifest that says whose work the pixels are.

    Raises:
        IntegrityError: a file is not the one that the manifest names, or the pixels do not fit a stage or are too many.
        MissingExtraError: an engine is not installed.
        EngineError: an engine fails.
    """
    bundle = Bundle.open(folder)
    data = bytearray()
    stages = {name: _with_golden(bundle, spec, pixels[name], data) for name, spec in bundle.manifest.stages.items()}
    made = replace(
        bundle.manifest,
        stages=stages,
        attribution=tuple(dict.fromkeys((*bundle.manifest.attribution, attribution))),
        golden=FileEntry(file=_FILE_NAME, bytes=len(data), sha256=sha256_hex(bytes(data))),
    )
    checked = Manifest.from_json(made.to_json())
    write_bytes(folder / _FILE_NAME, bytes(data))
    return checked


def photo_pixels(bundle: Bundle) -> dict[str, Pixels]:
    """Return golden pixels for a bundle's stages: parts of the demo photo as each stage sees them, and no faces.

    P-Net gets a canvas with the pyramid of the photo's face, R-Net and O-Net eight of the boxes proposed on it, good
    ones and bad ones, the classifier six crops of the face, a gradient and noise.

    Raises:
        IntegrityError: a file is not the one that the manifest names, or the classifier has no fixed input size.
        GateError: the detector proposes nothing on a face.
    """
    photo = read_image(demo_photo_path())
    pixels = {}
    if set(NETWORKS) <= set(bundle.manifest.stages):
        pixels.update(_detector_pixels(bundle, photo))
    if "classifier" in bundle.manifest.stages:
        pixels["classifier"] = _classifier_pixels(bundle.manifest.stages["classifier"], photo)
    return pixels


def _with_golden(bundle: Bundle, spec: StageSpec, pixels: Pixels, data: bytearray) -> StageSpec:
    """Run a stage's variants, append pixels and outputs to `data`, and return the stage with their places."""
    offset = _place(data, pixels)
    variants = []
    for variant in spec.variants:
        reference_kernels, tolerance = _comparison(spec.name, variant, _computes_exactly(bundle, variant))
        stage = Stage(
            bundle,
            spec.name,
            load_engine(variant.engine),
            precision=variant.precision,
            reference_kernels=reference_kernels,
        )
        outputs = run_images(stage, pixels)
        golden = GoldenOutputs(offset=_place(data, *outputs), reference_kernels=reference_kernels, tolerance=tolerance)
        variants.append(replace(variant, golden=golden))
    output_shapes = tuple(array.shape for array in outputs)
    return replace(
        spec,
        golden=GoldenPixels(offset=offset, shape=pixels.shape, output_shapes=output_shapes),
        variants=tuple(variants),
    )


def _computes_exactly(bundle: Bundle, variant: Variant) -> bool:
    """Whether nothing in a file of an integer recipe is known to differ between machines."""
    return variant.engine != "onnx" or variant.recipe != _INTEGER_RECIPE or is_exact(bundle.read(variant.model))


def _comparison(stage_name: str, variant: Variant, exact: bool) -> tuple[bool, float]:
    """Return whether a variant's golden outputs are those of reference kernels, and the tolerance of its own."""
    is_integer = stage_name == "classifier" and variant.recipe == _INTEGER_RECIPE and exact
    if is_integer and variant.engine in _NEEDS_REFERENCE_KERNELS:
        reference_kernels = _NEEDS_REFERENCE_KERNELS[variant.engine]
        return reference_kernels, _QUANTIZED_TOLERANCE if reference_kernels else 0.0
    return False, _TOLERANCES.get(variant.precision, _QUANTIZED_TOLERANCE)


def _place(data: bytearray, *arrays: Array) -> int:
    """Return where the arrays' bytes lie in `data`, one after the other; they are appended where it lacks them."""
    raw = b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays)
    offset = data.find(raw)
    if offset < 0:
        offset = len(data)
        data += raw
    return offset


def _detector_pixels(bundle: Bundle, photo: Pixels) -> dict[str, Pixels]:
    """Let the bundle's detector look at the photo's face, and take what its stages see."""
    engine = load_engine(bundle.manifest.stages[NETWORKS[0]].variants[0].engine)
    recorders = {name: RecordingStage(bundle, name, engine) for name in NETWORKS}
    detector = FaceDetector(**recorders, options=_DETECTOR_OPTIONS)
    detector(crop_square(photo, np.array(_FACE_XYXY, np.float32), _REGION_MARGIN))
    pixels = {}
    for name, recorder in recorders.items():
        seen = recorder.take()
        n_seen = len(seen)
        if n_seen == 0:
            raise GateError(f"{bundle.path}: expected boxes for {name} where the demo photo has a face, found none")
        # Boxes come best first: evenly spaced, they are of every kind.
        pixels[name] = seen[np.unique(np.linspace(0, n_seen - 1, _MAX_CROPS).round().astype(int))]
    return pixels


def _classifier_pixels(spec: StageSpec, photo: Pixels) -> Pixels:
    _, height, width, _ = spec.variants[0].inputs[0].shape
    if height is None or width is None:
        raise IntegrityError("classifier: expected a fixed input size, found one that is free")
    channels = COLOURS[spec.colour]
    left, top, right, bottom = _FACE_XYXY
    images = []
    for shift_x, shift_y, margin, mirrored, gain in _FACES:
        x, y = shift_x * (right - left), shift_y * (bottom - top)
        box = np.array([left + x, top + y, right + x, bottom + y], np.float32)
        face = face_pixels(crop_square(photo, box, margin), (width, height), channels)
        brighter = np.clip(np.rint(face * gain), 0, 255).astype(np.uint8)
        images.append(brighter[:, ::-1] if mirrored else brighter)
    gradient = np.linspace(0, 255, width).round().astype(np.uint8)[:, np.newaxis]
    noise = np.random.default_rng(_NOISE_SEED).integers(0, 256, (height, width, channels), dtype=np.uint8)
    everything = np.stack([*images, np.broadcast_to(gradient, noise.shape), noise])
    return everything[: max(_MAX_FACES_BYTES // noise.nbytes, 1)]
