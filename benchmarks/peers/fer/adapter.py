"""fer: faces by its Haar cascade or by facenet-pytorch's MTCNN, expressions by its quantized mini_XCEPTION."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peer_protocol import FoundFace, PeerSettings, Pixels, box_from_xywh, serve


class Fer:
    """FER().detect_emotions, at its defaults but for the detector and the smallest face."""

    takes_rgb = False

    def __init__(self, settings: PeerSettings) -> None:
        # Not `from fer import FER`, as its own documentation has it: this release does not export the name there.
        from fer.fer import FER

        self._make = FER
        is_mtcnn = settings.options["detector"] == "mtcnn"
        choices: dict[str, Any] = {"mtcnn": is_mtcnn}
        if settings.min_face_px is not None and not is_mtcnn:
            choices["min_face_size"] = int(settings.min_face_px)
        self._fer = FER(**choices)
        self.packages = ["fer", "tensorflow", "numpy", "opencv-contrib-python"]
        if is_mtcnn:
            self.packages += ["facenet-pytorch", "torch"]
            if settings.min_face_px is not None:
                # Its constructor hands no smallest face to MTCNN.
                self._fer._mtcnn.min_face_size = int(settings.min_face_px)

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Detect and classify."""
        return [
            FoundFace(box_xyxy=box_from_xywh(face["box"]), expression=_label(face["emotions"]))
            for face in self._fer.detect_emotions(photo)
        ]

    def classify(self, faces: Pixels) -> list[str]:
        """Give each face as a photo with one rectangle that is all of it, and no margin around."""
        classifier = self._make(offsets=(0, 0))
        whole = [(0, 0, faces.shape[2], faces.shape[1])]
        return [
            _label(classifier.detect_emotions(np.repeat(face[..., np.newaxis], 3, axis=2), whole)[0]["emotions"])
            for face in faces
        ]


def _label(emotions: dict[str, float]) -> str:
    return max(emotions, key=lambda name: emotions[name])


if __name__ == "__main__":
    raise SystemExit(serve(Fer))
