"""Does a crop that follows the face's landmarks help the classifier? The shipped square against others, on web photos.

    python benchmarks/studies/crop_alignment.py [BUNDLE] [--min-face-px 40]

Needs photos in ExpW's layout below $FER_EDGE_DATA/expw_dev and looks at the part "fit" of them alone, so that the other
part stays unseen by the choice. Each labelled face that the detector finds is cut by every rule and classified with the
bundle's float32 and int8 networks. The rules:

- square: the bundle's, a square around the box, here through this file's sampling: the control.
- stretched: the box itself, wider or narrower by the margin in both directions and brought to a square.
- turned: the square, turned so that the eyes are level.
- landmarks: all five landmarks put on FER-2013's mean ones by the similarity of least squares.
- landmarks, upright: the same without turning.
- eyes: the middle between the eyes and their distance as in FER-2013's mean, without turning.

The mean landmarks are those that the detector finds in 500 of FER-2013's Training images (`fer2013/fer2013.csv.gz`
below $FER_EDGE_DATA). What turning and landmarks do to crops like those the network learned from is asked of the images
that its training held out. Prints Markdown tables; docs/crop-rule.md has what came out.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square, gray_image, halve, resize_exact
from fer_edge.results import Detection
from fer_edge_train.comparison import compare_paired
from fer_edge_train.datasets import FaceSet
from fer_edge_train.labelled_photos import PHOTO_LABELS, LabelledPhoto, photos_of_part, read_labelled_photos
from fer_edge_train.metrics import Share
from fer_edge_train.photo_evaluation import match_faces
from fer_edge_train.photo_pipeline import open_photo_pipeline
from fer_edge_train.recipe import Recipe
from fer_edge_train.scorers import EngineChoice, Scorer, open_scorer
from fer_edge_train.training_data import TrainingData, read_training_data

DEFAULT_BUNDLE = Path(__file__).resolve().parents[2] / "fer_edge" / "models" / "default"
SEED = 2013
MARGINS = (-0.2, -0.1, 0.0, 0.1, 0.2)
SCALES = (0.8, 0.9, 1.0, 1.1, 1.2)
N_TEMPLATE_FACES = 500
# FER-2013's 48 pixels are fewer than the detector looks at; `fer-edge prepare --crop mtcnn` enlarges to the same.
DETECTION_SIDE_PX = 192
# A crop shows its one face: what is smaller than half of it is none.
SMALLEST_SHARE = 0.5
# Up to here the network's training turned faces at random.
AUGMENTED_TILT_DEG = 10.0
# A head is turned to the side where its nose is this many distances of its eyes away from their middle.
ASIDE = 0.25
# Positions are whole multiples of 2^-16 px and weights of 2^-8, so that sampling is integer arithmetic.
POSITION_BITS, WEIGHT_BITS = 16, 8

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A parallelogram of a frame that becomes a crop; positions in pixels, x + iy, the frame's corner being 0.

    Attributes:
        center: of the crop.
        right, down: from the crop's left to its right edge, and from its upper to its lower one.
    """

    center: complex
    right: complex
    down: complex

    def scaled(self, factor: float) -> Patch:
        """Return the same place at `factor` times the size."""
        return Patch(center=self.center, right=self.right * factor, down=self.down * factor)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundFace:
    """A labelled face that the detector found.

    Attributes:
        frame_gray: uint8 (height, width), of the whole photo.
        shipped: uint8 (side, side, 3), the crop that the bundle's rule cuts.
        detection: what the detector gave.
        label_index: position in PHOTO_LABELS.
    """

    frame_gray: Pixels
    shipped: Pixels
    detection: Detection
    label_index: int


Rule = Callable[[Detection], Patch]


def box_patch(found: Detection, margin: float) -> Patch:
    """Return the box, both sides times (1 + margin)."""
    left, top, right, bottom = (float(value) for value in found.box_xyxy)
    box = Patch(center=complex(left + right, top + bottom) / 2, right=right - left, down=1j * (bottom - top))
    return box.scaled(1.0 + margin)


