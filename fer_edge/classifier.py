"""The expression classifier: a crop of a face in, probabilities out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fer_edge.errors import IntegrityError
from fer_edge.preprocess import crop_square, face_pixels
from fer_edge.stage import Stage

__all__ = ["STAGE_PARTS", "EmotionClassifier", "softmax"]

# What classifying a frame's boxes is timed by: cutting and resizing the crops, then the network and its softmax.
STAGE_PARTS = ("crop", "classify")

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class EmotionClassifier:
    """Gives the probability of each apparent expression of a face."""

    def __init__(self, stage: Stage, labels: tuple[str, ...]) -> None:
        size_wh = stage.input_size_wh
        if size_wh is None or stage.spec.crop_margin is None:
            raise IntegrityError("the bundle's classifier must state a fixed input size and a crop_margin")
        self.stage = stage
        self.labels = labels
        self.input_size_wh = size_wh
        self.crop_margin = stage.spec.crop_margin

    def __call__(self, face: Pixels) -> Floats:
        """Return the probabilities float32 (n,) of one face.

        Args:
            face: a crop around a face, uint8 (h, w), (h, w, 1) or (h, w, 3) in B, G, R; any size.

        Raises:
            InputError: `face` is not such an array.
            EngineError: the engine fails.
        """
        probs: Floats = self.classify([face])[0]
        return probs

    def classify(self, faces: Sequence[Pixels]) -> Floats:
        """Return the probabilities float32 (len(faces), n) of several crops; see __call__."""
        return softmax(self.stage.run(self._prepare(faces))[0])

    def classify_boxes(self, frame_bgr: Pixels, boxes_xyxy: Sequence[Floats]) -> Floats:
        """Return the probabilities of the faces in boxes of a frame, cut with the bundle's margin."""
        return self.analyse_boxes(frame_bgr, boxes_xyxy)[0]

    def analyse_boxes(self, frame_bgr: Pixels, boxes_xyxy: Sequence[Floats]) -> tuple[Floats, dict[str, float]]:
        """Do the same and return beside the probabilities the duration in ms of each of STAGE_PARTS."""
        started = time.perf_counter()
        batch = self._prepare([crop_square(frame_bgr, box, self.crop_margin) for box in boxes_xyxy])
        cropped = time.perf_counter()
        probs = softmax(self.stage.run(batch)[0])
        ended = time.perf_counter()
        return probs, {"crop": 1000 * (cropped - started), "classify": 1000 * (ended - cropped)}

    def _prepare(self, faces: Sequence[Pixels]) -> Pixels:
        width, height = self.input_size_wh
        batch = np.empty((len(faces), height, width, self.stage.channels), dtype=np.uint8)
        for row, face in zip(batch, faces, strict=True):
            row[...] = face_pixels(face, self.input_size_wh, self.stage.channels)
        return batch


def softmax(logits: Floats) -> Floats:
    """Return exp(x) / sum(exp(x)) over the last axis as float32.

    Computed in float64: rounding hides the last digit, in which the exponential of different machines may differ.
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=-1, keepdims=True)
    return shifted.astype(np.float32)
