"""Arithmetic on face boxes, in the convention that MTCNN's regressors were trained with.

Boxes are float32 (n, 4): left, top, right, bottom in pixels counted from 1, right and bottom included, so a box is
right - left + 1 pixels wide. (Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional
Networks", 2016, and its reference code.)
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2

__all__ = ["FROM_EDGES", "non_maximum_suppression", "overlaps", "refine", "refine_candidates", "to_square"]

Floats = npt.NDArray[np.float32]

# From edges counted from 0, as a Detection has them, to pixels counted from 1: right and bottom stay.
FROM_EDGES = np.array([1, 1, 0, 0], dtype=np.float32)


def non_maximum_suppression(
    boxes: Floats, scores: Floats, threshold: float, measure: Literal["union", "min"]
) -> npt.NDArray[np.intp]:
    """Keep the best box of each group that overlaps.

    Args:
        boxes: float32 (n, 4).
        scores: float32 (n,); equal scores keep their order.
        threshold: a box goes when its overlap with a better one exceeds this.
        measure: overlap is the intersection's area over that of the union, or over that of the smaller box.

    Returns:
        Positions of the boxes kept, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = (_suppress_by_union if measure == "union" else _suppress_by_smaller)(boxes[order], threshold)
    return order[kept]


def _suppress_by_union(boxes: Floats, threshold: float) -> npt.NDArray[np.intp]:
    """Suppress boxes in descending order of their scores, by OpenCV: a hundred take 0.1 ms, a loop of numpy 1.4."""
    if not len(boxes):
        return np.empty(0, dtype=np.intp)
    rectangles = boxes.astype(np.float64)
    rectangles[:, 2:] -= rectangles[:, :2] - 1
    # The order is known, and OpenCV wants scores of 0 or more, which log-odds need not be: ranks serve as well.
    ranks = np.arange(len(boxes), 0, -1, dtype=np.float32)
    kept = import_cv2().dnn.NMSBoxes(rectangles, ranks, 0.0, threshold)
    return np.asarray(kept, dtype=np.intp)


def _suppress_by_smaller(boxes: Floats, threshold: float) -> npt.NDArray[np.intp]:
    """Suppress boxes in descending order of their scores; made for the few that O-Net leaves."""
    left, top, right, bottom = boxes.T
    area = (right - left + 1) * (bottom - top + 1)
    order = np.arange(len(boxes))
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        intersection = np.maximum(width, 0) * np.maximum(height, 0)
        order = rest[intersection / np.minimum(area[best], area[rest]) <= threshold]
    return np.array(kept, dtype=np.intp)


def overlaps(first: Floats, second: Floats) -> Floats:
    """Return float32 (len(first), len(second)): the intersection's area over the union's, of every pair."""
    low = np.maximum(first[:, np.newaxis, :2], second[:, :2])
    high = np.minimum(first[:, np.newaxis, 2:], second[:, 2:])
    shared = np.maximum(high - low + 1, 0).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=-1) for boxes in (first, second)]
    # Boxes without area overlap nothing.
    found: Floats = shared / np.maximum(areas[0][:, np.newaxis] + areas[1] - shared, 1e-6)
    return found


def refine_candidates(boxes: Floats, offsets: Floats) -> Floats:
    """Move the corners of P-Net's boxes by offsets (n, 4) in widths and heights, here without the last pixel."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.tile(size, 2)


def refine(boxes: Floats, offsets: Floats) -> Floats:
    """Move the corners of R- and O-Net's boxes by offsets (n, 4) given in widths and heights."""
    size = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + offsets * np.tile(size, 2)


def to_square(boxes: Floats) -> Floats:
    """Return squares with the boxes' centres and longer sides, on whole pixels (cut towards zero)."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + 0.5 * size - 0.5 * side
    squares: Floats = np.trunc(np.hstack([corner, corner + side])).astype(np.float32)
    return squares