def square_patch(found: Detection, margin: float) -> Patch:
    """Return the square around the box whose side is the longer one times (1 + margin)."""
    box = box_patch(found, margin)
    side = max(abs(box.right), abs(box.down))
    return Patch(center=box.center, right=side, down=1j * side)


def turned_patch(found: Detection, margin: float) -> Patch:
    """Return the square, turned around its middle so that the line from eye to eye is its horizontal."""
    square, direction = square_patch(found, margin), eye_direction(found)
    return Patch(center=square.center, right=square.right * direction, down=square.down * direction)


def landmark_patch(found: Detection, *, template_xy: Floats, scale: float, turn: bool) -> Patch:
    """Return the square in which the landmarks are nearest to the template, in the sense of least squares.

    With x + iy for points, a similarity is a complex factor and a summand; one that does not turn has a real factor.

    Args:
        found: gives the landmarks.
        template_xy: float (5, 2), where they should be, in shares of the crop's sides.
        scale: of the crop around its middle; 1 puts landmarks on the template.
        turn: whether the square may be turned.
    """
    wanted, points = as_complex(template_xy), as_complex(found.landmarks_xy)
    from_wanted, from_points = wanted - wanted.mean(), points - points.mean()
    factor = complex(np.sum(from_wanted.conj() * from_points) / np.sum(np.abs(from_wanted) ** 2))
    return _placed(wanted.mean(), points.mean(), factor if turn else complex(factor.real), scale)


def eyes_patch(found: Detection, *, template_xy: Floats, scale: float) -> Patch:
    """Return the upright square in which the eyes' middle and distance are the template's; see `landmark_patch`."""
    wanted, points = as_complex(template_xy)[:2], as_complex(found.landmarks_xy)[:2]
    factor = abs(points[1] - points[0]) / abs(wanted[1] - wanted[0])
    return _placed(wanted.mean(), points.mean(), complex(factor), scale)


def _placed(wanted: complex, point: complex, factor: complex, scale: float) -> Patch:
    """Return the square with sides |factor| that has `point` where `wanted` is, then scaled around its middle."""
    center = point + factor * (0.5 + 0.5j - wanted)
    return Patch(center=complex(center), right=factor, down=1j * factor).scaled(scale)


def eye_direction(found: Detection) -> complex:
    """Return the direction from the left eye to the right one, of length 1; 1 where they are in one place."""
    left, right = as_complex(found.landmarks_xy)[:2]
    length = abs(right - left)
    return complex((right - left) / length) if length else 1.0 + 0.0j


def tilt_deg(found: Detection) -> float:
    """Return by how much the line from eye to eye is turned, -180 to 180, clockwise as seen."""
    direction = eye_direction(found)
    return math.degrees(math.atan2(direction.imag, direction.real))


def nose_aside(found: Detection) -> float:
    """Return how far the nose is from the middle between the eyes, along their line, in distances of the eyes.

    It is about 0 where a head faces the camera; infinite where both eyes are in one place.
    """
    left, right, nose = as_complex(found.landmarks_xy)[:3]
    distance = abs(right - left)
    along = ((nose - (left + right) / 2) * eye_direction(found).conjugate()).real
    return float(abs(along) / distance) if distance else math.inf


def as_complex(points_xy: Floats) -> npt.NDArray[np.complex128]:
    """Return x + iy of points (n, 2)."""
    points: npt.NDArray[np.complex128] = points_xy[:, 0].astype(np.float64) + 1j * points_xy[:, 1].astype(np.float64)
    return points


