"""Box arithmetic against plain loops and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge.detector.boxes import non_maximum_suppression, refine, refine_candidates, to_square


def overlap(a, b, measure):
    """Overlap of two boxes whose last pixels are included, in float64."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + 1, 0)
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    inter = width * max(height, 0)
    areas = [(right - left + 1) * (bottom - top + 1) for left, top, right, bottom in (a, b)]
    return inter / (sum(areas) - inter if measure == "union" else min(areas))


def suppressed_by_loops(boxes, scores, threshold, measure):
    waiting = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    kept = []
    while waiting:
        best = waiting.pop(0)
        kept.append(best)
        waiting = [i for i in waiting if overlap(boxes[best], boxes[i], measure) <= threshold]
    return kept


@pytest.mark.parametrize("measure", ["union", "min"])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize(
    ("count", "distinct_scores"), [(1, 5), (40, 1000), (200, 1000), (200, 6)], ids=["1", "40", "200", "200 with ties"]
)
def test_suppression_of_random_boxes(count, distinct_scores, threshold, measure):
    rng = np.random.default_rng(count + distinct_scores)
    corner = rng.integers(-10, 120, (count, 2))
    boxes = np.hstack([corner, corner + rng.integers(5, 60, (count, 2))]).astype(np.float32)
    scores = (rng.integers(0, distinct_scores, count) / distinct_scores).astype(np.float32)
    kept = non_maximum_suppression(boxes, scores, threshold, measure)
    expected = suppressed_by_loops(boxes.astype(np.float64).tolist(), scores.tolist(), threshold, measure)
    assert kept.tolist() == expected
    assert count < 200 or len(expected) < count


@pytest.mark.parametrize(
    ("measure", "threshold", "kept"),
    [
        # 10 x 10 and 10 x 5 pixels, the second inside the first: 50/100 and 50/50.
        ("union", 0.5, [0, 1]),
        ("union", 0.49, [0]),
        ("min", 0.99, [0]),
        ("min", 1.0, [0, 1]),
    ],
)
def test_a_box_goes_when_its_overlap_exceeds_the_threshold(measure, threshold, kept):
    boxes = np.array([[1, 1, 10, 10], [1, 1, 10, 5]], np.float32)
    assert non_maximum_suppression(boxes, np.array([2, 1], np.float32), threshold, measure).tolist() == kept


def test_a_suppressed_box_suppresses_nothing():
    # A chain: each overlaps the next by 60 of 140, the ends not at all.
    boxes = np.array([[0, 0, 99, 0], [40, 0, 139, 0], [80, 0, 179, 0]], np.float32)
    assert non_maximum_suppression(boxes, np.array([3, 2, 1], np.float32), 0.4, "union").tolist() == [0, 2]


def test_equal_scores_keep_their_order():
    boxes = np.array([[0, 0, 9, 9], [100, 0, 109, 9], [0, 0, 9, 9], [200, 0, 209, 9]], np.float32)
    scores = np.array([1, 2, 1, 2], np.float32)
    assert non_maximum_suppression(boxes, scores, 0.5, "union").tolist() == [1, 3, 0]


def test_scores_below_nothing_count_too():
    """Log-odds of a probability below a half are negative."""
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [50, 0, 59, 9]], np.float32)
    for measure in ("union", "min"):
        kept = non_maximum_suppression(boxes, np.array([-3, -1, -2], np.float32), 0.5, measure)
        assert kept.tolist() == [1, 2]


def test_suppression_of_no_boxes():
    kept = non_maximum_suppression(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5, "union")
    assert kept.shape == (0,)
    assert kept.dtype == np.intp


def test_refined_candidates_by_hand():
    # 20 wide and 10 high without the last pixel.
    boxes = np.array([[10, 20, 30, 30]], np.float32)
    offsets = np.array([[0.1, -0.2, 0.5, 1.0]], np.float32)
    np.testing.assert_allclose(refine_candidates(boxes, offsets), [[12, 18, 40, 40]], rtol=1e-6)


def test_refined_by_hand():
    # 21 wide and 11 high with it.
    boxes = np.array([[10, 20, 30, 30]], np.float32)
    offsets = np.array([[0.1, -0.2, 0.5, 1.0]], np.float32)
    np.testing.assert_allclose(refine(boxes, offsets), [[12.1, 17.8, 40.5, 41]], rtol=1e-6)


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ([10, 20, 30, 30], [10, 15, 30, 35]),  # side 20 around (20, 25)
        ([10, 20, 20, 50], [0, 20, 30, 50]),  # side 30 around (15, 35)
        ([10, 20, 15, 28], [8, 20, 16, 28]),  # left edge at 8.5
        ([-3, 0, 2, 9], [-5, 0, 4, 9]),  # -5 .. 4: side 9 around (-0.5, 4.5)
        ([-2.5, 0, 2.5, 8], [-4, 0, 4, 8]),
        ([-4.9, -4.9, 4.9, 4.9], [-4, -4, 4, 4]),  # cut towards zero, not down
    ],
    ids=str,
)
def test_squares_by_hand(box, square):
    found = to_square(np.array([box], np.float32))
    assert found.dtype == np.float32
    assert found.tolist() == [square]


@pytest.mark.parametrize("function", [to_square, lambda b: refine(b, b), lambda b: refine_candidates(b, b)])
def test_no_boxes(function):
    assert function(np.empty((0, 4), np.float32)).shape == (0, 4)
