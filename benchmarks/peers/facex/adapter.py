"""facex: faces by OpenCV's Haar cascade, expressions by a TFLite network of 200 x 200 pixels."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peer_protocol import FoundFace, PeerSettings, Pixels, box_from_xywh, serve

# Its names, and FER-2013's.
LABELS = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprise",
}


class Facex:
    """One of the workers of PoolManager; there is no setting for the smallest face."""

    takes_rgb = False
    packages = ("facex", "tensorflow", "scikit-image", "numpy", "opencv-contrib-python")

    def __init__(self, settings: PeerSettings) -> None:  # noqa: ARG002 - it has none of them
        import facex

        self._worker = facex.PoolManager(pool_size=1).get_worker("compare")

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Detect and classify."""
        return [
            FoundFace(box_xyxy=box_from_xywh(face["bbox"]), expression=_label(face["emot"]))
            for face in self._worker.predict(photo)
        ]

    def classify(self, faces: Pixels) -> list[str]:
        """Give each face as the crop of its own detector: gray."""
        return [_label(self._worker.detect_emotion(face)) for face in faces]


def _label(emotions: dict[str, float]) -> str:
    return LABELS[max(emotions, key=lambda name: emotions[name])]


if __name__ == "__main__":
    raise SystemExit(serve(Facex))
