"""What the runtime finds in a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Detection", "Face", "FrameAnalysis"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """A face that was found.

    Attributes:
        box_xyxy: float32 (4,): left, top, right, bottom in pixels of the frame given; may reach beyond its border.
        detection_score: the detector's probability of a face, 0 to 1.
        landmarks_xy: float32 (5, 2), pixels: left eye, right eye, nose, left and right mouth corner, left and right as
            seen in the picture.
    """

    box_xyxy: Floats
    detection_score: float
    landmarks_xy: Floats

    def __post_init__(self) -> None:
        _check("box_xyxy", self.box_xyxy, (4,))
        _check("landmarks_xy", self.landmarks_xy, (5, 2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face(Detection):
    """A face and its apparent expression.

    Attributes:
        probs: float32 (n,), sums to 1, in the order of the pipeline's `labels`.
        emotion: the label of the largest probability.
        track_id: the same number for the same face in successive frames; None where nothing tracks.
    """

    probs: Floats
    emotion: str
    track_id: int | None = None

    def __post_init__(self) -> None:
        # A slotted dataclass is a new class, so zero-argument super() would look for the old one.
        Detection.__post_init__(self)
        if self.probs.ndim != 1 or self.probs.dtype != np.float32:
            raise ValueError(f"probs: expected float32 (n,), found {self.probs.dtype} {self.probs.shape}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameAnalysis:
    """All faces of a frame, best detection first, and what they cost.

    Attributes:
        faces: best detection first.
        detect_ms: from the frame's pixels to boxes.
        classify_ms: from boxes to probabilities.
        stages_ms: the parts of both, in order: STAGE_PARTS of the detector ("pyramid", "pnet", "proposals", "rnet",
            "onet") and of the classifier ("crop", "classify"). What is between them is in neither.
    """

    faces: tuple[Face, ...]
    detect_ms: float
    classify_ms: float
    stages_ms: Mapping[str, float]


def _check(name: str, array: Floats, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ValueError(f"{name}: expected float32 {shape}, found {array.dtype} {array.shape}")
