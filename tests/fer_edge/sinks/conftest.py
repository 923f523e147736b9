"""Results as a pipeline makes them, without one."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge.results import Face, FrameAnalysis
from fer_edge.sinks import FrameResult
from fer_edge.sources import Frame

LABELS = ("angry", "happy", "neutral")


def face(track_id, emotion):
    """A face whose likeliest label is `emotion`, with 0.5; numbers that float32 holds exactly."""
    probs = np.full(len(LABELS), 0.25, np.float32)
    probs[LABELS.index(emotion)] = 0.5
    return Face(
        box_xyxy=np.array([1, 2, 33, 44], np.float32),
        detection_score=0.75,
        landmarks_xy=np.zeros((5, 2), np.float32),
        probs=probs,
        emotion=emotion,
        track_id=track_id,
    )


@pytest.fixture(scope="session")
def make_result():
    """Function from (track_id, emotion) pairs, and the frame's index and time, to a result."""
    image_bgr = np.zeros((48, 64, 3), np.uint8)

    def make(*faces, index=0, time_s=0.0, n_dropped=0, decode_ms=1.0, detect_ms=8.0, classify_ms=2.0, skipped=None):
        return FrameResult(
            frame=Frame(image_bgr=image_bgr, source="door", index=index, time_s=time_s),
            analysis=FrameAnalysis(
                faces=tuple(face(*each) for each in faces),
                detect_ms=detect_ms,
                classify_ms=classify_ms,
                stages_ms={},
            ),
            labels=LABELS,
            decode_ms=decode_ms,
            n_dropped=n_dropped,
            skipped=skipped,
        )

    return make