def sample(image: Pixels, patch: Patch, side_px: int) -> Pixels:
    """Cut a patch; what lies outside the image repeats its border.

    Done as `resize_exact` does it, an image that shrinks being averaged: sampled bilinearly at side_px times 2, 4, ...
    points, the first that is no coarser than the image's pixels, and halved as often. Positions and weights are whole
    numbers, so that the bytes are the same on every machine, which OpenCV's warpAffine does not promise.

    Args:
        image: uint8 (height, width).
        patch: what to cut.
        side_px: of the crop.

    Returns:
        uint8 (side_px, side_px).
    """
    halvings = 0
    while (side_px << halvings) < max(abs(patch.right), abs(patch.down)):
        halvings += 1
    n = side_px << halvings
    one = 1 << POSITION_BITS
    # Of the middle of the first point's pixel: pixel i reaches from i to i + 1.
    start = patch.center - (patch.right + patch.down) / 2 + (patch.right + patch.down) / (2 * n) - (0.5 + 0.5j)
    steps = np.arange(n)
    x, y = (
        round(first * one) + steps * round(along * one / n) + steps[:, np.newaxis] * round(across * one / n)
        for first, along, across in (
            (start.real, patch.right.real, patch.down.real),
            (start.imag, patch.right.imag, patch.down.imag),
        )
    )
    height, width = image.shape
    whole = 1 << WEIGHT_BITS
    pixel_x, pixel_y = x >> POSITION_BITS, y >> POSITION_BITS
    share_x, share_y = ((value >> (POSITION_BITS - WEIGHT_BITS)) & (whole - 1) for value in (x, y))
    columns, rows = (
        [np.clip(first + more, 0, end - 1) for more in (0, 1)] for first, end in ((pixel_x, width), (pixel_y, height))
    )
    # Beyond uint8: a weight is up to 2^8, and two are multiplied.
    (upper_left, upper_right), (lower_left, lower_right) = (
        [image[row, column].astype(np.int64) for column in columns] for row in rows
    )
    upper = upper_left * (whole - share_x) + upper_right * share_x
    lower = lower_left * (whole - share_x) + lower_right * share_x
    total = upper * (whole - share_y) + lower * share_y
    crop: Pixels = ((total + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS)).astype(np.uint8)
    for _ in range(halvings):
        crop = halve(crop)
    return crop


def photo_rules(template_xy: Floats) -> dict[str, Rule]:
    """Return each rule that is tried on photos, by name."""
    rules: dict[str, Rule] = {}
    of_margins = {"square": square_patch, "stretched": box_patch, "turned": turned_patch}
    of_scales = {
        "landmarks": partial(landmark_patch, template_xy=template_xy, turn=True),
        "landmarks, upright": partial(landmark_patch, template_xy=template_xy, turn=False),
        "eyes": partial(eyes_patch, template_xy=template_xy),
    }
    for name, cut in of_margins.items():
        rules |= {f"{name}, {margin:+.1f}": partial(cut, margin=margin) for margin in MARGINS}
    for name, fit in of_scales.items():
        rules |= {f"{name}, x {scale:.1f}": partial(fit, scale=scale) for scale in SCALES}
    return rules


def find_faces(photos: Sequence[LabelledPhoto], detector: FaceDetector, margin: float) -> list[FoundFace]:
    """Return the labelled faces that the detector finds, matched as `fer-edge evaluate` does."""
    faces = []
    for photo in photos:
        frame = read_image(photo.path)
        gray, found = gray_image(frame), detector(frame)
        boxes = np.array([each.box_xyxy for each in found], dtype=np.float32).reshape(-1, 4)
        for match, label in zip(match_faces(photo.boxes_xyxy, boxes), photo.label_indices, strict=True):
            if match >= 0:
                faces.append(
                    FoundFace(
                        frame_gray=gray,
                        shipped=crop_square(frame, boxes[match], margin),
                        detection=found[match],
                        label_index=int(label),
                    )
                )
    return faces


def faces_in_crops(images: Iterable[Pixels], detector: FaceDetector) -> list[Detection | None]:
    """Return the best face in each crop uint8 (48, 48, 1), in pixels of the crop; None where there is none."""
    found: list[Detection | None] = []
    for image in images:
        enlarged = resize_exact(image[..., 0], (DETECTION_SIDE_PX, DETECTION_SIDE_PX))
        factor = np.float32(image.shape[0] / DETECTION_SIDE_PX)
        faces = detector(np.repeat(enlarged[..., np.newaxis], 3, axis=2))
        found.append(
            Detection(
                box_xyxy=faces[0].box_xyxy * factor,
                detection_score=faces[0].detection_score,
                landmarks_xy=faces[0].landmarks_xy * factor,
            )
            if faces
            else None
        )
    return found


