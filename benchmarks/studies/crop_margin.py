"""How much wider than the detector's box should the classifier's crop be? Accuracy over margins, on web photos.

    python benchmarks/studies/crop_margin.py [BUNDLE]

Needs ExpW's photos and `label.lst` (name, face, top, left, right, bottom, confidence, label) below
$FER_EDGE_DATA/expw_dev. Each labelled face that the detector finds (intersection over union at least 0.4) is cut with
every margin and classified with the bundle's float32 network.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from fer_edge import EmotionPipeline
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square
from fer_edge_bench.detection_metrics import iou_matrix

MARGINS = (-0.1, 0.0, 0.1, 0.2, 0.3)
SMALLEST_OVERLAP = 0.4


def labelled_faces(listing: Path) -> dict[str, list[tuple[np.ndarray, int]]]:
    """Return boxes float32 (4,) and label indices by photo."""
    faces: dict[str, list[tuple[np.ndarray, int]]] = defaultdict(list)
    for line in listing.read_text(encoding="utf-8").splitlines():
        name, _, top, left, right, bottom, _, label = line.split()
        faces[name].append((np.array([left, top, right, bottom], dtype=np.float32), int(label)))
    return faces


def main() -> None:
    folder = Path(os.environ["FER_EDGE_DATA"]) / "expw_dev"
    pipeline = EmotionPipeline(sys.argv[1] if len(sys.argv) > 1 else None, precision="float32")
    n_labelled, actual = 0, []
    predicted: dict[float, list[int]] = {margin: [] for margin in MARGINS}
    for name, faces in labelled_faces(folder / "label.lst").items():
        n_labelled += len(faces)
        frame = read_image(folder / "Images" / name)
        found = pipeline.detector(frame)
        if not found:
            continue
        overlap = iou_matrix(np.stack([box for box, _ in faces]), np.stack([face.box_xyxy for face in found]))
        for row, (_, label) in zip(overlap, faces, strict=True):
            if row.max() < SMALLEST_OVERLAP:
                continue
            actual.append(label)
            box = found[int(row.argmax())].box_xyxy
            for margin in MARGINS:
                predicted[margin].append(int(pipeline.classifier(crop_square(frame, box, margin)).argmax()))
    truth = np.array(actual)
    print(f"{n_labelled} labelled faces, {len(truth)} found")
    for margin in MARGINS:
        right = np.array(predicted[margin]) == truth
        recall = [right[truth == label].mean() for label in range(len(pipeline.labels))]
        print(f"margin {margin:+.1f}: top-1 {100 * right.mean():.1f} %, mean recall {100 * np.mean(recall):.1f} %")


if __name__ == "__main__":
    main()
