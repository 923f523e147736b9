"""What the whole pipeline does on photos: which labelled faces it finds, and which of these it names as labelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square
from fer_edge.results import Detection
from fer_edge_train.evaluation import Evaluation, evaluate_labels
from fer_edge_train.labelled_photos import PHOTO_LABELS, LabelledPhoto
from fer_edge_train.metrics import Share
from fer_edge_train.scorers import Scorer

__all__ = [
    "SMALLEST_OVERLAP",
    "PhotoEvaluation",
    "SkippedPhoto",
    "evaluate_photos",
    "iou_matrix",
    "match_faces",
]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# Intersection over union from which a box is on a face. ExpW's boxes are squares of another detector, MTCNN's are
# narrower and end at the chin: the usual 0.5 would ask for another habit of drawing, not for the face.
SMALLEST_OVERLAP = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedPhoto:
    """A photo that could not be read, with the number of its labelled faces; they count nowhere."""

    name: str
    n_faces: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoEvaluation:
    """A pipeline's figures on photos with labelled faces.

    Attributes:
        crop_margin: of the classifier's crop, in sides of the detector's box.
        photo_names: the photo of each labelled face, n of them.
        label_indices: int64 (n,), positions in PHOTO_LABELS.
        is_found: bool (n,), whether a found box is matched to the labelled one.
        boxes_xyxy: float32 (found, 4), what the detector gave for those found, in their order.
        probs: float32 (found, classes), what the classifier gave for them.
        n_photos: photos looked at.
        n_extra: found boxes that match no labelled face; ExpW labels not all faces, so these are not all wrong.
        skipped: photos that could not be read.
    """

    crop_margin: float
    photo_names: tuple[str, ...]
    label_indices: npt.NDArray[np.int64]
    is_found: npt.NDArray[np.bool_]
    boxes_xyxy: Floats
    probs: Floats
    n_photos: int
    n_extra: int
    skipped: tuple[SkippedPhoto, ...]

    @property
    def is_right(self) -> npt.NDArray[np.bool_]:
        """Whether each labelled face, bool (n,), is found and named as labelled."""
        right = self.is_found.copy()
        right[right] = self.probs.argmax(axis=1) == self.label_indices[self.is_found]
        return right

    @property
    def recall(self) -> Share:
        """Labelled faces that are found."""
        return Share(count=int(self.is_found.sum()), n=len(self.is_found))

    @property
    def right_of_found(self) -> Share:
        """Found faces that are named as labelled."""
        return Share(count=int(self.is_right.sum()), n=int(self.is_found.sum()))

    @property
    def end_to_end(self) -> Share:
        """Labelled faces that are found and named as labelled."""
        return Share(count=int(self.is_right.sum()), n=len(self.is_found))

    def class_shares(self) -> list[tuple[str, Share, Share, Share]]:
        """Return for each class its name, and of its faces recall, right of the found, and end to end."""
        rows = []
        for index, name in enumerate(PHOTO_LABELS):
            members = self.label_indices == index
            n, found = int(members.sum()), int(self.is_found[members].sum())
            right = int(self.is_right[members].sum())
            rows.append((name, Share(count=found, n=n), Share(count=right, n=found), Share(count=right, n=n)))
        return rows

    def of_found_faces(self) -> Evaluation | None:
        """Return the classifier's figures on the found faces; None where none is found."""
        if not self.is_found.any():
            return None
        return evaluate_labels(self.probs, self.label_indices[self.is_found], PHOTO_LABELS)

    def to_json(self) -> dict[str, Any]:
        """Return JSON types; shares are 0 to 1, rounded to six digits."""
        found_faces = self.of_found_faces()
        return {
            "recall": self.recall.to_json(),
            "right_of_found": self.right_of_found.to_json(),
            "end_to_end": self.end_to_end.to_json(),
            "extra_faces": self.n_extra,
            "classes": {
                name: {"recall": recall.to_json(), "right_of_found": right.to_json(), "end_to_end": both.to_json()}
                for name, recall, right, both in self.class_shares()
            },
            "found_faces": found_faces.to_json() if found_faces else None,
        }

    def to_text(self) -> str:
        """Return a table for a terminal: the three shares, then the same for each class."""
        width = max(len(name) for name in PHOTO_LABELS)
        lines = [
            f"found           {self.recall}",
            f"right of found  {self.right_of_found}",
            f"end to end      {self.end_to_end}",
            f"other faces found {self.n_extra}",
            "",
            "% of each labelled class, with 95 % intervals",
            f"{'':>{width}} {'n':>6} {'found':>18} {'right of found':>18} {'end to end':>18}",
        ]
        for name, recall, right, both in self.class_shares():
            cells = "".join(f" {share.short():>18}" for share in (recall, right, both))
            lines.append(f"{name:>{width}} {recall.n:>6}{cells}")
        return "\n".join(lines)


