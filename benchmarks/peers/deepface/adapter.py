"""deepface: faces by OpenCV's Haar cascade, its default, and expressions by a network that it downloads."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peer_protocol import FoundFace, PeerSettings, Pixels, box_from_xywh, serve


class Deepface:
    """DeepFace.analyze for the emotion, at its defaults; there is no setting for the smallest face."""

    takes_rgb = False
    packages = ("deepface", "onnxruntime", "numpy", "opencv-contrib-python-headless")

    def __init__(self, settings: PeerSettings) -> None:  # noqa: ARG002 - it has none of them
        from deepface import DeepFace

        self._analyze = DeepFace.analyze

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Detect and classify; a photo without a face is returned by it as one face of all its pixels."""
        found = self._analyze(photo, actions=["emotion"], enforce_detection=False)
        boxes = [[face["region"][key] for key in "xywh"] for face in found]
        return [
            FoundFace(box_xyxy=box_from_xywh(box), score=face["face_confidence"], expression=face["dominant_emotion"])
            for box, face in zip(boxes, found, strict=True)
        ]


if __name__ == "__main__":
    raise SystemExit(serve(Deepface))
