from __future__ import annotations

import json

import numpy as np
import pytest
from train.photo_support import LevelScorer, detection, level, rectangles, write_photos

from fer_edge.errors import InputError
from fer_edge_train.labelled_photos import read_labelled_photos
from fer_edge_train.photo_evaluation import SkippedPhoto, evaluate_photos, iou_matrix, match_faces

A, B, C = (10, 10, 50, 50), (60, 10, 100, 50), (120, 20, 180, 80)


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((0, 0, 10, 10), (0, 0, 10, 10), 1.0, id="same"),
        pytest.param((0, 0, 10, 10), (5, 0, 15, 10), 50 / 150, id="half"),
        pytest.param((0, 0, 10, 10), (2, 2, 4, 4), 4 / 100, id="inside"),
        pytest.param((0, 0, 10, 10), (10, 0, 20, 10), 0.0, id="touching"),
        pytest.param((0, 0, 10, 10), (30, 30, 40, 40), 0.0, id="apart"),
        pytest.param((0, 0, 10, 10), (6, 6, 4, 4), 0.0, id="turned inside out"),
    ],
)
def test_intersection_over_union_by_hand(a, b, expected):
    assert iou_matrix(boxes(a), boxes(b)) == pytest.approx(expected)


def test_matches_are_one_to_one_and_the_best_overlap_goes_first():
    labelled = boxes((0, 0, 10, 10), (4, 0, 14, 10))
    # The first found box overlaps both, the second face more (9/11 against 6/14 + ...); the other only the first.
    found = boxes((3, 0, 13, 10), (0, 0, 10, 9), (100, 100, 110, 110))
    assert match_faces(labelled, found).tolist() == [1, 0]
    # Alone, it goes to the face that it overlaps most, and the other face is not found.
    assert match_faces(labelled, found[:1]).tolist() == [-1, 0]
    assert match_faces(labelled, found[2:]).tolist() == [-1, -1]
    assert match_faces(labelled, found[:0]).tolist() == [-1, -1]


@pytest.mark.parametrize(("height", "expected"), [(40, 0), (39, -1)])
def test_the_smallest_overlap_is_a_match(height, expected):
    assert match_faces(boxes((0, 0, 10, 100)), boxes((0, 0, 10, height))).tolist() == [expected]


@pytest.fixture
def photos(tmp_path):
    folder = write_photos(
        tmp_path / "web",
        {
            # Found and right; found and wrong; another face that nobody labelled.
            "one.png": ([(A, 0), (B, 3)], [(A, level(0)), (B, level(6)), (C, level(2))]),
            # Not found.
            "two.png": ([(A, 3)], []),
            "three.png": ([(C, 3)], [(C, level(3))]),
        },
    )
    return read_labelled_photos(folder)


def test_figures_by_hand(photos):
    done = []
    (found,) = evaluate_photos(photos, rectangles, LevelScorer(), (0.0,), on_photo=lambda: done.append(1))
    assert len(done) == found.n_photos == 3
    assert found.photo_names == ("one.png", "one.png", "two.png", "three.png")
    assert found.label_indices.tolist() == [0, 3, 3, 3]
    assert found.is_found.tolist() == [True, True, False, True]
    assert found.is_right.tolist() == [True, False, False, True]
    assert found.boxes_xyxy.tolist() == [list(A), list(B), list(C)]
    assert [(s.count, s.n) for s in (found.recall, found.right_of_found, found.end_to_end)] == [(3, 4), (2, 3), (2, 4)]
    assert found.n_extra == 1
    shares = {name: [(s.count, s.n) for s in rest] for name, *rest in found.class_shares()}
    assert shares["angry"] == [(1, 1), (1, 1), (1, 1)]
    assert shares["happy"] == [(2, 3), (1, 2), (1, 3)]
    assert shares["sad"] == [(0, 0), (0, 0), (0, 0)]
    of_classifier = found.of_found_faces()
    assert of_classifier.accuracy.n == 3
    assert of_classifier.confusion[3].tolist() == [0, 0, 0, 1, 0, 0, 1]


