"""A frame's faces as JSON for machines (docs/frame-record.md) and as text for people."""

from __future__ import annotations

from typing import Any

from fer_edge.results import Face, FrameAnalysis
from fer_edge.sources import Frame

__all__ = ["FRAME_SCHEMA", "frame_record", "frame_text"]

FRAME_SCHEMA = "fer-edge/frame/1"


def frame_record(frame: Frame, analysis: FrameAnalysis, labels: tuple[str, ...], decode_ms: float) -> dict[str, Any]:
    """Return one frame's record as JSON types.

    Pixels are rounded to 0.01, times to 0.001 ms, probabilities to 0.000001.

    Args:
        frame: what was analysed.
        analysis: what was found.
        labels: names of the classes, in the order of `Face.probs`.
        decode_ms: time it took to read and decode the frame.
    """
    height, width = frame.image_bgr.shape[:2]
    return {
        "schema": FRAME_SCHEMA,
        "source": frame.source,
        "frame": frame.index,
        "time_s": None if frame.time_s is None else round(frame.time_s, 6),
        "size_wh": [width, height],
        "faces": [_face_record(face, labels) for face in analysis.faces],
        "latency_ms": {
            "decode": round(decode_ms, 3),
            "detect": round(analysis.detect_ms, 3),
            "classify": round(analysis.classify_ms, 3),
            "total": round(decode_ms + analysis.detect_ms + analysis.classify_ms, 3),
        },
    }


def _face_record(face: Face, labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "box_xyxy": [round(value, 2) for value in face.box_xyxy.tolist()],
        "detection_score": round(face.detection_score, 6),
        "landmarks_xy": [[round(value, 2) for value in point] for point in face.landmarks_xy.tolist()],
        "emotion": face.emotion,
        "track_id": face.track_id,
        "probs": {label: round(prob, 6) for label, prob in zip(labels, face.probs.tolist(), strict=True)},
    }


def frame_text(frame: Frame, analysis: FrameAnalysis, labels: tuple[str, ...]) -> str:
    """Return a line for the frame and one for each face: its two likeliest apparent expressions and its box."""
    n_faces = len(analysis.faces)
    where = frame.source if frame.time_s is None else f"{frame.source} at {frame.time_s:.2f} s"
    lines = [f"{where}: {n_faces} face{'' if n_faces == 1 else 's'}"]
    for number, face in enumerate(analysis.faces, start=1):
        likeliest = sorted(zip(face.probs.tolist(), labels, strict=True), reverse=True)[:2]
        expressions = ", ".join(f"{label} {100 * prob:.0f} %" for prob, label in likeliest)
        left, top, right, bottom = (round(value) for value in face.box_xyxy.tolist())
        lines.append(
            f"  {number}: {expressions}  (box {left},{top} to {right},{bottom}, score {face.detection_score:.3f})"
        )
    return "\n".join(lines)
