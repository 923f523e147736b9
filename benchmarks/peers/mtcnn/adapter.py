"""mtcnn: MTCNN on tensorflow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peer_protocol import FoundFace, PeerSettings, Pixels, box_from_xywh, serve


class Mtcnn:
    """MTCNN().detect_faces, at its defaults but for the smallest face."""

    takes_rgb = True
    packages = ("mtcnn", "tensorflow", "numpy")

    def __init__(self, settings: PeerSettings) -> None:
        from mtcnn import MTCNN

        self._detector = MTCNN()
        self._choices: dict[str, Any] = {}
        if settings.min_face_px is not None:
            self._choices["min_face_size"] = int(settings.min_face_px)

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Detect."""
        return [
            FoundFace(box_xyxy=box_from_xywh(face["box"]), score=face["confidence"])
            for face in self._detector.detect_faces(photo, **self._choices)
        ]


if __name__ == "__main__":
    raise SystemExit(serve(Mtcnn))