def test_forms(photos):
    (found,) = evaluate_photos(photos, rectangles, LevelScorer(), (0.0,))
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["recall"]["share"] == 0.75
    assert record["extra_faces"] == 1
    assert record["classes"]["happy"]["end_to_end"]["count"] == 1
    assert record["classes"]["sad"]["recall"] == {"share": None, "count": 0, "n": 0, "interval95": None}
    assert record["found_faces"]["top1"] == pytest.approx(2 / 3, abs=1e-6)
    lines = found.to_text().split("\n")
    assert lines[0] == "found           75.00 % (95 % interval 30.06 to 95.44, 3 of 4)"  # Wilson's interval of 3 of 4
    assert lines[3] == "other faces found 1"
    assert len({len(line) for line in lines[6:]}) == 1
    assert lines[10].split()[:2] == ["happy", "3"]


def test_each_margin_cuts_its_own_crops_from_the_same_boxes(photos):
    scorer = LevelScorer()
    results = evaluate_photos(photos, rectangles, scorer, (-0.25, 0.0, 0.5))
    assert [found.crop_margin for found in results] == [-0.25, 0.0, 0.5]
    # Photo one has two faces of 40 px, photo three one of 60.
    assert [shape[0] for shape in scorer.seen] == [30, 30, 40, 40, 60, 60, 45, 60, 90]
    assert {found.recall for found in results} == {results[0].recall}


def test_no_face_is_found(photos):
    (found,) = evaluate_photos(photos, lambda _: [], LevelScorer(), (0.0,))
    assert (found.recall.count, found.recall.n, found.end_to_end.count) == (0, 4, 0)
    assert found.of_found_faces() is None
    assert found.probs.shape == (0, 7)
    assert found.to_json()["found_faces"] is None
    assert "right of found  - (0 of 0)" in found.to_text()


def test_a_second_box_on_a_face_is_an_extra_one(photos):
    def twice(frame):
        return [*rectangles(frame), *(detection(face.box_xyxy + 1, 0.8) for face in rectangles(frame))]

    (found,) = evaluate_photos(photos, twice, LevelScorer(), (0.0,))
    assert (found.recall.count, found.n_extra) == (3, 1 + 4)
    assert found.boxes_xyxy.tolist() == [list(A), list(B), list(C)]


def test_a_photo_that_is_missing_or_damaged_is_named(photos):
    photos[1].path.unlink()
    with pytest.raises(InputError, match=r"two\.png: no such file; check the name; or leave .* out with --skip-bad$"):
        evaluate_photos(photos, rectangles, LevelScorer(), (0.0,))
    photos[0].path.write_bytes(photos[0].path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"one\.png: "):
        evaluate_photos(photos, rectangles, LevelScorer(), (0.0,))


def test_skipped_photos_are_counted_and_listed(photos):
    photos[0].path.write_bytes(b"no picture")
    done = []
    (found,) = evaluate_photos(
        photos, rectangles, LevelScorer(), (0.0,), skip_bad=True, on_photo=lambda: done.append(1)
    )
    assert len(done) == 3
    assert found.n_photos == 2
    assert found.photo_names == ("two.png", "three.png")
    assert (found.recall.count, found.recall.n) == (1, 2)
    (skipped,) = found.skipped
    assert skipped == SkippedPhoto(name="one.png", n_faces=2, reason=skipped.reason)
    assert skipped.reason.startswith("one.png: not a picture")


def test_when_no_photo_is_left_there_are_no_figures(photos):
    for photo in photos:
        photo.path.unlink()
    with pytest.raises(InputError, match="found 3 that cannot be read and no other"):
        evaluate_photos(photos, rectangles, LevelScorer(), (0.0,), skip_bad=True)
