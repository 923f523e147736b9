"""fer-edge itself, as pip installs it; the one adapter that may import it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peer_protocol import FoundFace, PeerSettings, Pixels, serve

if TYPE_CHECKING:
    from fer_edge import EmotionPipeline


class FerEdge:
    """EmotionPipeline, or its detector alone, at the defaults but for engine, threads and smallest face."""

    takes_rgb = False

    def __init__(self, settings: PeerSettings) -> None:
        from fer_edge import EmotionPipeline

        engine = settings.options["engine"]
        choices: dict[str, Any] = {} if settings.min_face_px is None else {"min_face_px": settings.min_face_px}
        self._pipeline: EmotionPipeline = EmotionPipeline(engine=engine, threads=settings.threads, **choices)
        self._detects_only = settings.mode == "detect"
        engine_package = {"litert": "ai-edge-litert", "onnx": "onnxruntime"}[engine]
        self.packages = ("fer-edge", engine_package, "opencv-python-headless", "numpy")

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Detect, and classify where asked."""
        if self._detects_only:
            return [
                FoundFace(box_xyxy=[float(value) for value in face.box_xyxy], score=face.detection_score)
                for face in self._pipeline.detector(photo)
            ]
        return [
            FoundFace(
                box_xyxy=[float(value) for value in face.box_xyxy],
                score=face.detection_score,
                expression=face.emotion,
            )
            for face in self._pipeline(photo)
        ]

    def classify(self, faces: Pixels) -> list[str]:
        """Give the faces to the classifier as its crops."""
        labels = self._pipeline.labels
        return [labels[int(row.argmax())] for row in self._pipeline.classifier.classify(list(faces))]


if __name__ == "__main__":
    raise SystemExit(serve(FerEdge))
