"""Recall, false positives and average precision against cases worked by hand and a plain-loop reference."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge_bench.detection_metrics import (
    DetectionReport,
    Detections,
    OperatingPoint,
    evaluate_detections,
    iou_matrix,
    recall_at_false_positives,
)
from fer_edge_bench.wider import WiderFace, WiderPhoto

Box = tuple[float, float, float, float]
FAR = (500.0, 500.0, 540.0, 540.0)


def face(x: int, y: int, width: int, height: int, *, invalid: bool = False) -> WiderFace:
    return WiderFace(box_xywh=(x, y, width, height), invalid=invalid)


def photo(*faces: WiderFace, name: str = "a.jpg") -> WiderPhoto:
    return WiderPhoto(name=name, faces=faces)


def found(*rows: tuple[Box, float]) -> Detections:
    return Detections(
        boxes_xyxy=np.array([box for box, _ in rows], dtype=np.float32).reshape(-1, 4),
        scores=np.array([score for _, score in rows], dtype=np.float32),
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((0, 0, 10, 10), (0, 0, 10, 10), 1.0, id="same"),
        pytest.param((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3, id="half shared"),
        pytest.param((0, 0, 10, 10), (2, 2, 7, 7), 0.25, id="inside"),
        pytest.param((0, 0, 10, 10), (10, 0, 20, 10), 0.0, id="touching"),
        pytest.param((0, 0, 10, 10), (20, 20, 30, 30), 0.0, id="apart in both axes"),
        pytest.param((5, 5, 5, 5), (5, 5, 5, 5), 0.0, id="no area"),
        pytest.param((10, 10, 0, 0), (0, 0, 10, 10), 0.0, id="corners swapped"),
    ],
)
def test_iou(a: Box, b: Box, expected: float) -> None:
    assert iou_matrix(np.array([a], np.float32), np.array([b], np.float64))[0, 0] == pytest.approx(expected)


def test_iou_shape_is_first_by_second() -> None:
    shares = iou_matrix(np.array([[0, 0, 10, 10], [5, 0, 15, 10.0]]), np.array([[0, 0, 10, 10.0]]))
    np.testing.assert_allclose(shares, [[1.0], [1 / 3]])
    assert iou_matrix(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


A_FACE = face(0, 0, 40, 40)
ON_FACE = (0.0, 0.0, 40.0, 40.0)


@pytest.mark.parametrize(
    ("faces", "rows", "expected"),
    [
        pytest.param([A_FACE], [(ON_FACE, 0.9)], (1, 1, 0, 1.0), id="found"),
        pytest.param([A_FACE], [], (1, 0, 0, 0.0), id="nothing found"),
        pytest.param([A_FACE], [(FAR, 0.9)], (1, 0, 1, 0.0), id="found elsewhere"),
        # 40 x 40 against 40 x 20 inside it: exactly one half.
        pytest.param([A_FACE], [((0, 0, 40, 20), 0.9)], (1, 1, 0, 1.0), id="overlap exactly at the bound"),
        pytest.param([A_FACE], [((0, 0, 40, 19.9), 0.9)], (1, 0, 1, 0.0), id="overlap just below the bound"),
        # The second detection of one face is a false positive; AP is not hurt as it comes last.
        pytest.param([A_FACE], [(ON_FACE, 0.9), ((1, 0, 41, 40), 0.8)], (1, 1, 1, 1.0), id="found twice"),
        # The surer of the two takes the face although the other fits better and is listed first.
        pytest.param([A_FACE], [(ON_FACE, 0.8), ((5, 0, 45, 40), 0.9)], (1, 1, 1, 1.0), id="greedy by score"),
        # The first prefers face 2 (IoU 1); the second, equally near both, must take face 1.
        pytest.param(
            [A_FACE, face(10, 0, 40, 40)],
            [((10, 0, 50, 40), 0.9), ((5, 0, 45, 40), 0.8)],
            (2, 2, 0, 1.0),
            id="second choice when the nearest face is taken",
        ),
        pytest.param(
            [A_FACE, face(100, 0, 40, 40, invalid=True)],
            [((100, 0, 140, 40), 0.9)],
            (1, 0, 0, 0.0),
            id="on an invalid face",
        ),
        pytest.param(
            [A_FACE, face(100, 0, 29, 60)], [((100, 0, 129, 60), 0.9)], (1, 0, 0, 0.0), id="on a face of 29 px"
        ),
        pytest.param([face(100, 0, 30, 60)], [((100, 0, 130, 60), 0.9)], (1, 1, 0, 1.0), id="on a face of 30 px"),
        pytest.param(
            [A_FACE, face(100, 0, 20, 20)],
            [((100, 0, 120, 20), 0.9), ((101, 0, 121, 20), 0.8)],
            (1, 0, 0, 0.0),
            id="an ignored face absorbs any number",
        ),
        # Overlaps the counted face by 0.6 and the ignored one wholly: the counted one is preferred.
        pytest.param(
            [face(0, 0, 40, 50), face(0, 0, 40, 30, invalid=True)],
            [((0, 0, 40, 30), 0.9)],
            (1, 1, 0, 1.0),
            id="counted before ignored",
        ),
        pytest.param([A_FACE, face(5, 5, 0, 0)], [(ON_FACE, 0.9)], (1, 1, 0, 1.0), id="a face of size zero is ignored"),
        # Precision 1/2 when the first hit comes, 2/3 at the second: the envelope is 2/3 over recall 0 to 1.
        pytest.param(
            [A_FACE, face(100, 0, 40, 40)],
            [(FAR, 0.9), (ON_FACE, 0.8), ((100, 0, 140, 40), 0.7)],
            (2, 2, 1, 2 / 3),
            id="envelope of precision",
        ),
        # Hit (1/1), miss, hit (2/3) of three faces: 1/3 x 1 + 1/3 x 2/3.
        pytest.param(
            [A_FACE, face(100, 0, 40, 40), face(200, 0, 40, 40)],
            [(ON_FACE, 0.9), (FAR, 0.8), ((100, 0, 140, 40), 0.7)],
            (3, 2, 1, 5 / 9),
            id="two steps",
        ),
        # An equal score cannot be split by a threshold: precision is 1/2 whichever is listed first.
        pytest.param([A_FACE], [(ON_FACE, 0.9), (FAR, 0.9)], (1, 1, 1, 0.5), id="equal scores, hit first"),
        pytest.param([A_FACE], [(FAR, 0.9), (ON_FACE, 0.9)], (1, 1, 1, 0.5), id="equal scores, miss first"),
    ],
)
def test_one_photo_by_hand(
    faces: list[WiderFace], rows: list[tuple[Box, float]], expected: tuple[int, int, int, float]
) -> None:
    n_faces, true_positives, false_positives, average_precision = expected
    report = evaluate_detections({"a.jpg": found(*rows)}, [photo(*faces)], min_side_px=30)
    assert report == DetectionReport(
        recall=true_positives / n_faces,
        n_faces=n_faces,
        true_positives=true_positives,
        false_positives=false_positives,
        average_precision=pytest.approx(average_precision),
    )


def test_photos_are_matched_apart_and_ranked_together() -> None:
    photos = [photo(A_FACE), photo(A_FACE, name="b.jpg"), photo(name="empty.jpg")]
    detections = {
        "a.jpg": found((ON_FACE, 0.9), (FAR, 0.3)),
        "b.jpg": found((FAR, 0.8), (ON_FACE, 0.5)),
        "empty.jpg": found((ON_FACE, 0.95)),
        "not asked for.jpg": found((ON_FACE, 1.0)),
    }
    # Over all photos: miss .95, hit .9 (1/2), miss .8, hit .5 (2/4), miss .3: precision 1/2 over the whole recall.
    assert evaluate_detections(detections, photos, min_side_px=30) == DetectionReport(
        recall=1.0, n_faces=2, true_positives=2, false_positives=3, average_precision=pytest.approx(0.5)
    )


SWEEP = [(ON_FACE, 0.9), (FAR, 0.8), ((100, 0, 140, 40), 0.7), ((0, 300, 40, 340), 0.7), ((200, 0, 240, 40), 0.6)]


@pytest.mark.parametrize(
    ("max_false_positives", "expected"),
    [
        pytest.param(0, (1, 0, 0.9), id="none allowed"),
        # Taking the hit at 0.7 would take the miss at 0.7 too.
        pytest.param(1, (1, 1, 0.8), id="one allowed"),
        pytest.param(2, (3, 2, 0.6), id="two allowed"),
        pytest.param(99, (3, 2, 0.6), id="more than there are"),
    ],
)
def test_recall_at_false_positives(max_false_positives: int, expected: tuple[int, int, float]) -> None:
    true_positives, false_positives, threshold = expected
    photos = [photo(A_FACE, face(100, 0, 40, 40), face(200, 0, 40, 40), face(300, 0, 40, 40))]
    point = recall_at_false_positives({"a.jpg": found(*SWEEP)}, photos, max_false_positives, min_side_px=30)
    assert point == OperatingPoint(
        recall=true_positives / 4,
        true_positives=true_positives,
        false_positives=false_positives,
        score_threshold=pytest.approx(threshold),
    )


@pytest.mark.parametrize("rows", [[], [(FAR, 0.9), (ON_FACE, 0.8)]], ids=["no detection", "the surest is a miss"])
def test_no_detection_can_be_kept(rows: list[tuple[Box, float]]) -> None:
    point = recall_at_false_positives({"a.jpg": found(*rows)}, [photo(A_FACE)], 0, min_side_px=30)
    assert point == OperatingPoint(recall=0.0, true_positives=0, false_positives=0, score_threshold=math.inf)


def loop_counts(
    detections: dict[str, Detections], photos: Sequence[WiderPhoto], min_side_px: float, threshold: float
) -> tuple[int, int, int]:
    """Counted faces, true and false positives by plain loops over what is left at a threshold."""
    n_faces = true_positives = false_positives = 0
    for item in photos:
        free, ignored = [], []
        for one in item.faces:
            x, y, width, height = one.box_xywh
            kept = not one.invalid and width >= min_side_px and height >= min_side_px
            (free if kept else ignored).append((x, y, x + width, y + height))
        n_faces += len(free)
        rows = zip(detections[item.name].scores.tolist(), detections[item.name].boxes_xyxy.tolist(), strict=True)
        for score, box in sorted(rows, key=lambda row: -row[0]):
            if score < threshold:
                continue
            best = max(free, key=lambda other: loop_iou(box, other), default=None)
            if best is not None and loop_iou(box, best) >= 0.5:
                free.remove(best)
                true_positives += 1
            elif all(loop_iou(box, other) < 0.5 for other in ignored):
                false_positives += 1
    return n_faces, true_positives, false_positives


def loop_iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


def test_random_scenes_equal_plain_loops_at_every_threshold() -> None:
    rng = np.random.default_rng(7)
    photos, detections = [], {}
    for index in range(12):
        xy, wh = rng.integers(0, 150, (9, 2)), rng.integers(15, 70, (9, 2))
        faces = [face(*map(int, row), invalid=bool(rng.random() < 0.2)) for row in np.hstack([xy, wh])]
        photos.append(photo(*faces, name=f"{index}.jpg"))
        near = np.hstack([xy, xy + wh]).repeat(2, axis=0) + rng.normal(0, 6, (18, 4))
        far = rng.uniform(0, 150, (6, 2))
        boxes = np.vstack([near, np.hstack([far, far + 40])])
        detections[f"{index}.jpg"] = Detections(boxes_xyxy=boxes, scores=rng.integers(0, 40, len(boxes)) / 40)

    area, recall_before = 0.0, 0.0
    points = []
    for threshold in np.arange(39, -1, -1) / 40:
        n_faces, true_positives, false_positives = loop_counts(detections, photos, 30, float(threshold))
        points.append((true_positives / n_faces, true_positives / max(true_positives + false_positives, 1)))
        at_equal = recall_at_false_positives(detections, photos, false_positives, min_side_px=30)
        assert at_equal.true_positives >= true_positives
        if at_equal.score_threshold == threshold:
            assert (at_equal.true_positives, at_equal.false_positives) == (true_positives, false_positives)
    for index, (recall, _) in enumerate(points):
        area += (recall - recall_before) * max(precision for _, precision in points[index:])
        recall_before = recall
    report = evaluate_detections(detections, photos, min_side_px=30)
    assert (report.n_faces, report.true_positives, report.false_positives) == loop_counts(detections, photos, 30, 0.0)
    assert report.average_precision == pytest.approx(area, abs=1e-12)
    assert 0 < report.false_positives < 12 * 24
    assert 0.2 < report.average_precision < 0.99


def test_the_bound_of_iou_is_a_choice() -> None:
    inside = {"a.jpg": found(((0, 0, 40, 24), 0.9))}  # 0.6
    assert evaluate_detections(inside, [photo(A_FACE)], min_side_px=30, iou=0.6).true_positives == 1
    assert evaluate_detections(inside, [photo(A_FACE)], min_side_px=30, iou=0.7).true_positives == 0


@pytest.mark.parametrize(
    ("detections", "photos", "message"),
    [
        pytest.param(
            {}, [photo(A_FACE)], r"expected an entry for a.jpg \(empty for no face\), found none", id="photo left out"
        ),
        pytest.param(
            {"a.jpg": found()}, [photo(A_FACE)] * 2, "expected each photo once, found a.jpg twice", id="photo twice"
        ),
        pytest.param(
            {"a.jpg": found()}, [photo(face(0, 0, 29, 90))], "at least one valid face .* of 30 px", id="no face counts"
        ),
        pytest.param({}, [], "found none in 0 photos", id="no photos"),
    ],
)
def test_what_cannot_be_evaluated(detections: dict[str, Detections], photos: list[WiderPhoto], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_detections(detections, photos, min_side_px=30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"min_side_px": 0}, "min_side_px: expected more than 0, found 0", id="size"),
        pytest.param({"min_side_px": 30, "iou": 0.0}, "iou: expected more than 0 and at most 1, found 0.0", id="iou 0"),
        pytest.param(
            {"min_side_px": 30, "iou": 1.5}, "iou: expected more than 0 and at most 1, found 1.5", id="iou above 1"
        ),
    ],
)
def test_bounds_out_of_range(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_detections({"a.jpg": found()}, [photo(A_FACE)], **arguments)


@pytest.mark.parametrize(
    ("boxes", "scores", "message"),
    [
        pytest.param(np.zeros((2, 4)), np.zeros(1), r"found \(2, 4\) and \(1,\)", id="lengths differ"),
        pytest.param(np.zeros((2, 5)), np.zeros(2), r"found \(2, 5\) and \(2,\)", id="five columns"),
        pytest.param(np.zeros((1, 4)), np.zeros((1, 1)), r"found \(1, 4\) and \(1, 1\)", id="scores of two axes"),
        pytest.param(np.full((1, 4), np.nan), np.zeros(1), "expected finite", id="nan box"),
        pytest.param(np.zeros((1, 4)), np.array([np.inf]), "expected finite", id="infinite score"),
    ],
)
def test_detections_are_validated(boxes: np.ndarray, scores: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detections(boxes_xyxy=boxes, scores=scores)