def mean_landmarks(faces: FaceSet, detector: FaceDetector) -> Floats:
    """Return where the landmarks are in crops on the mean, float32 (5, 2), in shares of the crop's sides."""
    drawn = np.random.RandomState(SEED).permutation(len(faces))[:N_TEMPLATE_FACES]
    found = [each for each in faces_in_crops(faces.take(drawn).images, detector) if each is not None]
    template: Floats = np.mean([each.landmarks_xy for each in found], axis=0) / np.float32(faces.images.shape[1])
    points = ", ".join(f"({x:.3f}, {y:.3f})" for x, y in template)
    print(f"mean landmarks of {len(found)} of {len(drawn)} Training images: {points}")
    return template


def print_margins(detections: Sequence[Detection], template_xy: Floats) -> None:
    """Print the margin that gives the square the side that a rule finds, for heads that face us and for turned ones."""
    is_aside = np.array([nose_aside(found) >= ASIDE for found in detections])
    boxes = np.array([abs(square_patch(found, 0.0).right) for found in detections])
    print("\n| rule | margin of all faces | half of them | facing us | turned to the side |")
    print("| --- | ---: | --- | ---: | ---: |")
    for name, rule in (
        ("landmarks", partial(landmark_patch, template_xy=template_xy, scale=1.0, turn=True)),
        ("eyes", partial(eyes_patch, template_xy=template_xy, scale=1.0)),
    ):
        margins = np.array([abs(rule(found).right) for found in detections]) / boxes - 1
        low, middle, high = np.percentile(margins, (25, 50, 75))
        facing, turned = np.median(margins[~is_aside]), np.median(margins[is_aside])
        print(f"| {name} | {middle:+.2f} | {low:+.2f} to {high:+.2f} | {facing:+.2f} | {turned:+.2f} |")
    print(f"(medians; the nose of {is_aside.sum()} is aside by {ASIDE:g} of the eyes' distance or more)")


