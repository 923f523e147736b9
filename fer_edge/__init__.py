"""Facial-expression models for cameras.

    from fer_edge import EmotionPipeline

    pipeline = EmotionPipeline()
    for face in pipeline(frame_bgr):
        print(face.emotion, face.probs.max(), face.box_xyxy)

Names are imported when they are first used: `import fer_edge` loads neither an engine nor OpenCV nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fer_edge._version import __version__

if TYPE_CHECKING:
    from fer_edge.bundle import Bundle
    from fer_edge.classifier import EmotionClassifier
    from fer_edge.detector import DetectorOptions, FaceDetector
    from fer_edge.errors import (
        EngineError,
        FerEdgeError,
        GateError,
        InputError,
        IntegrityError,
        MissingExtraError,
        OutputError,
        UsageError,
    )
    from fer_edge.pipeline import EmotionPipeline
    from fer_edge.results import Detection, Face, FrameAnalysis
    from fer_edge.tracking import FaceTracker, TrackerOptions

__all__ = [
    "Bundle",
    "Detection",
    "DetectorOptions",
    "EmotionClassifier",
    "EmotionPipeline",
    "EngineError",
    "Face",
    "FaceDetector",
    "FaceTracker",
    "FerEdgeError",
    "FrameAnalysis",
    "GateError",
    "InputError",
    "IntegrityError",
    "MissingExtraError",
    "OutputError",
    "TrackerOptions",
    "UsageError",
    "__version__",
]

_MODULES = {
    "Bundle": "fer_edge.bundle",
    "Detection": "fer_edge.results",
    "DetectorOptions": "fer_edge.detector",
    "EmotionClassifier": "fer_edge.classifier",
    "EmotionPipeline": "fer_edge.pipeline",
    "EngineError": "fer_edge.errors",
    "Face": "fer_edge.results",
    "FaceDetector": "fer_edge.detector",
    "FaceTracker": "fer_edge.tracking",
    "FerEdgeError": "fer_edge.errors",
    "FrameAnalysis": "fer_edge.results",
    "GateError": "fer_edge.errors",
    "InputError": "fer_edge.errors",
    "IntegrityError": "fer_edge.errors",
    "MissingExtraError": "fer_edge.errors",
    "OutputError": "fer_edge.errors",
    "TrackerOptions": "fer_edge.tracking",
    "UsageError": "fer_edge.errors",
}


def __getattr__(name: str) -> Any:
    module_name = _MODULES.get(name)
    if module_name is None:
        raise AttributeError(f"module 'fer_edge' has no attribute {name!r}")
    value = getattr(importlib.import_module(module_name), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
