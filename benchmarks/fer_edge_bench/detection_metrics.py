"""How well a face detector finds labelled faces: recall, false positives, average precision.

Which faces count: those not marked invalid whose box's shorter side is at least `min_side_px`. The other labelled faces
are ignored: finding one is no hit, and no false positive either. Boxes are continuous (area = width x height).

Matching: in each photo the detections are taken by descending score. Each takes the counted face it overlaps most
among those still free, if their intersection over union reaches the bound; so a face is found at most once, and a
second detection of it is a false positive. A detection left without a counted face is ignored if it reaches the bound
with any ignored face, else it is a false positive. What a detection takes does not depend on those with lower scores,
so that one matching serves every score threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_bench.wider import WiderPhoto

__all__ = [
    "DetectionReport",
    "Detections",
    "OperatingPoint",
    "evaluate_detections",
    "iou_matrix",
    "recall_at_false_positives",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """What a detector found in one photo.

    Attributes:
        boxes_xyxy: floating (n, 4), left, top, right, bottom in pixels of the photo.
        scores: floating (n,), larger is surer.
    """

    boxes_xyxy: npt.NDArray[np.floating]
    scores: npt.NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.boxes_xyxy.shape != (len(self.scores), 4):
            raise ValueError(
                f"expected boxes_xyxy (n, 4) and scores (n,), found {self.boxes_xyxy.shape} and {self.scores.shape}"
            )
        if not (np.isfinite(self.boxes_xyxy).all() and np.isfinite(self.scores).all()):
            raise ValueError("expected finite boxes_xyxy and scores, found nan or infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionReport:
    """A detector's figures over a set of photos, all its detections kept.

    Attributes:
        recall: true_positives / n_faces, 0 to 1.
        n_faces: labelled faces that count.
        true_positives: of them, those found.
        false_positives: detections that match neither a counted face of their own nor an ignored one.
        average_precision: area under precision over recall, 0 to 1: precision at each recall is the best at that
            recall or a higher one (all points, as PASCAL VOC from 2010 on).
    """

    recall: float
    n_faces: int
    true_positives: int
    false_positives: int
    average_precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A detector's figures when only the detections with `score >= score_threshold` are kept.

    Attributes:
        recall: true_positives / n_faces, 0 to 1.
        true_positives: counted faces found.
        false_positives: as in DetectionReport.
        score_threshold: infinity where no detection can be kept.
    """

    recall: float
    true_positives: int
    false_positives: int
    score_threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """Counts of the detections with at least each distinct score, by descending score; all arrays (n_distinct,)."""

    scores: Floats
    true_positives: npt.NDArray[np.int64]
    false_positives: npt.NDArray[np.int64]
    n_faces: int


def evaluate_detections(
    detections: Mapping[str, Detections], photos: Sequence[WiderPhoto], *, min_side_px: float, iou: float = 0.5
) -> DetectionReport:
    """Compare detections with the labelled faces of all `photos`.

    Args:
        detections: by the photo's name; other names are left out.
        photos: labelled photos.
        min_side_px: faces whose shorter side is smaller are ignored; more than 0.
        iou: smallest intersection over union of a match, more than 0 and at most 1.

    Raises:
        InputError: a photo has no entry in `detections`, is given twice, or no face counts.
        ValueError: `min_side_px` or `iou` is out of range.
    """
    curve = _curve(detections, photos, min_side_px, iou)
    true_positives = int(curve.true_positives[-1]) if len(curve.scores) else 0
    false_positives = int(curve.false_positives[-1]) if len(curve.scores) else 0
    return DetectionReport(
        recall=true_positives / curve.n_faces,
        n_faces=curve.n_faces,
        true_positives=true_positives,
        false_positives=false_positives,
        average_precision=_average_precision(curve),
    )


def recall_at_false_positives(
    detections: Mapping[str, Detections],
    photos: Sequence[WiderPhoto],
    max_false_positives: int,
    *,
    min_side_px: float,
    iou: float = 0.5,
) -> OperatingPoint:
    """Return the best recall at a score threshold that leaves at most `max_false_positives` over all photos.

    Two detectors are compared at equal cost by giving one the other's false positives. Detections of equal score are
    kept or dropped together. Arguments and errors are those of `evaluate_detections`.
    """
    curve = _curve(detections, photos, min_side_px, iou)
    kept = int(np.searchsorted(curve.false_positives, max_false_positives, side="right"))
    if kept == 0:
        return OperatingPoint(recall=0.0, true_positives=0, false_positives=0, score_threshold=math.inf)
    true_positives = int(curve.true_positives[kept - 1])
    return OperatingPoint(
        recall=true_positives / curve.n_faces,
        true_positives=true_positives,
        false_positives=int(curve.false_positives[kept - 1]),
        score_threshold=float(curve.scores[kept - 1]),
    )


