"""What quantization costs a detector: average precision of whole cascades, beside the float one's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle
from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.engines import load_engine
from fer_edge.errors import GateError
from fer_edge.stage import Stage
from fer_edge_bench.detection_metrics import Detections, evaluate_detections
from fer_edge_convert.detector_data import DetectorData
from fer_edge_convert.mtcnn_source import NETWORKS

__all__ = ["DETECTOR_OPTIONS", "LEAST_SIDES_PX", "DetectorFigures", "check_detector", "measure_detector"]

Pixels = npt.NDArray[np.uint8]

# WIDER's lists of easy, medium and hard faces are not in its ground truth; in their place stand faces whose shorter
# side is at least so long, nested as those are.
LEAST_SIDES_PX = (50, 30, 10)
# Small faces are looked for, in calibration as in measuring: they are where quantization would show.
DETECTOR_OPTIONS = DetectorOptions(min_face_px=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorFigures:
    """One engine's cascade on the measured photos.

    Attributes:
        engine: its name.
        n_bytes: of the files of its three networks.
        average_precision: 0 to 1, by the least side of the faces that count, in pixels.
        float_average_precision: of the float cascade (LiteRT's) on the same photos.
        n_photos: that were measured.
    """

    engine: str
    n_bytes: int
    average_precision: Mapping[int, float]
    float_average_precision: Mapping[int, float]
    n_photos: int

    def lost_points(self) -> dict[int, float]:
        """Return the points of average precision below the float cascade's, by least side."""
        return {
            side: 100 * (self.float_average_precision[side] - found) for side, found in self.average_precision.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return JSON types; sides are texts."""
        return {
            "bytes": self.n_bytes,
            "average_precision": {str(side): round(value, 6) for side, value in self.average_precision.items()},
            "float_average_precision": {
                str(side): round(value, 6) for side, value in self.float_average_precision.items()
            },
            "photos": self.n_photos,
        }

    def to_text(self) -> str:
        """Return one line for people."""
        lost = ", ".join(f"{points:+.2f} from {side} px" for side, points in self.lost_points().items())
        return f"detector  {self.engine:<9} {self.n_bytes:>9} bytes  average precision lost in points: {lost}"


def measure_detector(
    bundle: Bundle,
    float_bundle: Bundle,
    engines: tuple[str, ...],
    data: DetectorData,
    say: Callable[[str], None],
) -> tuple[DetectorFigures, ...]:
    """Run each engine's cascade, in the precisions that the bundle prefers, and the float one on the measured photos.

    Args:
        bundle: with the detector's stages for all engines.
        float_bundle: with LiteRT's in float32.
        engines: to measure.
        data: the photos.
        say: is told how far it is.

    Raises:
        InputError: a photo cannot be read.
        EngineError: an engine fails.
    """
    cascades = {"": _cascade(float_bundle, "litert"), **{engine: _cascade(bundle, engine) for engine in engines}}
    found: dict[str, dict[str, Detections]] = {name: {} for name in cascades}
    for number, photo in enumerate(data.measured, start=1):
        frame = data.read(photo)
        for name, detector in cascades.items():
            found[name][photo.name] = _detections(detector, frame)
        if number % 50 == 0 or number == len(data.measured):
            say(f"detector: measured on {number} of {len(data.measured)} photos")
    precisions = {
        name: {
            side: evaluate_detections(detections, data.measured, min_side_px=side).average_precision
            for side in LEAST_SIDES_PX
        }
        for name, detections in found.items()
    }
    return tuple(
        DetectorFigures(
            engine=engine,
            n_bytes=sum(_first_variant_bytes(bundle, name, engine) for name in NETWORKS),
            average_precision=precisions[engine],
            float_average_precision=precisions[""],
            n_photos=len(data.measured),
        )
        for engine in engines
    )


def check_detector(figures: tuple[DetectorFigures, ...], max_lost_points: float) -> None:
    """Check that no cascade loses more than it may, at any size of faces.

    Raises:
        GateError: one does.
    """
    misses = [
        f"{item.engine}: {points:.2f} points of average precision lost on faces from {side} px"
        for item in figures
        for side, points in item.lost_points().items()
        if points > max_lost_points
    ]
    if misses:
        raise GateError(
            f"the int8 detector loses more than {max_lost_points:g} points ({'; '.join(misses)}); nothing was written; "
            "see docs/mtcnn-int8.md, or leave the detector in float32 (without --detector-photos)"
        )


def _cascade(bundle: Bundle, engine_name: str) -> FaceDetector:
    engine = load_engine(engine_name)
    stages = {name: Stage(bundle, name, engine, batch_sizes=(1, 8) if name == "rnet" else (1,)) for name in NETWORKS}
    return FaceDetector(**stages, options=DETECTOR_OPTIONS)


def _first_variant_bytes(bundle: Bundle, name: str, engine: str) -> int:
    variants = bundle.manifest.stages[name].variants
    return sum(entry.bytes for entry in next(item for item in variants if item.engine == engine).files())


def _detections(detector: FaceDetector, frame: Pixels) -> Detections:
    height, width = frame.shape[:2]
    faces = detector(frame)
    boxes = np.array([face.box_xyxy for face in faces], dtype=np.float32).reshape(-1, 4)
    return Detections(
        # The labelled boxes end at the photo's border.
        boxes_xyxy=np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32)),
        scores=np.array([face.detection_score for face in faces], dtype=np.float32),
    )
