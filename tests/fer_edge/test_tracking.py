"""Tracks over scripted detections, and over real videos."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fer_edge import Detection, EmotionPipeline, FaceTracker, TrackerOptions
from fer_edge.images import read_image
from fer_edge.sources import open_source

LABELS = ("angry", "happy", "neutral")


def face_at(left, top=0.0, side=40.0, score=0.99):
    return Detection(
        box_xyxy=np.array([left, top, left + side, top + side], np.float32),
        detection_score=score,
        landmarks_xy=np.zeros((5, 2), np.float32),
    )


class Scripted:
    """A pipeline whose frames carry their number in the pixels: `faces[n]` is what is in frame n, `probs[n]` its looks.

    Following finds a face where one of the frame's is within 10 px of where it was.
    """

    labels = LABELS

    def __init__(self, faces, probs=None):
        self.faces, self.probs = faces, probs or {}
        self.detected, self.followed, self.classified = [], [], []
        self.detector = self.classifier = self

    def frame(self, number, shade=0):
        pixels = np.full((120, 160, 3), shade, np.uint8)
        pixels[0, 0] = (number // 256, shade, number % 256)
        return pixels

    @staticmethod
    def number(frame):
        return int(frame[0, 0, 0]) * 256 + int(frame[0, 0, 2])

    def analyse(self, frame):
        self.detected.append(self.number(frame))
        return list(self.faces.get(self.number(frame), ())), {"pyramid": 1.0, "pnet": 5.0}

    def follow(self, frame, boxes):
        self.followed.append(self.number(frame))
        there = self.faces.get(self.number(frame), ())
        return [next((face for face in there if abs(face.box_xyxy[0] - box[0]) <= 10), None) for box in boxes]

    def analyse_boxes(self, frame, boxes):
        if boxes:
            self.classified.append((self.number(frame), len(boxes)))
        row = self.probs.get(self.number(frame), (0.1, 0.8, 0.1))
        return np.array([row] * len(boxes), np.float32).reshape(-1, 3), {"crop": 0.1, "classify": 0.5}


def run(pipeline, n_frames, shades=None, **options):
    tracker = FaceTracker(pipeline, TrackerOptions(**options))
    shades = shades or {}
    return tracker, [
        tracker.analyse(pipeline.frame(number, shades.get(number, 0)), number / 25) for number in range(n_frames)
    ]


def ids(analysis):
    return [face.track_id for face in analysis.faces]


def test_detection_runs_now_and_then_and_the_face_keeps_its_number():
    pipeline = Scripted({number: [face_at(10 + 2 * number)] for number in range(25)})
    tracker, found = run(pipeline, 25, detect_every=10)
    assert pipeline.detected == [0, 10, 20]
    assert pipeline.followed == [number for number in range(25) if number % 10]
    assert [ids(analysis) for analysis in found] == [[1]] * 25
    assert [float(analysis.faces[0].box_xyxy[0]) for analysis in found] == [10 + 2 * number for number in range(25)]
    assert tracker.detections == 3
    assert list(found[0].stages_ms) == ["follow", "pyramid", "pnet", "crop", "classify"]
    assert list(found[1].stages_ms) == ["follow", "crop", "classify"]


def test_every_frame_where_that_is_asked_for():
    pipeline = Scripted({number: [face_at(10)] for number in range(5)})
    run(pipeline, 5, detect_every=1)
    assert (pipeline.detected, pipeline.followed) == ([0, 1, 2, 3, 4], [])


def test_an_empty_picture_is_not_searched_in_every_frame():
    pipeline = Scripted({12: [face_at(10)], 13: [face_at(10)], **{n: [face_at(10)] for n in range(14, 22)}})
    _, found = run(pipeline, 22, detect_every=10)
    assert pipeline.detected == [0, 10, 20]
    assert [ids(analysis) for analysis in found] == [[]] * 20 + [[1]] * 2


def test_a_lost_face_is_searched_for_at_once():
    faces = {number: [face_at(10), face_at(100)] for number in range(4)} | {n: [face_at(10)] for n in range(4, 9)}
    pipeline = Scripted(faces)
    _, found = run(pipeline, 9, detect_every=10)
    assert pipeline.detected == [0, 4]
    assert [ids(analysis) for analysis in found] == [[1, 2]] * 4 + [[1]] * 5


@pytest.mark.parametrize(
    ("gone_frames", "number"),
    [pytest.param(5, 1, id="found again in time"), pytest.param(40, 2, id="forgotten by then")],
)
def test_a_face_that_was_gone(gone_frames, number):
    """At 25 frames a second a lost face is remembered for 25 frames."""
    back = 3 + gone_frames
    pipeline = Scripted({n: [face_at(10)] for n in [*range(3), *range(back, back + 12)]})
    _, found = run(pipeline, back + 12, detect_every=5, forget_after_s=1.0)
    assert ids(found[2]) == [1]
    assert ids(found[3]) == []
    assert ids(found[-1]) == [number]


def test_a_face_that_jumps_is_another_one():
    pipeline = Scripted({0: [face_at(10)], 1: [face_at(90)], 2: [face_at(90)]})
    _, found = run(pipeline, 3)
    assert [ids(analysis) for analysis in found] == [[1], [2], [2]]


def test_pairs_are_made_by_overlap_not_by_order():
    pipeline = Scripted({0: [face_at(10), face_at(60)], 1: [face_at(58), face_at(12)]})
    _, found = run(pipeline, 2, detect_every=1)
    assert {face.track_id: float(face.box_xyxy[0]) for face in found[1].faces} == {1: 12.0, 2: 58.0}


def test_two_tracks_on_one_face_are_sorted_out_by_detection():
    pipeline = Scripted({0: [face_at(10), face_at(25)], 1: [face_at(18)], 2: [face_at(18)]})
    _, found = run(pipeline, 3)
    assert pipeline.detected == [0, 1]
    assert len(found[1].faces) == 1


@pytest.mark.parametrize(
    ("difference", "cut"), [pytest.param(29, False, id="lighter"), pytest.param(31, True, id="another scene")]
)
def test_a_cut(difference, cut):
    """The whole picture changes its shade: by less than the bound it is light, by more another scene."""
    pipeline = Scripted({number: [face_at(10)] for number in range(6)})
    shades = dict.fromkeys(range(3, 6), difference)
    _, found = run(pipeline, 6, shades, scene_change=30.0)
    assert pipeline.detected == ([0, 3] if cut else [0])
    assert ids(found[5]) == [2 if cut else 1]


def test_a_frame_of_another_size_is_another_scene():
    pipeline = Scripted({0: [face_at(10)], 1: [face_at(10)]})
    tracker = FaceTracker(pipeline)
    tracker.analyse(pipeline.frame(0))
    assert ids(tracker.analyse(np.vstack([pipeline.frame(1)] * 2))) == [2]


def test_probabilities_follow_a_change_exponentially():
    """Two frames of 0.04 s each with a time constant of 0.1 s: 1 - exp(-0.4) of the way each."""
    probs = {0: (1.0, 0.0, 0.0), 1: (0.0, 1.0, 0.0), 2: (0.0, 1.0, 0.0)}
    pipeline = Scripted({number: [face_at(10)] for number in range(3)}, probs)
    _, found = run(pipeline, 3, smoothing_s=0.1, classify_every=1)
    left = [math.exp(-0.4), math.exp(-0.8)]
    for analysis, share in zip(found[1:], left, strict=True):
        np.testing.assert_allclose(analysis.faces[0].probs, [share, 1 - share, 0], atol=1e-6)
        assert analysis.faces[0].probs.sum() == pytest.approx(1, abs=1e-6)
    assert [analysis.faces[0].emotion for analysis in found] == ["angry", "angry", "happy"]


def test_classification_every_other_frame_smooths_over_the_time_between():
    probs = {0: (1.0, 0.0, 0.0), **dict.fromkeys(range(1, 4), (0.0, 1.0, 0.0))}
    pipeline = Scripted({number: [face_at(10)] for number in range(4)}, probs)
    _, found = run(pipeline, 4, smoothing_s=0.1, classify_every=2)
    assert [number for number, _ in pipeline.classified] == [0, 1, 3]
    np.testing.assert_array_equal(found[2].faces[0].probs, found[1].faces[0].probs)
    assert found[3].faces[0].probs[0] == pytest.approx(math.exp(-0.4) * math.exp(-0.8), abs=1e-6)


def test_a_new_face_is_classified_at_once():
    pipeline = Scripted({0: [face_at(10)], **{n: [face_at(10), face_at(90)] for n in range(1, 5)}})
    _, found = run(pipeline, 5, detect_every=1, classify_every=4)
    assert pipeline.classified == [(0, 1), (1, 1), (3, 2)]
    assert ids(found[1]) == [1, 2]


@pytest.mark.parametrize(
    ("hysteresis", "changes"), [pytest.param(0.1, 0, id="held"), pytest.param(0.0, 9, id="flickers")]
)
def test_labels_do_not_flicker(hysteresis, changes):
    """Two labels take turns at being likelier by 0.04."""
    probs = {n: (0.48, 0.52, 0.0) if n % 2 else (0.52, 0.48, 0.0) for n in range(10)}
    pipeline = Scripted({number: [face_at(10)] for number in range(10)}, probs)
    _, found = run(pipeline, 10, smoothing_s=0.0, hysteresis=hysteresis, classify_every=1)
    labels = [analysis.faces[0].emotion for analysis in found]
    assert sum(one != other for one, other in pairwise(labels)) == changes


@pytest.mark.parametrize(
    ("bound_ms", "interval"),
    [
        pytest.param(25.0, 1, id="room for every frame"),
        # 20 and 2 ms: (20 + 3 * 2) / 4 = 6.5, and 3 frames would take 8.
        pytest.param(7.0, 4, id="every fourth"),
        pytest.param(2.5, 30, id="bounded by detect_every"),
        pytest.param(1.0, 30, id="less than following takes"),
    ],
)
def test_detection_is_as_frequent_as_the_bound_allows(bound_ms, interval):
    tracker = FaceTracker(Scripted({}), TrackerOptions(detect_every=30, max_latency_ms=bound_ms))
    assert tracker.interval_frames == 1
    for _ in range(3):
        tracker._adapt(20.0, detected_now=True)
        tracker._adapt(2.0, detected_now=False)
    assert tracker.interval_frames == interval


def test_costs_are_averaged():
    tracker = FaceTracker(Scripted({}), TrackerOptions(detect_every=30, max_latency_ms=10.0))
    tracker._adapt(2.0, detected_now=False)
    tracker._adapt(10.0, detected_now=True)
    assert tracker.interval_frames == 1
    # One slow frame in eight parts: 10 + (26 - 10) / 8 = 12 ms; (12 + 2) / 2 = 7.
    tracker._adapt(26.0, detected_now=True)
    assert tracker.interval_frames == 2


def test_without_times_frames_are_25_a_second():
    probs = {0: (1.0, 0.0, 0.0), 1: (0.0, 1.0, 0.0)}
    pipeline = Scripted({number: [face_at(10)] for number in range(2)}, probs)
    tracker = FaceTracker(pipeline, TrackerOptions(smoothing_s=0.04, classify_every=1))
    tracker.analyse(pipeline.frame(0))
    assert tracker.analyse(pipeline.frame(1)).faces[0].probs[0] == pytest.approx(math.exp(-1), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detect_every": 0}, "detect_every: expected 1 or more, found 0"),
        ({"classify_every": 0}, "classify_every: expected 1 or more, found 0"),
        ({"max_latency_ms": 0.0}, "max_latency_ms: expected a number above 0, found 0"),
        ({"max_latency_ms": math.nan}, "max_latency_ms: expected a number above 0, found nan"),
        ({"smoothing_s": -1.0}, "smoothing_s: expected 0 or more, found -1"),
        ({"forget_after_s": math.inf}, "forget_after_s: expected 0 or more, found inf"),
        ({"hysteresis": 1.0}, "hysteresis: expected 0 to 1, found 1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        TrackerOptions(**options)


def test_a_still_camera_follows_what_detection_found(tmp_path):
    """The same photo again and again: following must stay where the face is."""
    from fer_edge.assets import demo_photo_path

    photo = read_image(demo_photo_path())
    pipeline = EmotionPipeline()
    tracker = FaceTracker(pipeline, TrackerOptions(detect_every=1000, classify_every=1))
    first = tracker.analyse(photo).faces[0]
    last = None
    for _ in range(30):
        (last,) = tracker.analyse(photo).faces
    assert tracker.detections == 1
    assert last.track_id == 1
    assert np.abs(last.box_xyxy - first.box_xyxy).max() < 6
    np.testing.assert_allclose(last.landmarks_xy, first.landmarks_xy, atol=4)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "numbers", "least_recall", "most_changes"),
    [("WolfgangLanger_Pexels.mp4", {1}, 1.0, 4), ("face_noface.mov", {1}, 0.99, 2), ("no_face.mp4", set(), 1.0, 0)],
)
def test_a_video_is_seen_as_if_every_frame_were_searched(data_folder: Path, name, numbers, least_recall, most_changes):
    pipeline = EmotionPipeline()
    tracker = FaceTracker(pipeline)
    found = expected = extra = changes = n_frames = 0
    shown: dict[int, str] = {}
    seen_numbers = set()
    for frame in open_source(str(data_folder / "videos" / name)):
        searched = pipeline.detector(frame.image_bgr)
        faces = tracker.analyse(frame.image_bgr, frame.time_s).faces
        n_frames += 1
        expected += len(searched)
        found += sum(any(overlap(one.box_xyxy, face.box_xyxy) > 0.5 for face in faces) for one in searched)
        extra += sum(not any(overlap(one.box_xyxy, face.box_xyxy) > 0.5 for one in searched) for face in faces)
        for face in faces:
            changes += shown.get(face.track_id, face.emotion) != face.emotion
            shown[face.track_id] = face.emotion
            seen_numbers.add(face.track_id)
    assert seen_numbers == numbers
    assert found >= least_recall * expected
    assert extra <= 0.01 * n_frames
    assert changes <= most_changes
    assert tracker.detections <= n_frames / 8


def overlap(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.maximum(high - low, 0).prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)