def iou_matrix(boxes_a_xyxy: npt.NDArray[np.floating], boxes_b_xyxy: npt.NDArray[np.floating]) -> Floats:
    """Return float64 (a, b): intersection over union of boxes (a, 4) with boxes (b, 4); 0 where a box has no area."""
    a = boxes_a_xyxy.astype(np.float64)[:, np.newaxis]
    b = boxes_b_xyxy.astype(np.float64)[np.newaxis]
    common_wh = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.prod(np.maximum(common_wh, 0.0), axis=-1)
    area_a = np.prod(np.maximum(a[..., 2:] - a[..., :2], 0.0), axis=-1)
    area_b = np.prod(np.maximum(b[..., 2:] - b[..., :2], 0.0), axis=-1)
    union = area_a + area_b - common
    shares = np.zeros(common.shape)
    np.divide(common, union, out=shares, where=common > 0)
    return shares


def _curve(
    detections: Mapping[str, Detections], photos: Sequence[WiderPhoto], min_side_px: float, iou: float
) -> _Curve:
    if not min_side_px > 0:
        raise ValueError(f"min_side_px: expected more than 0, found {min_side_px}")
    if not 0 < iou <= 1:
        raise ValueError(f"iou: expected more than 0 and at most 1, found {iou}")
    seen: set[str] = set()
    n_faces = 0
    scores, hits, misses = [np.zeros(0)], [np.zeros(0, np.bool_)], [np.zeros(0, np.bool_)]
    for photo in photos:
        if photo.name in seen:
            raise InputError(f"photos: expected each photo once, found {photo.name} twice")
        if photo.name not in detections:
            raise InputError(f"detections: expected an entry for {photo.name} (empty for no face), found none")
        seen.add(photo.name)
        found = detections[photo.name]
        boxes = photo.boxes_xyxy()
        counted = ~photo.invalid() & ((boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=math.inf) >= min_side_px)
        n_faces += int(counted.sum())
        hit, miss = _match(found, boxes[counted], boxes[~counted], iou)
        scores.append(found.scores.astype(np.float64))
        hits.append(hit)
        misses.append(miss)
    if n_faces == 0:
        raise InputError(
            f"photos: expected at least one valid face with a shorter side of {min_side_px:g} px or more, found none"
            f" in {len(photos)} photos; recall has no meaning then"
        )
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    descending = all_scores[order]
    last_of_score = np.flatnonzero(np.append(descending[1:] != descending[:-1], True)[: len(descending)])
    return _Curve(
        scores=descending[last_of_score],
        true_positives=np.cumsum(np.concatenate(hits)[order], dtype=np.int64)[last_of_score],
        false_positives=np.cumsum(np.concatenate(misses)[order], dtype=np.int64)[last_of_score],
        n_faces=n_faces,
    )


def _match(
    found: Detections, counted_xyxy: Floats, ignored_xyxy: Floats, iou: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return two bool (n,) in the order of `found`: which detections are true positives, which false positives."""
    overlap = iou_matrix(found.boxes_xyxy, counted_xyxy)
    is_hit = np.zeros(len(found.scores), np.bool_)
    for index in np.argsort(-found.scores, kind="stable"):
        face = int(np.argmax(overlap[index])) if overlap.shape[1] else -1
        if face >= 0 and overlap[index, face] >= iou:
            is_hit[index] = True
            overlap[:, face] = 0.0
    is_ignored = (iou_matrix(found.boxes_xyxy, ignored_xyxy) >= iou).any(axis=1)
    return is_hit, ~is_hit & ~is_ignored


def _average_precision(curve: _Curve) -> float:
    judged = curve.true_positives + curve.false_positives
    kept = judged > 0
    precision = curve.true_positives[kept] / judged[kept]
    recall = curve.true_positives[kept] / curve.n_faces
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best_from_here))
