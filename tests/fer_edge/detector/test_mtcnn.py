"""The cascade as a whole, on the bundle that ships."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from runtime_support import installed_engine

from fer_edge.assets import demo_photo_path
from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.errors import InputError
from fer_edge.images import read_image
from fer_edge.stage import Stage

# Where the author of this test sees the face of the demo photo, from the hairline to the chin.
FACE_XYXY = (177, 65, 272, 180)


def overlap(a_xyxy, b_xyxy):
    """Intersection over union."""
    width = min(a_xyxy[2], b_xyxy[2]) - max(a_xyxy[0], b_xyxy[0])
    height = min(a_xyxy[3], b_xyxy[3]) - max(a_xyxy[1], b_xyxy[1])
    inter = max(width, 0) * max(height, 0)
    return inter / (sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a_xyxy, b_xyxy)) - inter)


@pytest.fixture(scope="module")
def photo():
    return read_image(demo_photo_path())


def make_detector(bundle, **options):
    engine = installed_engine("litert")  # it loads fastest
    stages = [Stage(bundle, name, engine, batch_sizes=(1, 4)) for name in ("rnet", "onet")]
    return FaceDetector(Stage(bundle, "pnet", engine), *stages, DetectorOptions(**options))


@pytest.fixture(scope="module")
def detector(default_bundle):
    return make_detector(default_bundle)


def as_lists(detections):
    return [(found.box_xyxy.tolist(), found.detection_score, found.landmarks_xy.tolist()) for found in detections]


def test_one_face(detector, photo):
    (face,) = detector(photo)
    # As a person marks them: the pupils, the tip of the nose and the corners of the mouth.
    assert overlap(face.box_xyxy, FACE_XYXY) > 0.8
    np.testing.assert_allclose(face.landmarks_xy, [[204, 101], [246, 103], [224, 128], [201, 139], [244, 141]], atol=5)
    assert 0.99 < face.detection_score < 1


def test_two_faces(detector, photo):
    twice = np.hstack([photo, photo[:, ::-1]])
    found = sorted(detector(twice), key=lambda face: float(face.box_xyxy[0]))
    assert len(found) == 2
    left, right = (face.box_xyxy for face in found)
    assert (left[0] + left[2]) / 2 == pytest.approx(224, abs=8)
    assert (right[0] + right[2]) / 2 == pytest.approx(1024 - 224, abs=8)
    # Left and right are meant as seen in the picture, whichever way the face looks.
    for face in found:
        assert face.landmarks_xy[0, 0] < face.landmarks_xy[1, 0]
        assert face.landmarks_xy[3, 0] < face.landmarks_xy[4, 0]


def test_faces_are_ordered_by_score(detector, photo):
    dim = (photo // 3).astype(np.uint8)
    scores = [face.detection_score for face in detector(np.vstack([dim, photo]))]
    assert len(scores) >= 1
    assert scores == sorted(scores, reverse=True)


def test_a_shifted_face_is_found_at_the_shifted_place(detector, photo):
    (face,) = detector(photo)
    shifted = np.zeros((600, 640, 3), np.uint8)
    shifted[60:572, 100:612] = photo
    (moved,) = [found for found in detector(shifted) if found.detection_score > 0.95]
    np.testing.assert_allclose(moved.box_xyxy - [100, 60, 100, 60], face.box_xyxy, atol=8)


def test_a_face_at_the_border(detector, photo):
    # The cheek's edge is outside; the box may reach beyond the frame but stays at the face.
    (face,) = detector(np.ascontiguousarray(photo[:, 195:]))
    assert face.box_xyxy[0] < 10
    assert face.box_xyxy[2] == pytest.approx(267 - 195, abs=15)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_blank_frame(detector, value):
    assert detector(np.full((480, 640, 3), value, np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (11, 200, 3), (200, 39, 3), (40, 40, 3), (2, 4000, 3)], ids=str)
def test_a_tiny_frame(detector, shape):
    assert detector(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)) == []


@pytest.mark.parametrize("shape", [(12, 12, 3), (12, 300, 3), (30, 1200, 3)], ids=str)
def test_a_frame_of_one_field(default_bundle, shape):
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert isinstance(make_detector(default_bundle, min_face_px=12)(frame), list)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (None, "frame: expected a numpy array uint8 (height, width, 3) in B, G, R, found NoneType"),
        ([[[1, 2, 3]]], "frame: expected a numpy array uint8 (height, width, 3) in B, G, R, found list"),
        (
            np.zeros((4, 4), np.uint8),
            "frame: expected a numpy array uint8 (height, width, 3) in B, G, R, found uint8 (4, 4)",
        ),
        (
            np.zeros((4, 4, 4), np.uint8),
            "frame: expected a numpy array uint8 (height, width, 3) in B, G, R, found uint8 (4, 4, 4)",
        ),
        (
            np.zeros((4, 4, 3), np.float32),
            "frame: expected a numpy array uint8 (height, width, 3) in B, G, R, found float32 (4, 4, 3)",
        ),
        (np.zeros((0, 4, 3), np.uint8), "frame: expected at least one pixel, found (0, 4, 3)"),
        (np.zeros((4, 0, 3), np.uint8), "frame: expected at least one pixel, found (4, 0, 3)"),
    ],
    ids=["None", "list", "gray", "four channels", "float", "no rows", "no columns"],
)
def test_what_is_no_frame(detector, frame, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        detector(frame)


def test_the_same_frame_gives_the_same_faces(detector, photo):
    first = as_lists(detector(photo))
    assert as_lists(detector(photo)) == first
    assert as_lists(detector(photo.copy())) == first
    assert as_lists(detector(np.ascontiguousarray(photo[..., ::-1])[..., ::-1])) == first


def test_a_frame_is_left_as_it_was(detector, photo):
    frame = photo.copy()
    frame.setflags(write=False)
    assert detector(frame)
    np.testing.assert_array_equal(frame, photo)


def test_frames_of_changing_size(default_bundle, photo):
    frames = [photo, np.ascontiguousarray(photo[:300]), np.hstack([photo, photo])]
    fresh = [as_lists(make_detector(default_bundle)(frame)) for frame in frames]
    assert [len(faces) for faces in fresh] == [1, 1, 2]
    detector = make_detector(default_bundle)
    for index in (0, 1, 0, 2, 1, 0):
        assert as_lists(detector(frames[index])) == fresh[index]


def test_only_the_sessions_of_the_last_frame_size_are_kept(default_bundle, photo):
    detector = make_detector(default_bundle)
    for width in (300, 400, 500):
        detector(np.ascontiguousarray(photo[:, :width]))
    assert set(detector._pnet._sessions) == {(1, height, width, 3) for width, height in detector.pnet_sizes_wh}


def test_a_face_smaller_than_asked_for_is_not_looked_for(default_bundle, photo):
    # The face is about 90 x 115 px.
    assert make_detector(default_bundle, min_face_px=400)(photo) == []
    assert len(make_detector(default_bundle, min_face_px=80)(photo)) == 1


def test_few_proposals_are_enough_for_one_face(default_bundle, photo):
    (few,) = make_detector(default_bundle, max_proposals=20)(photo)
    assert overlap(few.box_xyxy, FACE_XYXY) > 0.8


def test_a_higher_threshold_finds_no_more(default_bundle, photo):
    assert make_detector(default_bundle, onet_threshold=0.9999999)(photo) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_face_px": 11.9}, "min_face_px: expected 12 or more (P-Net's field), found 11.9"),
        ({"min_face_px": math.nan}, "min_face_px: expected 12 or more (P-Net's field), found nan"),
        ({"scale_factor": 0.05}, "scale_factor: expected 0.1 to 0.95, found 0.05"),
        ({"scale_factor": 1.0}, "scale_factor: expected 0.1 to 0.95, found 1"),
        ({"scale_factor": math.nan}, "scale_factor: expected 0.1 to 0.95, found nan"),
        ({"pnet_threshold": 0.0}, "pnet_threshold: expected between 0 and 1, found 0"),
        ({"rnet_threshold": 1.0}, "rnet_threshold: expected between 0 and 1, found 1"),
        ({"onet_threshold": math.nan}, "onet_threshold: expected between 0 and 1, found nan"),
        ({"max_proposals": 0}, "max_proposals: expected a whole number, 1 or more, found 0"),
        ({"max_proposals": 1.5}, "max_proposals: expected a whole number, 1 or more, found 1.5"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DetectorOptions(**options)
