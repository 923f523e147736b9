from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fer_edge.results import Detection, Face


def fields(**changes):
    return {
        "box_xyxy": np.zeros(4, np.float32),
        "detection_score": 0.9,
        "landmarks_xy": np.zeros((5, 2), np.float32),
        "probs": np.array([0.25, 0.75], np.float32),
        "emotion": "happy",
        **changes,
    }


def test_a_face_is_a_detection_and_cannot_be_changed():
    face = Face(**fields())
    assert isinstance(face, Detection)
    assert face.track_id is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        face.emotion = "sad"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"box_xyxy": np.zeros(5, np.float32)}, "box_xyxy: expected float32 (4,), found float32 (5,)"),
        ({"box_xyxy": np.zeros(4)}, "box_xyxy: expected float32 (4,), found float64 (4,)"),
        ({"landmarks_xy": np.zeros((2, 5), np.float32)}, "landmarks_xy: expected float32 (5, 2), found float32 (2, 5)"),
        ({"probs": np.zeros((1, 2), np.float32)}, "probs: expected float32 (n,), found float32 (1, 2)"),
        ({"probs": np.zeros(2)}, "probs: expected float32 (n,), found float64 (2,)"),
    ],
    ids=["box's shape", "box's dtype", "landmarks transposed", "probs' axes", "probs' dtype"],
)
def test_wrong_arrays(changes, message):
    with pytest.raises(ValueError, match="expected float32") as raised:
        Face(**fields(**changes))
    assert str(raised.value) == message