def right_of(scorer: Scorer, crops: Sequence[Pixels], label_indices: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return whether each crop is named as labelled, bool (n,)."""
    right: npt.NDArray[np.bool_] = scorer.probs(crops).argmax(axis=1) == label_indices
    return right


def print_row(
    name: str, right: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], reference: npt.NDArray[np.bool_] | None
) -> None:
    """Print a rule's figures, and its difference to the reference, None for the reference itself, on the same faces."""
    classes = [right[labels == index].mean() for index in range(len(PHOTO_LABELS)) if np.any(labels == index)]
    compared = " | | |"
    if reference is not None:
        pair = compare_paired(right, reference)
        low, high = (100 * bound for bound in pair.interval95)
        compared = (
            f" {100 * pair.difference:+.1f} ({low:+.1f} to {high:+.1f}) | {pair.only_first} : {pair.only_second} "
            f"| {pair.p_value:.2g} |"
        )
    share = Share(count=int(right.sum()), n=len(right))
    print(f"| {name} | {share.short()} | {100 * np.mean(classes):.1f} |{compared}", flush=True)


def print_head(title: str) -> None:
    print(f"\n{title}\n")
    print("| rule | right / % (95 %) | mean over classes / % | less the first / points (95 %) | alone right | p |")
    print("| --- | --- | ---: | --- | ---: | ---: |")


def compare_on_photos(faces: Sequence[FoundFace], scorer: Scorer, template_xy: Floats) -> None:
    """Print the figures of every rule, then those of turning on the faces that are tilted."""
    labels = np.array([face.label_index for face in faces])
    shipped = right_of(scorer, [face.shipped for face in faces], labels)
    side_px = scorer.input_shape_hwc[0]
    print_head(f"{scorer.title}: {len(faces)} found faces of the photos")
    print_row("as shipped", shipped, labels, None)
    rights = {}
    for name, rule in photo_rules(template_xy).items():
        crops = [sample(face.frame_gray, rule(face.detection), side_px) for face in faces]
        rights[name] = right_of(scorer, crops, labels)
        print_row(name, rights[name], labels, shipped)
    tilts = np.abs([tilt_deg(face.detection) for face in faces])
    for title, chosen in (("at most", tilts <= AUGMENTED_TILT_DEG), ("more than", tilts > AUGMENTED_TILT_DEG)):
        print_head(f"{scorer.title}: {chosen.sum()} faces tilted by {title} {AUGMENTED_TILT_DEG:g} degrees")
        print_row("as shipped", shipped[chosen], labels[chosen], None)
        for name in ("turned, -0.1", "landmarks, x 1.0"):
            print_row(name, rights[name][chosen], labels[chosen], shipped[chosen])


def compare_on_crops(held_out: FaceSet, found: Sequence[Detection | None], scorer: Scorer, template_xy: Floats) -> None:
    """Print what turning and landmarks do to crops like those that the network learned from."""
    with_face = [(image, each) for image, each in zip(held_out.images, found, strict=True) if each is not None]
    labels = held_out.label_indices[[each is not None for each in found]]
    side_px = scorer.input_shape_hwc[0]
    whole = complex(side_px / 2, side_px / 2)
    as_is = right_of(scorer, [image for image, _ in with_face], labels)
    rules: dict[str, Rule] = {
        "turned": lambda face: Patch(
            center=whole, right=side_px * eye_direction(face), down=1j * side_px * eye_direction(face)
        ),
        "landmarks": partial(landmark_patch, template_xy=template_xy, scale=1.0, turn=True),
        "landmarks, upright": partial(landmark_patch, template_xy=template_xy, scale=1.0, turn=False),
        "eyes": partial(eyes_patch, template_xy=template_xy, scale=1.0),
    }
    print_head(f"{scorer.title}: {len(with_face)} of {len(held_out)} held-out Training images, with a face found")
    print_row("as they are", as_is, labels, None)
    for name, rule in rules.items():
        crops = [sample(image[..., 0], rule(face), side_px) for image, face in with_face]
        print_row(name, right_of(scorer, crops, labels), labels, as_is)


def read_fer2013(csv_path: Path, shape_hwc: tuple[int, int, int]) -> TrainingData:
    """Return FER-2013, divided as for the training of the default bundle's classifier."""
    recipe = Recipe(architecture="sepnet_tiny", input_shape_hwc=shape_hwc, validation_fraction=0.05, split_seed=SEED)
    return read_training_data([str(csv_path)], recipe, votes=None, skip_bad=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path, nargs="?", default=DEFAULT_BUNDLE)
    parser.add_argument("--min-face-px", type=float, default=40.0)
    arguments = parser.parse_args()
    folder = Path(os.environ["FER_EDGE_DATA"])
    pipeline, of_crops = (
        open_photo_pipeline(
            arguments.bundle,
            EngineChoice(precision="float32"),
            detector=None,
            options=DetectorOptions(min_face_px=min_face_px),
            crop_margin=None,
        )
        for min_face_px in (arguments.min_face_px, SMALLEST_SHARE * DETECTION_SIDE_PX)
    )
    scorers = (pipeline.scorer, open_scorer(arguments.bundle, EngineChoice(precision="int8")))
    data = read_fer2013(folder / "fer2013" / "fer2013.csv.gz", pipeline.scorer.input_shape_hwc)
    template_xy = mean_landmarks(data.training, of_crops.detector)

    photos = photos_of_part(read_labelled_photos(folder / "expw_dev"), "fit")
    faces = find_faces(photos, pipeline.detector, pipeline.crop_margin)
    n_labelled = sum(len(photo.label_indices) for photo in photos)
    tilts = np.abs([tilt_deg(face.detection) for face in faces])
    print(
        f"{len(photos)} photos, {len(faces)} of {n_labelled} labelled faces found, "
        f"their eyes tilted by {np.median(tilts):.1f} degrees (median)"
    )
    print_margins([face.detection for face in faces], template_xy)
    for scorer in scorers:
        compare_on_photos(faces, scorer, template_xy)

    found = faces_in_crops(data.held_out.images, of_crops.detector)
    tilts = np.abs([tilt_deg(each) for each in found if each is not None])
    print(f"\nheld-out Training images, digest {data.held_out.digest()}")
    print(f"their eyes tilted by {np.median(tilts):.1f} degrees (median)")
    for scorer in scorers:
        compare_on_crops(data.held_out, found, scorer, template_xy)


if __name__ == "__main__":
    main()
