"""What cameras, streams and pipelines that OpenCV reads have in common."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError
from fer_edge.sources.base import Pixels

__all__ = ["OpenCvCapture", "check_bgr"]


class OpenCvCapture:
    """Frames of a `cv2.VideoCapture` that was opened."""

    def __init__(self, name: str, capture: Any, *, states_fps: bool, advice: str) -> None:
        """Take over a capture.

        Args:
            name: of the source, for messages.
            capture: cv2.VideoCapture.
            states_fps: whether what it says of frames per second can be believed.
            advice: what to do when frames stop coming.
        """
        self._name = name
        self._capture = capture
        self._advice = advice
        fps = capture.get(import_cv2().CAP_PROP_FPS) if states_fps else math.nan
        self.fps: float | None = fps if math.isfinite(fps) and fps > 0 else None

    def read(self, into: Pixels | None) -> Pixels:
        """See Capture.read."""
        try:
            delivered, image = self._capture.read(into)
        except import_cv2().error as error:
            raise InputError(f"{self._name}: OpenCV cannot decode what came; {self._advice}") from error
        if not delivered:
            raise InputError(f"{self._name}: no frame came; {self._advice}")
        return check_bgr(self._name, image)

    def close(self) -> None:
        """Release the capture."""
        self._capture.release()


def check_bgr(name: str, image: Any) -> Pixels:
    """Return a picture if it is uint8 (height, width, 3).

    Raises:
        InputError: it is something else.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"{name}: expected pictures of uint8 (height, width, 3) in B, G, R, found {found}")
    pixels: Pixels = image
    return pixels
