"""Cutting the face out of a picture, found by OpenCV's Haar cascade or by the runtime's own detector.

Jin, Yang and Wei crop with Haar features. The runtime's MTCNN is the better choice: it is what finds the faces on the
device, and its crop rule is the one that the classifier meets there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError, MissingExtraError, UsageError
from fer_edge.preprocess import crop_square, gray_image, resize_exact

__all__ = ["CROPS", "FaceCrop", "FaceCropper", "HaarCropper", "MtcnnCropper", "make_cropper"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

CROPS = ("none", "haar", "mtcnn")

# Published crops are as small as 48 pixels, which is less than the detectors look at: smaller pictures are enlarged so
# that their shorter side has this length, for detection only.
_DETECTION_SIDE_PX = 192
# A labelled picture is of its one face, so what is smaller than this share of the shorter side is not looked for.
_SMALLEST_SHARE = 1 / 5
# A sliver of a picture would be enlarged without bound.
_LONGEST_RATIO = 16
_CASCADE = "haarcascade_frontalface_default.xml"
# The classic choice: scales 10 % apart, a face is where five neighbouring windows agree.
_SCALE_STEP, _MIN_NEIGHBOURS = 1.1, 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceCrop:
    """The largest face of a picture.

    Attributes:
        pixels: uint8 (side, side) or (side, side, c), cut from the picture as it was given.
        box_xyxy: float32 (4,), the face's box in pixels of that picture, before the margin.
        n_faces: how many faces were found.
    """

    pixels: Pixels
    box_xyxy: Floats
    n_faces: int


class FaceCropper(ABC):
    """Finds faces and cuts out the largest.

    Attributes:
        name: of the method, for records.
        margin: the crop's side is the box's longer side times (1 + margin).
    """

    name: ClassVar[str]
    margin: float

    def __call__(self, image: Pixels) -> FaceCrop | None:
        """Return the square around the largest face, or None where no face is found.

        Args:
            image: uint8 (h, w), (h, w, 1) or (h, w, 3) in B, G, R.

        Raises:
            InputError: the array is not such a picture.
        """
        enlarged, factor = _for_detection(image)
        boxes_xyxy = self._find(enlarged, _SMALLEST_SHARE * min(enlarged.shape[:2])) / np.float32(factor)
        if len(boxes_xyxy) == 0:
            return None
        sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        box_xyxy = boxes_xyxy[int(np.argmax(sides[:, 0] * sides[:, 1]))]
        return FaceCrop(pixels=crop_square(image, box_xyxy, self.margin), box_xyxy=box_xyxy, n_faces=len(boxes_xyxy))

    @abstractmethod
    def _find(self, image: Pixels, min_face_px: float) -> Floats:
        """Return float32 (n, 4): left, top, right, bottom of each face of at least about `min_face_px`."""


class HaarCropper(FaceCropper):
    """OpenCV's cascade of Haar features for frontal faces.

    Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features" (CVPR 2001).
    """

    name = "haar"

    def __init__(self, margin: float = 0.0) -> None:
        """Load the cascade that comes with OpenCV; its boxes are wide, so no margin is added.

        Raises:
            MissingExtraError: this OpenCV has no cascades (5 and newer).
        """
        cv2 = import_cv2()
        if not hasattr(cv2, "CascadeClassifier") or not hasattr(cv2, "data"):
            raise MissingExtraError(
                f"Haar crops need the cascades that OpenCV 5 dropped, found OpenCV {cv2.__version__}; "
                'pip install "opencv-python-headless>=4.12,<5", or crop with mtcnn'
            )
        path = Path(cv2.data.haarcascades) / _CASCADE
        self._cascade: Any = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise MissingExtraError(
                f"Haar crops need {path}, which is missing or damaged; "
                'pip install --force-reinstall "opencv-python-headless>=4.12,<5", or crop with mtcnn'
            )
        self.margin = margin

    def _find(self, image: Pixels, min_face_px: float) -> Floats:
        side = round(min_face_px)
        found = self._cascade.detectMultiScale(
            gray_image(image), scaleFactor=_SCALE_STEP, minNeighbors=_MIN_NEIGHBOURS, minSize=(side, side)
        )
        boxes_xywh = np.array(found, dtype=np.float32).reshape(-1, 4)
        return np.hstack([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]])


class MtcnnCropper(FaceCropper):
    """The runtime's MTCNN with the bundle's crop margin: the crop that the classifier gets on a device."""

    name = "mtcnn"

    def __init__(self, bundle: Path | None = None, *, engine: str | None = None) -> None:
        """Load the detector of a bundle; None for the one that is installed with fer-edge.

        Raises:
            InputError, IntegrityError, MissingExtraError, UsageError: as `fer_edge.EmotionPipeline` raises them.
        """
        from fer_edge.pipeline import EmotionPipeline

        pipeline = EmotionPipeline(bundle, engine=engine)
        self._detector = pipeline.detector
        self.margin = pipeline.classifier.crop_margin

    def _find(self, image: Pixels, min_face_px: float) -> Floats:
        frame_bgr = image if image.ndim == 3 and image.shape[2] == 3 else np.repeat(gray_image(image)[..., None], 3, 2)
        boxes = [face.box_xyxy for face in self._detector(np.ascontiguousarray(frame_bgr))]
        boxes_xyxy = np.array(boxes, dtype=np.float32).reshape(-1, 4)
        sides = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1)
        large: Floats = boxes_xyxy[sides >= min_face_px]
        return large


def make_cropper(name: str) -> FaceCropper | None:
    """Return the cropper of a name of CROPS, None for "none".

    Raises:
        MissingExtraError: what it needs is not installed.
        UsageError: there is no cropper of that name.
    """
    if name not in CROPS:
        raise UsageError(f"crop: expected one of {', '.join(CROPS)}, found {name!r}")
    if name == "none":
        return None
    return HaarCropper() if name == "haar" else MtcnnCropper()


def _for_detection(image: Pixels) -> tuple[Pixels, float]:
    """Return the picture, enlarged where it is small, and the factor."""
    gray_image(image)  # checks type and shape
    height, width = image.shape[:2]
    shorter = min(height, width)
    if max(height, width) > _LONGEST_RATIO * shorter:
        raise InputError(
            f"image: expected sides that differ by at most {_LONGEST_RATIO} times, found {width} x {height} pixels"
        )
    if shorter >= _DETECTION_SIDE_PX:
        return image, 1.0
    factor = _DETECTION_SIDE_PX / shorter
    return resize_exact(image, (round(width * factor), round(height * factor))), factor
