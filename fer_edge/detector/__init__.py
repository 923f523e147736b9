"""Face detection."""

from fer_edge.detector.mtcnn import DetectorOptions, FaceDetector

__all__ = ["DetectorOptions", "FaceDetector"]
