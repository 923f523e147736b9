"""Small photos with labelled faces, a detector and a classifier that read their answers off the pixels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from fer_edge.results import Detection
from fer_edge_train.labelled_photos import PHOTO_LABELS

Box = tuple[int, int, int, int]


def detection(box: Iterable[float], score: float = 0.9) -> Detection:
    return Detection(
        box_xyxy=np.array(list(box), np.float32), detection_score=score, landmarks_xy=np.zeros((5, 2), np.float32)
    )


def write_photos(folder: Path, photos: dict[str, tuple[list[tuple[Box, int]], list[tuple[Box, int]]]]) -> Path:
    """Write `label.lst` and `Images/`: for each name the labelled faces, and what is drawn (box and gray level)."""
    (folder / "Images").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, (labelled, drawn) in photos.items():
        picture = np.zeros((120, 200, 3), np.uint8)
        for (left, top, right, bottom), level in drawn:
            picture[top:bottom, left:right] = level
        assert cv2.imwrite(str(folder / "Images" / name), picture)
        for face_id, ((left, top, right, bottom), label) in enumerate(labelled):
            rows.append(f"{name} {face_id} {top} {left} {right} {bottom} 20.5 {label}")
    (folder / "label.lst").write_text("\n".join([*rows, ""]), encoding="utf-8")
    return folder


def rectangles(frame: np.ndarray) -> list[Detection]:
    """A detector of bright rectangles that do not touch."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((frame[..., 0] > 0).astype(np.uint8))
    return [detection((x, y, x + w, y + h)) for x, y, w, h, _ in stats[1:]]


class LevelScorer:
    """A classifier whose answer is the crop's middle pixel over 10: 0 to 6."""

    labels = PHOTO_LABELS
    title = "levels"

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def probs(self, images: Iterable[np.ndarray]) -> np.ndarray:
        rows = []
        for image in images:
            self.seen.append(image.shape)
            answer = int(image[image.shape[0] // 2, image.shape[1] // 2, 0]) // 10 - 1
            rows.append(np.where(np.arange(7) == answer, 0.4, 0.1))
        return np.array(rows, np.float32)

    def to_json(self) -> dict[str, object]:
        return {"model": {"name": "levels"}}


def level(label: int) -> int:
    """The gray level that LevelScorer takes for a class."""
    return 10 * (label + 1) + 5
