"""facenet-pytorch: MTCNN on torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peer_protocol import FoundFace, PeerSettings, Pixels, serve


class FacenetPytorch:
    """MTCNN(keep_all=True).detect, at its defaults but for the smallest face."""

    takes_rgb = True
    packages = ("facenet-pytorch", "torch", "torchvision", "numpy")

    def __init__(self, settings: PeerSettings) -> None:
        import torch
        from facenet_pytorch import MTCNN

        torch.set_num_threads(settings.threads)
        choices: dict[str, Any] = {"keep_all": True}
        if settings.min_face_px is not None:
            choices["min_face_size"] = int(settings.min_face_px)
        self._detector = MTCNN(**choices)

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Detect."""
        boxes_xyxy, scores = self._detector.detect(photo)
        if boxes_xyxy is None:
            return []
        return [FoundFace(box_xyxy=box, score=score) for box, score in zip(boxes_xyxy, scores, strict=True)]


if __name__ == "__main__":
    raise SystemExit(serve(FacenetPytorch))