def evaluate_photos(
    photos: Sequence[LabelledPhoto],
    detector: Callable[[Pixels], list[Detection]],
    scorer: Scorer,
    crop_margins: Sequence[float],
    *,
    skip_bad: bool = False,
    on_photo: Callable[[], object] = lambda: None,
) -> list[PhotoEvaluation]:
    """Find the faces of photos, match them with the labelled ones, cut and classify those that match.

    Args:
        photos: what to look at.
        detector: frame uint8 (h, w, 3) in B, G, R to the faces in it, best first.
        scorer: gives the probabilities of crops, in the order of PHOTO_LABELS.
        crop_margins: each gives figures of its own; the faces are looked for once.
        skip_bad: leave out a photo that cannot be read, and list it.
        on_photo: called after each photo.

    Returns:
        The figures for each margin, in their order.

    Raises:
        InputError: a photo cannot be read and `skip_bad` is false, or none can be.
        EngineError: an engine fails.
    """
    names: list[str] = []
    label_indices: list[npt.NDArray[np.int64]] = []
    is_found: list[npt.NDArray[np.bool_]] = []
    boxes: list[Floats] = []
    probs: list[list[Floats]] = [[] for _ in crop_margins]
    skipped: list[SkippedPhoto] = []
    n_extra = 0
    for photo in photos:
        try:
            frame = read_image(photo.path)
        except InputError as error:
            if not skip_bad:
                raise InputError(f"{error}; or leave such photos out with --skip-bad") from error
            # Without the folder: the reason goes into records, which name files, not somebody's disk.
            reason = str(error).replace(str(photo.path), photo.name)
            skipped.append(SkippedPhoto(name=photo.name, n_faces=len(photo.label_indices), reason=reason))
            on_photo()
            continue
        detections = detector(frame)
        found_xyxy = np.array([found.box_xyxy for found in detections], dtype=np.float32).reshape(-1, 4)
        match = match_faces(photo.boxes_xyxy, found_xyxy)
        matched_xyxy = found_xyxy[match[match >= 0]]
        names += [photo.name] * len(match)
        label_indices.append(photo.label_indices)
        is_found.append(match >= 0)
        boxes.append(matched_xyxy)
        n_extra += len(detections) - len(matched_xyxy)
        if len(matched_xyxy):
            for margin, rows in zip(crop_margins, probs, strict=True):
                rows.append(scorer.probs([crop_square(frame, box, margin) for box in matched_xyxy]))
        on_photo()
    if not names:
        raise InputError(f"expected photos with labelled faces, found {len(skipped)} that cannot be read and no other")
    return [
        PhotoEvaluation(
            crop_margin=margin,
            photo_names=tuple(names),
            label_indices=np.concatenate(label_indices),
            is_found=np.concatenate(is_found),
            boxes_xyxy=np.concatenate(boxes),
            probs=np.concatenate([np.empty((0, len(scorer.labels)), np.float32), *rows]),
            n_photos=len(photos) - len(skipped),
            n_extra=n_extra,
            skipped=tuple(skipped),
        )
        for margin, rows in zip(crop_margins, probs, strict=True)
    ]


def match_faces(labelled_xyxy: Floats, found_xyxy: Floats) -> npt.NDArray[np.int64]:
    """Pair labelled boxes (n, 4) with found ones (m, 4), each at most once, the pair that overlaps most first.

    Returns:
        int64 (n,): the position of the found box of each labelled one, -1 where none overlaps by SMALLEST_OVERLAP.
    """
    overlap = iou_matrix(labelled_xyxy, found_xyxy)
    match = np.full(len(labelled_xyxy), -1, dtype=np.int64)
    while overlap.size:
        labelled, found = np.unravel_index(int(overlap.argmax()), overlap.shape)
        if overlap[labelled, found] < SMALLEST_OVERLAP:
            break
        match[labelled] = found
        overlap[labelled, :] = 0.0
        overlap[:, found] = 0.0
    return match


def iou_matrix(a_xyxy: Floats, b_xyxy: Floats) -> npt.NDArray[np.float64]:
    """Return intersection over union, float64 (n, m), of boxes (n, 4), of positive areas, with boxes (m, 4)."""
    a, b = a_xyxy.astype(np.float64)[:, np.newaxis], b_xyxy.astype(np.float64)[np.newaxis]
    common_wh = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.maximum(common_wh, 0.0).prod(axis=-1)
    shares: npt.NDArray[np.float64] = common / (_area(a) + _area(b) - common)
    return shares


def _area(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    area: npt.NDArray[np.float64] = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0).prod(axis=-1)
    return area
