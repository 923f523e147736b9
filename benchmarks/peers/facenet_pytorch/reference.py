"""Records what the MTCNN of the public package facenet-pytorch finds, through its public call."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detection_recording import FaceRow, record_main

# The package's own defaults, stated so that the record holds them.
MIN_FACE_SIZE_PX = 20
THRESHOLDS = (0.6, 0.7, 0.7)
FACTOR = 0.709


def batched_nms(
    boxes_xyxy: torch.Tensor, scores: torch.Tensor, image_indices: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """Do what `torchvision.ops.boxes.batched_nms` does for the boxes of one image.

    By descending score, a box is kept unless its intersection over union with a kept one is above the bound.
    """
    if torch.any(image_indices != 0):
        raise ValueError("expected the boxes of one image")
    order = torch.argsort(scores, descending=True, stable=True)
    ordered = boxes_xyxy[order]
    areas = (ordered[:, 2] - ordered[:, 0]) * (ordered[:, 3] - ordered[:, 1])
    alive = torch.ones(len(ordered), dtype=torch.bool)
    for i in range(len(ordered)):
        if alive[i]:
            rest = ordered[i + 1 :]
            top_left = torch.maximum(ordered[i, :2], rest[:, :2])
            bottom_right = torch.minimum(ordered[i, 2:], rest[:, 2:])
            common = (bottom_right - top_left).clamp(min=0).prod(dim=1)
            alive[i + 1 :] &= common / (areas[i] + areas[i + 1 :] - common) <= iou_threshold
    return order[alive]


def stand_in_for_torchvision() -> None:
    """Put `batched_nms` where the package imports it from: torchvision's wheels work with one build of torch only."""
    boxes = ModuleType("torchvision.ops.boxes")
    boxes.batched_nms = batched_nms  # type: ignore[attr-defined]
    transforms = ModuleType("torchvision.transforms")
    transforms.functional = ModuleType("torchvision.transforms.functional")  # type: ignore[attr-defined]
    for module in (ModuleType("torchvision"), ModuleType("torchvision.ops"), boxes, transforms):
        sys.modules[module.__name__] = module


def main() -> int:
    """Run the detector over the folders named on the command line."""
    stand_in_for_torchvision()
    from facenet_pytorch import MTCNN

    torch.set_num_threads(1)
    detector = MTCNN(min_face_size=MIN_FACE_SIZE_PX, thresholds=list(THRESHOLDS), factor=FACTOR, keep_all=True)

    def detect(image_rgb: npt.NDArray[np.uint8]) -> list[FaceRow]:
        boxes_xyxy, scores, landmarks_xy = detector.detect(image_rgb, landmarks=True)
        if boxes_xyxy is None:
            return []
        return list(zip(boxes_xyxy.tolist(), scores.tolist(), landmarks_xy.tolist(), strict=True))

    settings = {
        "min_face_size_px": MIN_FACE_SIZE_PX,
        "step_thresholds": list(THRESHOLDS),
        "scale_factor": FACTOR,
        "threads": 1,
        "nms": "stand-in for torchvision",
    }
    packages = ("facenet-pytorch", "torch", "opencv-python-headless", "numpy")
    return record_main("facenet-pytorch", packages, settings, detect, decimals=2)


if __name__ == "__main__":
    raise SystemExit(main())
